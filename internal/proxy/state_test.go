package proxy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/vocab"
)

// reopen is what a restart makes of a state directory.
func reopen(t *testing.T, dir string) *Proxy {
	t.Helper()
	p, err := New(Options{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustPut(t *testing.T, p *Proxy, app string, a App) Switched {
	t.Helper()
	done, err := p.Put(t.Context(), app, a)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func generationOf(t *testing.T, p *Proxy, app string) uint64 {
	t.Helper()
	st, err := p.App(app)
	if err != nil {
		t.Fatal(err)
	}
	return st.Generation
}

func TestRestartServesTheLastPut(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		for _, name := range []string{"state.json", "state.json.last"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				rt.Fatal(err)
			}
		}
		p := reopen(t, dir)
		want := map[string]App{}
		for range rapid.IntRange(1, 6).Draw(rt, "puts") {
			name := rapid.SampledFrom([]string{"shop", "blog"}).Draw(rt, "app")
			if rapid.IntRange(0, 9).Draw(rt, "remove") == 0 {
				if _, err := p.Remove(t.Context(), name); err == nil {
					delete(want, name)
				}
				continue
			}
			a := genApp(rt)
			for i := range a.Routes {
				a.Routes[i].Host = name + ".test"
			}
			if _, err := p.Put(t.Context(), name, a); err == nil {
				want[name] = a.normal()
			}
		}
		again := reopen(t, dir)
		got := again.Apps()
		if len(got) != len(want) {
			rt.Fatalf("after a restart %v, want %v", got, want)
		}
		for name, a := range want {
			if !got[name].App.equal(a) || !got[name].Durable {
				rt.Fatalf("%s after a restart %+v, want %+v", name, got[name].App, a)
			}
		}
	})
}

func TestEveryDamageFallsBackToTheGoodCopy(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"empty":         func([]byte) []byte { return nil },
		"cut":           func(d []byte) []byte { return d[:len(d)/2] },
		"zeros":         func(d []byte) []byte { return make([]byte, len(d)) },
		"one letter":    func(d []byte) []byte { return []byte(strings.Replace(string(d), "a.test", "b.test", 1)) },
		"more behind":   func(d []byte) []byte { return append(d, "{}"...) },
		"unknown field": func(d []byte) []byte { return []byte(strings.Replace(string(d), `"version"`, `"x":1,"version"`, 1)) },
		"newer":         func(d []byte) []byte { return []byte(strings.Replace(string(d), `"version":1`, `"version":2`, 1)) },
		"version zero":  func(d []byte) []byte { return []byte(strings.Replace(string(d), `"version":1`, `"version":0`, 1)) },
		"huge":          func([]byte) []byte { return make([]byte, maxState+1) },
		"missing":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := reopen(t, dir)
			mustPut(t, p, "shop", config(1, vocab.Blue, blue("127.0.0.1:1")))
			mustPut(t, p, "shop", config(2, vocab.Blue, blue("127.0.0.1:2")))
			file := filepath.Join(dir, "state.json")
			if damage == nil {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			} else {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, damage(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p = reopen(t, dir)
			if got := generationOf(t, p, "shop"); got != 1 {
				t.Errorf("serves generation %d, want the copy's 1", got)
			}
			if all, _ := p.events.after(0); len(all) != 1 || all[0].Kind != EventAlarm || !strings.Contains(all[0].Text, "one switch behind") {
				t.Errorf("nobody is told: %+v", all)
			}
			// The next write must not put the damaged file in the place of the copy.
			mustPut(t, p, "shop", config(3, vocab.Blue, blue("127.0.0.1:3")))
			if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := generationOf(t, reopen(t, dir), "shop"); got != 1 {
				t.Errorf("after another damage generation %d, want the copy's 1", got)
			}
		})
	}
}

