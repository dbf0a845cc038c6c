package gitops

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tealops/teal/internal/release"
)

// eachFile changes every file below dir that keep takes.
func eachFile(t *testing.T, dir, glob string, change func(path string) error) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, glob))
	if err != nil || len(found) == 0 {
		t.Fatalf("nothing at %s (%v)", glob, err)
	}
	for _, path := range found {
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
	}
}

func zero(path string) error { return os.Truncate(path, 0) }

func half(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// blank overwrites the second half with zero bytes, as a file system does that lost
// its last writes.
func blank(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	clear(data[len(data)/2:])
	return os.WriteFile(path, data, 0o600)
}

// flip turns one bit in every 16 bytes past the head.
func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := 16; i < len(data); i += 16 {
		data[i] ^= 4
	}
	return os.WriteFile(path, data, 0o600)
}

func garbage(path string) error { return os.WriteFile(path, []byte("\xff\x00garbage"), 0o600) }

var damages = map[string]func(t *testing.T, clone string){
	"packs removed": func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.pack", os.Remove) },
	"indexes removed": func(t *testing.T, c string) {
		eachFile(t, c, "objects/pack/*.idx", os.Remove)
	},
	"objects removed":    func(t *testing.T, c string) { eachFile(t, c, "objects", os.RemoveAll) },
	"clone removed":      func(t *testing.T, c string) { eachFile(t, c, "", os.RemoveAll) },
	"packs empty":        func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.pack", zero) },
	"indexes empty":      func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.idx", zero) },
	"packs cut":          func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.pack", half) },
	"indexes cut":        func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.idx", half) },
	"packs half blank":   func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.pack", blank) },
	"indexes half blank": func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.idx", blank) },
	"packs flipped":      func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.pack", flip) },
	"indexes flipped":    func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.idx", flip) },
	"packs garbage":      func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.pack", garbage) },
	"indexes garbage":    func(t *testing.T, c string) { eachFile(t, c, "objects/pack/*.idx", garbage) },
	"head empty":         func(t *testing.T, c string) { eachFile(t, c, "HEAD", zero) },
	"head removed":       func(t *testing.T, c string) { eachFile(t, c, "HEAD", os.Remove) },
	"reference empty":    func(t *testing.T, c string) { eachFile(t, c, "refs/heads/main", zero) },
	"references removed": func(t *testing.T, c string) { eachFile(t, c, "refs", os.RemoveAll) },
	"packed-refs garbage": func(t *testing.T, c string) {
		if err := garbage(filepath.Join(c, "packed-refs")); err != nil {
			t.Fatal(err)
		}
	},
}

// A damaged clone is rebuilt, both when the agent starts with it and when it happens
// under a running one; history is checked all the same.
func TestDamagedCloneIsRebuilt(t *testing.T) {
	o := newOrigin(t)
	for _, name := range []string{"a", "b", "c"} {
		o.write("environments/production/shop/"+name, strings.Repeat(name+" some content\n", 40))
	}
	a := o.commit("content")
	check := func(t *testing.T, cfg Config, r *Repo) {
		t.Helper()
		syncOK(t, r)
		dir, err := wantHead(t, r, a).Sub("environments/production/shop")
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(dir, "a", "b", "c"); err != nil {
			t.Error(err)
		}
		if got := run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "rev-parse", "HEAD"); got != a {
			t.Errorf("clone's HEAD is %s", got)
		}
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			cfg := o.config()
			r := open(t, cfg)
			syncOK(t, r)
			clone := filepath.Join(cfg.Dir, "clone.git")
			damage(t, clone)
			check(t, cfg, r)
			damage(t, clone)
			check(t, cfg, open(t, cfg))
			left, err := os.ReadDir(cfg.Dir)
			if err != nil || len(left) != 2 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// Bits that rot where no time stamp changes are found by the read, which asks for the
// repair.
func TestSilentDamageIsFoundByReading(t *testing.T) {
	o := newOrigin(t)
	o.write("environments/production/shop/a", strings.Repeat("content\n", 100))
	a := o.commit("content")
	cfg := o.config()
	syncOK(t, open(t, cfg))
	r := open(t, cfg) // nothing is cached in memory
	dir, err := wantHead(t, r, a).Sub("environments/production/shop")
	if err != nil {
		t.Fatal(err)
	}
	eachFile(t, filepath.Join(cfg.Dir, "clone.git"), "objects/pack/*.pack", func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := blank(path); err != nil {
			return err
		}
		return os.Chtimes(path, info.ModTime(), info.ModTime())
	})
	if _, err := fs.ReadFile(dir, "a"); err == nil {
		// The blanked half held something else; damage all of it.
		t.Fatal("damaged bytes were read")
	}
	select {
	case <-r.wake:
	default:
		t.Error("the damage did not ask for a look")
	}
	syncOK(t, r)
	if data, err := fs.ReadFile(dir, "a"); err != nil || len(data) != 800 {
		t.Errorf("after the repair: %d bytes, %v", len(data), err)
	}
}

