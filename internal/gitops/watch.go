package gitops

import (
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// watcher wakes Run when a reference of a local repository may have moved. Polling
// goes on beside it: a network file system sends no events.
type watcher struct {
	r    *Repo
	fs   *fsnotify.Watcher // nil for a remote repository, or when the system has none left
	hit  chan struct{}     // buffered 1
	done chan struct{}     // closed when the forwarder ended
	on   map[string]bool   // directories that are watched
}

func newWatcher(r *Repo) *watcher {
	w := &watcher{r: r, hit: make(chan struct{}, 1), on: make(map[string]bool)}
	if r.local == "" || !r.notify {
		return w
	}
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		r.cfg.Log.Warn("changes of the repository are only found by polling", "err", err)
		return w
	}
	w.fs, w.done = fs, make(chan struct{})
	go w.forward()
	return w
}

// refresh watches the directories that hold the followed references, as far as they
// exist now: packed-refs lies at the top, loose references below refs. It reports whether
// there are more than before.
func (w *watcher) refresh() (more bool) {
	if w.fs == nil {
		return false
	}
	want := make(map[string]bool)
	if dir, err := gitDirs(w.r.local); err == nil {
		want[dir.common] = true
		what := w.r.cfg.ask()
		// What a prefix finds lies in its directory or below, where the refs of now do.
		for _, name := range slices.Concat(what.exact, what.prefixes, w.r.names()) {
			for at := filepath.Join(dir.common, filepath.FromSlash(name+"x")); at != dir.common; {
				at = filepath.Dir(at)
				want[at] = true
			}
		}
		for _, prefix := range what.prefixes {
			for at := range below(dir.common, prefix) {
				want[at] = true
			}
		}
	} else {
		// Nothing there: be told when it comes.
		want[filepath.Dir(w.r.local)] = true
	}
	for dir := range w.on {
		if !want[dir] {
			_ = w.fs.Remove(dir) // it may be gone already
			delete(w.on, dir)
		}
	}
	for dir := range want {
		// Again each time: a directory that was replaced has lost its watch.
		if w.fs.Add(dir) == nil {
			more = more || !w.on[dir]
			w.on[dir] = true
		}
	}
	return more
}

func (w *watcher) forward() {
	defer close(w.done)
	for {
		select {
		case e, ok := <-w.fs.Events:
			if !ok {
				return
			}
			if w.matters(e.Name) {
				poke(w.hit)
			}
		case err, ok := <-w.fs.Errors:
			if !ok {
				return
			}
			// Events were lost, so a look is due.
			w.r.cfg.Log.Debug("watch error", "err", err)
			poke(w.hit)
		}
	}
}

// maxWatched bounds the directories that one prefix makes watched.
const maxWatched = 256

// below are the directories that may hold references which begin with a prefix.
func below(common, prefix string) map[string]bool {
	out := make(map[string]bool)
	root := filepath.Join(common, filepath.FromSlash(path.Dir(prefix+"x")))
	_ = filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error { // what cannot be read is found by polling
		if err != nil || !e.IsDir() || len(out) >= maxWatched {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(common, at)
		name := filepath.ToSlash(rel) + "/"
		if err != nil || at != root && !strings.HasPrefix(name, prefix) && !strings.HasPrefix(prefix, name) {
			return fs.SkipDir
		}
		out[at] = true
		return nil
	})
	return out
}

// matters leaves out locks and everything that is no reference that is followed.
func (w *watcher) matters(path string) bool {
	if filepath.Base(path) == "packed-refs" || path == w.r.local {
		return true
	}
	path = filepath.ToSlash(path)
	at := strings.LastIndex(path, "/refs/")
	if at < 0 || strings.HasSuffix(path, ".lock") {
		return false
	}
	ref := path[at+1:]
	what := w.r.cfg.ask()
	for _, name := range what.exact {
		if strings.HasPrefix(name+"/", ref+"/") {
			return true
		}
	}
	for _, prefix := range what.prefixes {
		if strings.HasPrefix(ref, prefix) || strings.HasPrefix(prefix, ref+"/") {
			return true
		}
	}
	return false
}

func (w *watcher) close() {
	if w.fs == nil {
		return
	}
	_ = w.fs.Close()
	<-w.done
}
