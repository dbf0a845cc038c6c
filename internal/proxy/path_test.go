package proxy

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/vocab"
)

func parsePath(t interface{ Fatal(...any) }, target string) *url.URL {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPathsThatAreRefused(t *testing.T) {
	for target, want := range map[string]error{
		"/":                  nil,
		"/a/b.c":             nil,
		"/.well-known/x":     nil,
		"/a/..b":             nil,
		"/a/...":             nil,
		"/a%2fb":             nil,
		"/a/../b":            errDots,
		"/a/..":              errDots,
		"/..":                errDots,
		"/./a":               errDots,
		"/a/%2e%2e/b":        errDots,
		"/a/%2E./b":          errDots,
		"/a%2f..%2fb":        errDots,
		"/a%2f%2e%2e%2fb":    errDots,
		`/a\..\b`:            errDots,
		"/a/%5c..%5cb":       errDots,
		"/a/..;x=1/b":        errDots,
		"/a/..;/b":           errDots,
		"/a%00b":             errZero,
		"*":                  errNoPath,
		"http:opaque":        errNoPath,
		"http://a.test":      errNoPath,
		"http://a.test/a/..": errDots,
	} {
		if got := checkPath(parsePath(t, target)); got != want {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
}

func TestPathIsChosenInTheFormThatIsPassedOn(t *testing.T) {
	site := testTable(t, map[string][]string{"root": {"/"}, "ai": {"/ai/"}, "admin": {"/admin"}})
	for target, want := range map[string]string{
		"/":                "root",
		"/x":               "root",
		"/ai":              "root",
		"/ai/":             "ai",
		"/ai/x":            "ai",
		"/a%69/x":          "ai",
		"/AI/x":            "root",
		"/admin":           "admin",
		"/admin/x":         "admin",
		"/administrator":   "root",
		"/x%2fy":           "root", // nobody could read it as another route
		"/ai/x%2fy":        "ai",
		"/ai/x//y":         "ai",
		"/ai%2fx":          "",
		"/x%2f":            "root",
		"//ai/x":           "", // servers that merge slashes read /ai/x
		"//x":              "root",
		`/ai\x`:            "",
		"/ai%5cx":          "",
		"/admin;a=1/users": "",
		"/admin/users;a=1": "admin",
		"/admin%2fusers":   "",
		"/x;a=1/y":         "root",
	} {
		u := parsePath(t, target)
		if err := checkPath(u); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		e, err := site.choose("a.test", u)
		got := ""
		if err == nil && e != nil {
			got = e.gen.app
		}
		if got != want {
			t.Errorf("%s goes to %q (%v), want %q", target, got, err, want)
		}
	}
}

func TestStripTakesThePrefixOffBothForms(t *testing.T) {
	for _, c := range []struct{ target, prefix, want string }{
		{"/ai/x", "/ai/", "/x"},
		{"/ai/x", "/ai", "/x"},
		{"/ai", "/ai", "/"},
		{"/ai/", "/ai/", "/"},
		{"/x", "/", "/x"},
		{"/ai/a%2fb", "/ai/", "/a%2fb"},
		{"/a%69/a%2fb", "/ai/", "/a%2fb"},
		{"/%61%69/%C3%A4", "/ai", "/%C3%A4"},
		{"/ai//x", "/ai/", "//x"},
		{"/ai/%20", "/ai", "/%20"},
	} {
		u := parsePath(t, c.target)
		strip(u, c.prefix)
		if got := u.RequestURI(); got != c.want {
			t.Errorf("%s without %s is %s, want %s", c.target, c.prefix, got, c.want)
		}
	}
}

// testTable is a table of one host whose apps have the given prefixes.
func testTable(t interface{ Fatal(...any) }, apps map[string][]string) *table {
	gens := map[string]*generation{}
	for name, prefixes := range apps {
		g := &generation{app: name}
		for _, p := range prefixes {
			g.config.Routes = append(g.config.Routes, Route{Host: "a.test", Path: p, Service: "web"})
		}
		gens[name] = g
	}
	site, err := newTable(gens)
	if err != nil {
		t.Fatal(err)
	}
	return site
}

// target draws request targets out of pieces that readers disagree about.
func genTarget(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{"/", "/", "ai", "admin", "a", ".", "..", "%2e", "%2E", "%2f", "%2F", "%5c", `\`, ";", ";x=1", "%", "%61", "%00", "//", "x", "%25", "%252f"})
	return "/" + strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), "")
}

// readers are ways in which real servers read a path.
var readers = map[string]func(string) string{
	"as it is":         func(p string) string { return p },
	"cleaned":          path.Clean,
	"backslashes":      func(p string) string { return path.Clean(strings.ReplaceAll(p, `\`, "/")) },
	"parameters":       func(p string) string { return path.Clean(bare(p)) },
	"all of them":      func(p string) string { return path.Clean(bare(strings.ReplaceAll(p, `\`, "/"))) },
	"slashes are one":  merged,
	"truncated at NUL": func(p string) string { p, _, _ = strings.Cut(p, "\x00"); return p },
}

// checkLeak fails when a request that is let through can be read as another route's,
// or leaves its prefix once it is stripped.
func checkLeak(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, site *table, target string) {
	u, err := url.ParseRequestURI(target)
	if err != nil || checkPath(u) != nil {
		return
	}
	e, err := site.choose("a.test", u)
	if err != nil || e == nil {
		return
	}
	sent := parsePath(t, u.RequestURI()) // what the target gets
	for name, read := range readers {
		p := read(sent.Path)
		// A reader's path may have lost a final slash: both are the same place.
		if other := site.find("a.test", p); other != e && site.find("a.test", p+"/") != e {
			t.Fatalf("%q goes to %s, but read %q it is %q: %v", target, e.Path, name, p, other)
		}
	}
	stripped := *u
	strip(&stripped, e.Path)
	back := parsePath(t, stripped.RequestURI())
	if want := rooted(u.Path[len(strings.TrimSuffix(e.Path, "/")):]); back.Path != want {
		t.Fatalf("%q without %q arrives as %q, want %q", target, e.Path, back.Path, want)
	}
}

func TestNoRequestReachesAnotherPrefix(t *testing.T) {
	site := testTable(t, map[string][]string{"root": {"/"}, "ai": {"/ai/"}, "admin": {"/admin", "/ai/admin"}})
	rapid.Check(t, func(t *rapid.T) { checkLeak(t, site, genTarget(t)) })
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/", "/ai/x", "/ai%2fx", `/ai\..\admin`, "/a/..;/admin", "//admin", "/%61dmin;x/y", "http://a.test/ai/", "*"} {
		f.Add(s)
	}
	site := testTable(f, map[string][]string{"root": {"/"}, "ai": {"/ai/"}, "admin": {"/admin", "/ai/admin"}})
	f.Fuzz(func(t *testing.T, target string) { checkLeak(t, site, target) })
}

func TestLongestPrefixWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.SampledFrom([]string{"a", "b", "ai", "aix"})
		prefix := rapid.Custom(func(t *rapid.T) string {
			p := "/" + strings.Join(rapid.SliceOfN(segment, 0, 3).Draw(t, "segments"), "/")
			if p != "/" && rapid.Bool().Draw(t, "slash") {
				p += "/"
			}
			return p
		})
		apps := map[string][]string{}
		all := rapid.SliceOfNDistinct(prefix, 1, 6, func(p string) string { return p }).Draw(t, "prefixes")
		for i, p := range all {
			name := string(rune('a' + i%3))
			apps[name] = append(apps[name], p)
		}
		site := testTable(t, apps)
		asked := prefix.Draw(t, "path")
		want := ""
		for _, p := range all {
			if vocab.Covers(p, asked) && len(p) > len(want) {
				want = p
			}
		}
		got := ""
		if e := site.find("a.test", asked); e != nil {
			got = e.Path
		}
		if got != want {
			t.Fatalf("%s among %q goes to %q, want %q", asked, all, got, want)
		}
		if e := site.find("b.test", asked); e != nil {
			t.Fatalf("another host goes to %v", e.Route)
		}
	})
}

func TestHostForms(t *testing.T) {
	for header, want := range map[string]string{
		"a.test": "a.test", "A.Test": "a.test", "a.test:8080": "a.test", "a.test.": "a.test", "a.test.:80": "a.test",
		"[::1]:80": "::1", "": "", "a.test:": "a.test", "KELVIN.test": "kelvin.test", "\u212aelvin.test": "\u212aelvin.test",
	} {
		if got, ok := hostOf(header); got != want || !ok {
			t.Errorf("%q is the host %q (%v), want %q", header, got, ok, want)
		}
	}
	for _, header := range []string{"a.test:80,evil.test", "a.test:99999", "a.test:8o", "[a.test]:80", "a.test:80:81", "::1", "a.test:-1", "[::1"} {
		if got, ok := hostOf(header); ok {
			t.Errorf("%q is taken for the host %q", header, got)
		}
	}
	for host, want := range map[string]bool{"a.test": true, "127.0.0.1": true, "a": true, "": false, "A.test": false, "a..b": false, "-a": false,
		"a-": false, "a.test.": false, "a_b": false, "*.a": false, "a:80": false, strings.Repeat("a.", 126) + "a": true, strings.Repeat("a.", 127) + "a": false, strings.Repeat("a", 64): false} {
		if got := validHost(host); got != want {
			t.Errorf("%q valid: %v, want %v", host, got, want)
		}
	}
}

func TestRefusedPathsOverTheWire(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, says("root")))))
	for target, want := range map[string]string{
		"/a/../b": "400", "/a/%2e%2e/b": "400", "/a%2f..%2fb": "400", "/..;/b": "400", "/a%00": "400", "/ok": "200", "/ok%2fok": "200",
	} {
		got := f.raw("GET " + target + " HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%s: %.60q, want %s", target, got, want)
		}
	}
	if got := f.raw("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 405") {
		t.Errorf("CONNECT: %.60q", got)
	}
	if resp, _ := f.do(f.request(http.MethodTrace, "/", nil)); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("TRACE: %s", resp.Status)
	}
}
