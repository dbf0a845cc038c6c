package release

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The x-teal table of DESIGN 3.3, key by key. What this version carries out is stored
// where it belongs; the rest is read as strictly and then refused with notYet, so that
// a manifest that is written today does not change its meaning later.

const maxSequence = 1<<53 - 1 // what every reader of JSON can hold

var (
	versionForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}$`)
	personForm   = regexp.MustCompile(`^[[:graph:]]{1,255}$`)
	linkName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$`)
	linkForm     = regexp.MustCompile(`^https?://[[:graph:]]{1,1000}$`)
	repoForm     = regexp.MustCompile(`^[[:graph:]]{1,1000}$`)
	hostLabel    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$`)
	hostValue    = regexp.MustCompile(`^(host\.name|label\.[A-Za-z0-9][A-Za-z0-9._/-]{0,62})$`)
	jobForm      = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	waveForm     = regexp.MustCompile(`^([1-9][0-9]{0,3}|(100|[1-9]?[0-9])%)$`)
	routePath    = regexp.MustCompile(`^/[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,254}$`)
	requestPath  = regexp.MustCompile(`^/[!-"$-~]{0,999}$`) // everything printable but #
	statusForm   = regexp.MustCompile(`^([1-5])xx$|^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$`)
	ruleModeForm = regexp.MustCompile(`^[a-z][A-Za-z0-9-]{0,62}$`)
)

// defaults is a release before anything is read (DESIGN 3.3, 4.2).
func defaults(env, app string) *Release {
	return &Release{
		Environment: env, App: app,
		Bake: Bake{For: 5 * time.Minute, Every: 30 * time.Second, Failures: 2, ErrorRate: 0.01, MinRequests: 20,
			Burst: Burst{Errors: 0.5, Requests: 25}},
		Drain: Drain{HTTP: 30 * time.Second, WebSocket: time.Minute},
		Keep:  3,
	}
}

// appKeys reads the app's x-teal block into the release.
func (p *parser) appKeys() object {
	rel := p.rel
	return object{
		"version":    p.version,
		"sequence":   into(&rel.Sequence, func(r *reader, at string, n *node) (int64, bool) { return r.integer(at, n, 1, maxSequence) }),
		"source":     object{"repository": line(&rel.Source.Repository, repoForm, "the address of a repository"), "commit": line(&rel.Source.Commit, commitForm, "40 or 64 hex digits")}.read,
		"preparedBy": line(&rel.PreparedBy, personForm, "a person"),
		"links":      p.links,
		"volumes":    p.volumeModes,
		"smoke":      p.smokes,
		"bake":       p.bake,
		"drain":      object{"http": between(&rel.Drain.HTTP, 0, time.Hour), "websocket": between(&rel.Drain.WebSocket, 0, time.Hour)}.read,
		"keep":       count(&rel.Keep, 0, 100),

		"absent":    switched(&rel.Absent),
		"purge":     p.purged,
		"formerly":  p.formerly,
		"placement": placing(&rel.Placement),
		"hostEnv":   p.hostEnv,
		"migrate":   notYet(migrate.read),
		"jobs":      p.jobs,
		"rollout":   notYet(waves.read),
		"assets":    notYet(object{"path": text, "url": written(routePath, "a path")}.read),
	}
}

var (
	timeout = within(time.Second, 24*time.Hour)

	migrate = object{
		"service": written(serviceForm, "the name of a service"), "database": written(hostLabel, "the name of a database"),
		"up": command, "down": object{"command": command, "run": oneOf("ordered", "automatic")}.read, "sql": besideManifest,
		"kind": oneOf("idempotent", "transactional", "opaque"), "timeout": timeout, "lockTimeout": timeout,
		"scope": oneOf("fleet", "host"), "compatible": flag, "revert": oneOf("flip", "hold"), "backup": command,
	}
	waves = object{
		"canary": whole(0, 1000), "waves": list(written(waveForm, "a number of hosts or a percentage")),
		"maxUnavailable": whole(1, 1000), "soak": within(0, 24*time.Hour), "onBad": oneOf("fleet", "hold"), "bakeAfterCanary": within(0, 24*time.Hour),
	}
)

// into stores what a reader takes out.
func into[T any](to *T, take func(r *reader, at string, n *node) (T, bool)) shape {
	return func(r *reader, at string, n *node) any {
		if v, ok := take(r, at, n); ok {
			*to = v
		}
		return nil
	}
}

