package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/vocab"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	good := func() App {
		a := config(1, vocab.Blue, blue("127.0.0.1:8000"))
		a.Burst = &Burst{Errors: 0.5, Requests: 25}
		a.Releases = map[vocab.Colour]string{vocab.Blue: "v1.2.3"}
		return a
	}
	if err := good().normal().validate("shop"); err != nil {
		t.Fatalf("the good one is refused: %v", err)
	}
	for want, change := range map[string]func(*App){
		"generation":                      func(a *App) { a.Generation = 0 },
		"state":                           func(a *App) { a.State = "sleep" },
		"live: a colour must be live":     func(a *App) { a.Live = "" },
		`"red" is not blue or green`:      func(a *App) { a.Live = "red" },
		"targets.red":                     func(a *App) { a.Targets["red"] = map[string][]string{"web": {"127.0.0.1:1"}} },
		"no target in the live colour":    func(a *App) { a.Live = vocab.Green },
		`"127.0.0.1" is not an ip:port`:   func(a *App) { a.Targets[vocab.Blue]["web"] = []string{"127.0.0.1"} },
		`"db:80" is not an ip:port`:       func(a *App) { a.Targets[vocab.Blue]["web"] = []string{"db:80"} },
		`"127.0.0.1:0" is not an ip:port`: func(a *App) { a.Targets[vocab.Blue]["web"] = []string{"127.0.0.1:0"} },
		`"0.0.0.0:80" is not`:             func(a *App) { a.Targets[vocab.Blue]["web"] = []string{"0.0.0.0:80"} },
		`"127.0.0.1:080" is not`:          func(a *App) { a.Targets[vocab.Blue]["web"] = []string{"127.0.0.1:080"} },
		"stands there twice":              func(a *App) { a.Targets[vocab.Blue]["web"] = []string{"127.0.0.1:1", "127.0.0.1:1"} },
		"more than 64 addresses":          func(a *App) { a.Targets[vocab.Blue]["web"] = make([]string, 65) },
		`"a test" is not a host name`:     func(a *App) { a.Routes[0].Host = "a test" },
		`"api" is not a plain`:            func(a *App) { a.Routes[0].Path = "api" },
		`"/a/../b" is not a plain`:        func(a *App) { a.Routes[0].Path = "/a/../b" },
		`"/a%2fb" is not a plain`:         func(a *App) { a.Routes[0].Path = "/a%2fb" },
		`"/a//b" is not a plain`:          func(a *App) { a.Routes[0].Path = "/a//b" },
		`routes[1]: "a.test/" stands`:     func(a *App) { a.Routes = append(a.Routes, Route{Host: "A.TEST", Service: "web"}) },
		"more than 256 routes":            func(a *App) { a.Routes = make([]Route, 257) },
		"burst":                           func(a *App) { a.Burst.Errors = 0 },
		"requests from 1":                 func(a *App) { a.Burst.Requests = maxWindow + 1 },
		"baseline from 0 to 1":            func(a *App) { a.Burst.Baseline = -1 },
		"releases.blue":                   func(a *App) { a.Releases[vocab.Blue] = "v1\r\nSet-Cookie: x" },
	} {
		a := good()
		change(&a)
		wantError(t, a.normal().validate("shop"), want)
	}
	wantError(t, good().normal().validate("Shop"), `"Shop" is not the name`)
	wantError(t, good().normal().validate("shop-blue"), "is not the name")

	down := App{Generation: 1, State: StateMaintenance, Routes: good().Routes}
	if err := down.normal().validate("shop"); err != nil {
		t.Errorf("maintenance needs no target: %v", err)
	}
}