func TestAStateThatCannotBeReadIsNeverNoRoutes(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		for _, name := range []string{"state.json", "state.json.last"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("damaged")
	_, err := New(Options{StateDir: dir})
	wantError(t, err, "state.json", "state.json.last", "-accept-empty")

	f := start(t, func(opt *Options, _ *Proxy) { opt.StateDir, opt.AcceptEmpty = dir, true })
	if resp, body := f.get("/"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "does not know all of its apps") {
		t.Errorf("an unknown host: %s %q", resp.Status, body)
	}
	wantError(t, f.Client.Health(t.Context()), "started without its state")
	f.put("shop", config(1, vocab.Blue, blue(target(t, says("x")))))
	if _, body := f.get("/"); body != "x" {
		t.Errorf("a host that was put again: %q", body)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*.unreadable-*"))
	if err != nil || len(kept) != 2 {
		t.Errorf("the damaged files are not kept: %v %v", kept, err)
	}

	write(`{"version":9}`)
	_, err = New(Options{StateDir: dir, AcceptEmpty: true})
	wantError(t, err, "newer version", "start the version that wrote it")
}

func TestAFullDiskDoesNotStopASwitch(t *testing.T) {
	dir := t.TempDir()
	full := true
	f := start(t, func(opt *Options, p *Proxy) {
		opt.StateDir = dir
		if p != nil {
			p.store.write = func(file string, data []byte) error {
				if full {
					return errDisk
				}
				return writeSynced(file, data)
			}
		}
	})
	one, two := target(t, says("one")), target(t, says("two"))
	full = false
	if done := f.put("shop", config(1, vocab.Blue, blue(one))); !done.Durable {
		t.Errorf("%+v", done)
	}
	f.Proxy.mu.Lock()
	full = true
	f.Proxy.mu.Unlock()
	if done := f.put("shop", config(2, vocab.Blue, blue(two))); done.Durable {
		t.Errorf("a switch on a full disk says it is durable: %+v", done)
	}
	if _, body := f.get("/"); body != "two" {
		t.Errorf("a switch on a full disk did not happen: %q", body)
	}
	alarms := 0
	all, _ := f.Proxy.events.after(0)
	for _, e := range all {
		if e.Kind == EventAlarm && strings.Contains(e.Text, "no space left") {
			alarms++
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms, want 1", alarms)
	}
	wantError(t, f.Client.Health(t.Context()), "not on disk")
	if st, err := f.Client.App(t.Context(), "shop"); err != nil || st.Durable {
		t.Errorf("%+v %v", st, err)
	}
	if got := generationOf(t, reopen(t, dir), "shop"); got != 1 {
		t.Errorf("the disk has generation %d, want 1", got)
	}
	f.Proxy.mu.Lock()
	full = false
	f.Proxy.mu.Unlock()
	if done := f.put("shop", config(2, vocab.Blue, blue(two))); !done.Durable { // the same again tries again
		t.Errorf("with room again: %+v", done)
	}
	if err := f.Client.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if got := generationOf(t, reopen(t, dir), "shop"); got != 2 {
		t.Errorf("the disk has generation %d, want 2", got)
	}
}

func TestARealFilesystemThatIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no filesystem of its own: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	p := reopen(t, dir)
	if done := mustPut(t, p, "shop", config(1, vocab.Blue, blue("127.0.0.1:1"))); !done.Durable {
		t.Fatalf("%+v", done)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the filesystem is not full: %v", err)
	}
	if done := mustPut(t, p, "shop", config(2, vocab.Blue, blue("127.0.0.1:2"))); done.Durable {
		t.Errorf("%+v", done)
	}
	if got := generationOf(t, p, "shop"); got != 2 {
		t.Errorf("serves generation %d", got)
	}
	if got := generationOf(t, reopen(t, dir), "shop"); got != 1 {
		t.Errorf("the disk has generation %d", got)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if done := mustPut(t, p, "shop", config(3, vocab.Blue, blue("127.0.0.1:3"))); !done.Durable {
		t.Errorf("%+v", done)
	}
	if got := generationOf(t, reopen(t, dir), "shop"); got != 3 {
		t.Errorf("the disk has generation %d", got)
	}
}

func FuzzState(f *testing.F) {
	good, err := encodeState(saved{Seq: 7, Apps: map[string]App{"shop": config(1, vocab.Blue, blue("127.0.0.1:1")).normal()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"sha256":"","state":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := decodeState(data)
		if err != nil {
			return
		}
		again, err := encodeState(st)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeState(again)
		if err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		for name, a := range st.Apps {
			if !a.equal(back.Apps[name]) {
				t.Fatalf("%s changed on its way", name)
			}
		}
	})
}