// text is a text as it is written, not empty. In x-teal blocks the place says that it
// is one, whatever YAML would make of it: a commit may look like a number.
func text(r *reader, at string, n *node) any {
	s, ok := r.text(at, n)
	if ok && s == "" {
		r.wrong(n.line, "write one, or remove the key", "%s is empty", at)
	}
	if s == "" {
		return nil
	}
	return s
}

// written is a text of some form.
func written(form *regexp.Regexp, what string) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(formSchema(form, what)) {
			return nil
		}
		s, ok := text(r, at, n).(string)
		if ok && !form.MatchString(s) {
			r.wrong(n.line, hint(form), "%s: %s is not %s", at, show(s), what)
			return nil
		}
		if !ok {
			return nil
		}
		return s
	}
}

// line stores a text of some form.
func line(to *string, form *regexp.Regexp, what string) shape {
	return into(to, func(r *reader, at string, n *node) (string, bool) {
		s, ok := written(form, what)(r, at, n).(string)
		return s, ok
	})
}

func between(to *time.Duration, low, high time.Duration) shape {
	return into(to, func(r *reader, at string, n *node) (time.Duration, bool) { return r.duration(at, n, low, high) })
}

// within checks a duration and stores it nowhere.
func within(low, high time.Duration) shape {
	return func(r *reader, at string, n *node) any {
		if _, ok := r.duration(at, n, low, high); !ok {
			return nil
		}
		return n.text
	}
}

func count(to *int, low, high int64) shape {
	return into(to, func(r *reader, at string, n *node) (int, bool) {
		v, ok := r.integer(at, n, low, high)
		return int(v), ok
	})
}

func portion(to *float64) shape {
	return into(to, func(r *reader, at string, n *node) (float64, bool) { return r.share(at, n) })
}

func switched(to *bool) shape {
	return into(to, func(r *reader, at string, n *node) (bool, bool) { v := flag(r, at, n); return v == true, v != nil })
}

// version is any word; in production it is a version that people can put in order.
func (p *parser) version(r *reader, at string, n *node) any {
	line(&p.rel.Version, versionForm, "one word")(r, at, n)
	if v := p.rel.Version; v != "" && p.rel.Environment == "production" && !semver.MatchString(v) {
		r.wrong(n.line, "write one such as v1.2.3", "%s: %s is not a semantic version, which production asks for", at, show(v))
	}
	return nil
}

func (p *parser) links(r *reader, at string, n *node) any {
	if r.draws(func() schema { return dictOf(linkName, formSchema(linkForm, "an http or https address")()) }) {
		return nil
	}
	links := map[string]string{}
	for _, f := range r.fields(at, n) {
		if !linkName.MatchString(f.key) {
			r.wrong(f.line, hint(linkName), "%s: %s is not the name of a link", at, show(f.key))
			continue
		}
		var url string
		if line(&url, linkForm, "an http or https address")(r, join(at, f.key), f.value); url != "" {
			links[f.key] = url
		}
	}
	if len(links) > 0 {
		p.rel.Links = links
	}
	return nil
}

func (p *parser) volumeModes(r *reader, at string, n *node) any {
	if r.draws(func() schema { return dictOf(keyForm, enum([]string{modeOverlap, modeExclusive})) }) {
		return nil
	}
	p.modes, p.modeLine = map[string]string{}, map[string]int{}
	for _, f := range r.fields(at, n) {
		p.modeLine[f.key] = f.line
		if mode, ok := oneOf(modeOverlap, modeExclusive)(r, join(at, f.key), f.value).(string); ok {
			p.modes[f.key] = mode
		}
	}
	return nil
}

// The modes of a volume that a swapped service may write.
const (
	modeOverlap   = "overlap"   // both colours may write at once
	modeExclusive = "exclusive" // one colour at a time
)