func TestNormalFormIsOneForEqualConfigurations(t *testing.T) {
	a := App{Generation: 1, Live: vocab.Blue, Routes: []Route{{Host: "A.test", Service: "web"}, {Host: "a.test", Path: "/ai/", Service: "ai"}},
		Targets: map[vocab.Colour]map[string][]string{vocab.Blue: {"web": {"127.0.0.1:1"}, "ai": {"127.0.0.1:2"}, "none": {}}, vocab.Green: {}}}
	b := App{Generation: 1, Live: vocab.Blue, State: StateServe, Routes: []Route{{Host: "a.test", Path: "/ai/", Service: "ai"}, {Host: "a.test", Path: "/", Service: "web"}},
		Targets:  map[vocab.Colour]map[string][]string{vocab.Blue: {"ai": {"127.0.0.1:2"}, "web": {"127.0.0.1:1"}}},
		Releases: map[vocab.Colour]string{vocab.Blue: ""}}
	if !a.normal().equal(b.normal()) {
		t.Errorf("%+v and %+v differ", a.normal(), b.normal())
	}
	b.Burst = &Burst{Errors: 1, Requests: 1}
	if a.normal().equal(b.normal()) {
		t.Error("another burst is taken for the same configuration")
	}
	n := a.normal()
	n.Targets[vocab.Blue]["web"][0] = "changed"
	if a.Targets[vocab.Blue]["web"][0] == "changed" {
		t.Error("the normal form shares memory with what it was made of")
	}
}

func TestNormalFormSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genApp(t).normal()
		if err := a.validate("shop"); err != nil {
			t.Fatalf("the generator makes a bad one: %v", err)
		}
		data, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var b App
		if err := strict(data, &b); err != nil {
			t.Fatal(err)
		}
		if !a.equal(b.normal()) || !a.equal(a.normal()) {
			t.Fatalf("%s is another after it was written down", data)
		}
	})
}

func genApp(t *rapid.T) App {
	a := App{Generation: rapid.Uint64Range(1, 5).Draw(t, "generation"), Live: rapid.SampledFrom([]vocab.Colour{vocab.Blue, vocab.Green}).Draw(t, "live"),
		State: rapid.SampledFrom([]State{StateServe, StatePause, StateMaintenance}).Draw(t, "state"), Targets: map[vocab.Colour]map[string][]string{}}
	for _, c := range []vocab.Colour{vocab.Blue, vocab.Green} {
		a.Targets[c] = map[string][]string{}
		for _, s := range []string{"web", "ai"} {
			n := rapid.IntRange(0, 2).Draw(t, "replicas")
			if c == a.Live {
				n = max(n, 1)
			}
			for i := range n {
				a.Targets[c][s] = append(a.Targets[c][s], fmt.Sprintf("127.0.0.%d:%d", i+1, rapid.IntRange(1, 9).Draw(t, "port")))
			}
		}
	}
	for _, p := range []string{"/", "/ai", "/ai/"} {
		if rapid.Bool().Draw(t, p) {
			a.Routes = append(a.Routes, Route{Host: "A.test", Path: p, Service: rapid.SampledFrom([]string{"web", "ai"}).Draw(t, "service"), StripPath: rapid.Bool().Draw(t, "strip")})
		}
	}
	if rapid.Bool().Draw(t, "burst") {
		a.Burst = &Burst{Errors: 0.5, Requests: 3, Baseline: 0.1}
	}
	return a
}

func TestGenerationsNeverGoBack(t *testing.T) {
	f := start(t, nil)
	one, two := target(t, says("one")), target(t, says("two"))
	f.put("shop", config(5, vocab.Blue, blue(one)))
	first := f.put("shop", config(5, vocab.Blue, blue(one)))
	if again := f.put("shop", config(5, vocab.Blue, blue(one))); !again.SwitchedAt.Equal(first.SwitchedAt) || !again.Durable {
		t.Errorf("the same again is %+v, want the time of the switch, %v", again, first.SwitchedAt)
	}
	for name, c := range map[string]struct {
		config    App
		different bool
	}{
		"lower":                      {config(4, vocab.Blue, blue(one)), false},
		"lower with another content": {config(1, vocab.Blue, blue(two)), false},
		"equal with another content": {config(5, vocab.Blue, blue(two)), true},
	} {
		_, err := f.Client.Put(t.Context(), "shop", c.config)
		var stale *StaleError
		if !errors.As(err, &stale) || stale.Current != 5 || stale.Different != c.different {
			t.Errorf("%s: %v, want stale at 5, different %v", name, err, c.different)
		}
	}
	if _, body := f.get("/"); body != "one" {
		t.Errorf("a refused one serves: %q", body)
	}
	f.put("shop", config(6, vocab.Blue, blue(two)))
	if _, body := f.get("/"); body != "two" {
		t.Errorf("a higher one does not serve: %q", body)
	}
}