// accepted: A ── B     now: A ── C, and the clone is gone
//
// The rebuild must not let C in, and keeps B while the repository still has it.
func TestRebuildDoesNotForgetHistory(t *testing.T) {
	o := newOrigin(t)
	b := o.commit("B")
	cfg := o.config()
	r := open(t, cfg)
	syncOK(t, r)
	o.git("reset", "-q", "--hard", "HEAD~1")
	o.git("commit", "-q", "--allow-empty", "-m", "C")
	o.git("push", "-q", "-f", "origin", "HEAD")
	clone := filepath.Join(cfg.Dir, "clone.git")
	if err := os.RemoveAll(clone); err != nil {
		t.Fatal(err)
	}
	r = open(t, cfg)
	syncCode(t, r, release.HistoryRewritten)
	wantHead(t, r, b) // the object is still there, though no branch points to it

	// Now it is really gone.
	run(t, o.bare, nil, "reflog", "expire", "--expire=now", "--all")
	run(t, o.bare, nil, "gc", "-q", "--prune=now")
	if err := os.RemoveAll(clone); err != nil {
		t.Fatal(err)
	}
	r = open(t, cfg)
	for range 2 {
		syncCode(t, r, release.HistoryRewritten)
		if s, ok := r.Head(); ok {
			t.Fatalf("head %s", s.Commit())
		}
	}
	if err := r.Adopt(t.Context(), o.git("rev-parse", "HEAD")); err != nil {
		t.Fatal(err)
	}
	wantHead(t, r, o.git("rev-parse", "HEAD"))
}

func TestLostStateIsLoud(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"removed": os.Remove,
		"empty":   zero,
		"cut":     half,
		"garbage": garbage,
		"flipped": flip,
		"directory": func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
		"another commit": func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			at := strings.Index(string(data), `"commit": "`) + len(`"commit": "`)
			copy(data[at:], strings.Repeat("a", 40))
			return os.WriteFile(path, data, 0o600)
		},
		"newer version": func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(strings.Replace(string(data), `"version": 1`, `"version": 2`, 1)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			a := o.git("rev-parse", "HEAD")
			cfg := o.config()
			syncOK(t, open(t, cfg))
			if err := damage(filepath.Join(cfg.Dir, "accepted.json")); err != nil {
				t.Fatal(err)
			}
			r := open(t, cfg)
			if st := r.Status(); st.Code != release.GitStateLost {
				t.Fatalf("status %+v", st)
			}
			o.commit("B")
			syncCode(t, r, release.GitStateLost)
			if s, ok := r.Head(); ok {
				t.Fatalf("head %s without a record", s.Commit())
			}
			if err := r.Adopt(t.Context(), strings.Repeat("b", 40)); err == nil {
				t.Error("adopted a commit that is not there")
			}
			syncCode(t, r, release.GitStateLost)
			if name == "directory" { // what cannot be replaced stays lost
				if err := r.Adopt(t.Context(), a); err == nil {
					t.Error("adopted without a durable record")
				}
				syncCode(t, r, release.GitStateLost)
				return
			}
			if err := r.Adopt(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			wantHead(t, r, o.git("rev-parse", "HEAD"))
			syncOK(t, open(t, cfg))
		})
	}
}

// What a crash leaves beside the clone is cleared away, and a swap that was half done
// is undone.
func TestCrashLeftovers(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	cfg := o.config()
	syncOK(t, open(t, cfg))
	clone := filepath.Join(cfg.Dir, "clone.git")
	if err := os.Rename(clone, clone+".old"); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{"clone.git.new-1/objects/pack", "clone.git.new-2"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, left), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(clone+".old", "objects/pack/tmp_pack_1"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, cfg)
	wantHead(t, r, a)
	left, err := filepath.Glob(filepath.Join(cfg.Dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if tmp, _ := filepath.Glob(filepath.Join(clone, "objects/pack/tmp*")); len(tmp) != 0 {
		t.Errorf("left behind: %v", tmp)
	}
	// Record written, clone not yet renamed.
	if err := os.Rename(clone, filepath.Join(cfg.Dir, "clone.git.new-3")); err != nil {
		t.Fatal(err)
	}
	r = open(t, cfg)
	if st := r.Status(); st.Code != "" {
		t.Fatalf("status %+v", st)
	}
	syncOK(t, r)
	wantHead(t, r, a)
}

// git gc in the clone, by an operator or a cron job, breaks nothing.
func TestGarbageCollectionInTheClone(t *testing.T) {
	o := newOrigin(t)
	cfg := o.config()
	r := open(t, cfg)
	syncOK(t, r)
	o.write("environments/production/shop/a", "content\n")
	b := o.commit("B")
	syncOK(t, r)
	dir, err := wantHead(t, r, b).Sub("environments/production/shop")
	if err != nil {
		t.Fatal(err)
	}
	run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "gc", "-q", "--prune=now")
	if _, err := fs.ReadFile(dir, "a"); err != nil {
		t.Error(err)
	}
	syncOK(t, r)
	wantHead(t, r, b)
}