func (p *parser) bake(r *reader, at string, n *node) any {
	b := &p.rel.Bake
	keys := object{
		"for": between(&b.For, time.Second, 24*time.Hour), "every": between(&b.Every, 100*time.Millisecond, time.Hour),
		"failures": count(&b.Failures, 1, 1000), "errorRate": portion(&b.ErrorRate), "minRequests": count(&b.MinRequests, 1, math.MaxInt32),
		"burst":          object{"errors": portion(&b.Burst.Errors), "requests": count(&b.Burst.Requests, 1, 10_000)}.read,
		"requireTraffic": switched(&b.RequireTraffic),

		"p95": notYet(within(time.Millisecond, time.Hour)),
		"prometheus": notYet(list(object{"name": written(hostLabel, "the name of a rule"), "query": text, "max": number, "min": number,
			"mode": oneOf("enforce", "observe")}.read)),
		"memoryGrowth": notYet(percent),
		"mode":         notYet(either(oneOf("enforce", "observe"), nil, dict(ruleModeForm, "the name of a rule", oneOf("enforce", "observe")))),
	}
	keys.read(r, at, n)
	if b.Every > b.For {
		r.wrong(lineOf(n), "write a longer for or a shorter every", "%s: a sample every %s does not fit in %s", at, plain(b.Every), plain(b.For))
	}
	if b.Burst.Errors == 0 {
		r.wrong(lineOf(n.get("burst")), "write more than 0%", "%s.burst.errors: 0%% would revert a release without an error", at)
	}
	return nil
}

// smokes reads the list of smoke requests.
func (p *parser) smokes(r *reader, at string, n *node) any {
	for i, item := range r.items(at, n) {
		at := at + "[" + strconv.Itoa(i) + "]"
		if i >= 50 {
			r.wrong(item.line, "write fewer", "%s: more than 50 requests", at)
			break
		}
		s := Smoke{Method: "GET", Status: StatusRange{200, 299}, Line: lineOf(item)}
		object{
			"http": object{
				"path": line(&s.Path, requestPath, "a path"), "method": p.method(&s.Method), "status": status(&s.Status),
				"contains": into(&s.Contains, func(r *reader, at string, n *node) (string, bool) { return r.short(at, n, 1024) }),
				"host":     line(&s.Host, hostForm, "a host in lower case, without port"),
			}.read,
			"run": notYet(object{"service": written(serviceForm, "the name of a service"), "command": command, "timeout": timeout}.read),
		}.read(r, at, item)
		http := item.get("http")
		switch {
		case item.kind != mapping:
		case http == nil && item.get("run") == nil, http != nil && item.get("run") != nil:
			r.wrong(item.line, "write {http: {path: /…}}", "%s: one of http and run belongs here", at)
		case http != nil && http.kind == mapping && http.get("path") == nil:
			r.wrong(http.line, "write path: /…", "%s.http has no path", at)
		case http != nil && s.Path != "":
			p.rel.Smoke = append(p.rel.Smoke, s)
		}
	}
	return nil
}

func (p *parser) method(to *string) shape {
	return func(r *reader, at string, n *node) any {
		if v, ok := oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")(r, at, n).(string); ok {
			*to = v
		}
		return nil
	}
}

// short is a text of at most so many bytes, not empty.
func (r *reader) short(at string, n *node, most int) (string, bool) {
	s, ok := text(r, at, n).(string)
	if ok && len(s) > most {
		r.wrong(n.line, "write a shorter one", "%s is longer than %d bytes", at, most)
		return "", false
	}
	return s, ok
}

// status is one status, a class such as 2xx, or a range.
func status(to *StatusRange) shape {
	return into(to, func(r *reader, at string, n *node) (StatusRange, bool) {
		s, ok := r.text(at, n)
		if !ok {
			return StatusRange{}, false
		}
		m := statusForm.FindStringSubmatch(s)
		var out StatusRange
		switch {
		case m == nil:
		case m[1] != "":
			class, _ := strconv.Atoi(m[1])
			out = StatusRange{class * 100, class*100 + 99}
		default:
			out.From, _ = strconv.Atoi(m[2])
			if out.To = out.From; m[3] != "" {
				out.To, _ = strconv.Atoi(m[3])
			}
		}
		if m == nil || out.From > out.To {
			r.wrong(n.line, "write one such as 200, 2xx or 200-299", "%s: %s is not a status", at, show(s))
			return out, false
		}
		return out, true
	})
}

// cleanPath reports whether a route's path names one place only: no empty, `.` or `..`
// element, which a client could write in another way.
func cleanPath(s string) bool {
	for i, element := range strings.Split(s[1:], "/") {
		if element == "." || element == ".." || element == "" && i != strings.Count(s, "/")-1 {
			return false
		}
	}
	return true
}