func TestTwoAppsNeverShareARoute(t *testing.T) {
	f := start(t, nil)
	at := target(t, says("x"))
	f.put("shop", config(1, vocab.Blue, blue(at)))
	for _, name := range []string{"aaa", "zzz"} {
		taken := config(1, vocab.Blue, blue(at))
		taken.Routes[0].Host = "A.TEST"
		_, err := f.Client.Put(t.Context(), name, taken)
		wantError(t, err, "a.test/", "the app shop")
		var refusal *Failure
		if !errors.As(err, &refusal) || refusal.Status != 409 || refusal.App != "shop" {
			t.Errorf("%s: %#v", name, err)
		}
		taken.Routes[0].Path = "/other/"
		f.put(name, taken)
		if err := f.Client.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Client.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if err := f.Client.Remove(t.Context(), "shop"); err != nil {
		t.Errorf("removing it again: %v", err)
	}
	if _, err := f.Client.App(t.Context(), "shop"); !errors.Is(err, ErrUnknownApp) {
		t.Errorf("a removed app: %v", err)
	}
	if resp, body := f.get("/"); resp.StatusCode != 404 || !strings.Contains(body, "no app") {
		t.Errorf("a removed route: %s %q", resp.Status, body)
	}
	f.put("zzz", config(1, vocab.Blue, blue(at)))
}

func TestCountersBeginAnewWithWhatTheyCount(t *testing.T) {
	f := start(t, nil)
	at, other := target(t, says("x")), target(t, says("y"))
	app := config(1, vocab.Blue, map[vocab.Colour][]string{vocab.Blue: {at}, vocab.Green: {other}})
	app.Releases = map[vocab.Colour]string{vocab.Blue: "v1", vocab.Green: "v2"}
	f.put("shop", app)
	f.get("/")
	next := func(change func(*App)) uint64 {
		app.Generation++
		change(&app)
		f.put("shop", app)
		return f.counters("shop", vocab.Blue).Requests
	}
	if n := next(func(a *App) { a.Live = vocab.Green }); n != 1 {
		t.Errorf("after a switch away: %d, want 1", n)
	}
	if n := next(func(a *App) { a.Live = vocab.Blue; a.Burst = &Burst{Errors: 1, Requests: 1} }); n != 1 {
		t.Errorf("after a switch back: %d, want 1", n)
	}
	if n := next(func(a *App) { a.Releases = map[vocab.Colour]string{vocab.Blue: "v3"} }); n != 0 {
		t.Errorf("another release on the same addresses: %d, want 0", n)
	}
	f.get("/")
	if n := next(func(a *App) { a.Targets = map[vocab.Colour]map[string][]string{vocab.Blue: {"web": {other}}} }); n != 0 {
		t.Errorf("other addresses: %d, want 0", n)
	}
	f.get("/")
	if n := next(func(a *App) {
		a.Live, a.Targets = vocab.Green, map[vocab.Colour]map[string][]string{vocab.Blue: {"web": {other}}, vocab.Green: {"web": {at}}}
	}); n != 1 {
		t.Errorf("not drained yet: %d, want 1", n)
	}
	if _, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 0, 0); err != nil {
		t.Fatal(err)
	}
	if n := next(func(a *App) { a.Live = vocab.Blue }); n != 0 {
		t.Errorf("after a drain: %d, want 0", n)
	}
}
