package gitops

import (
	"path/filepath"
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
// exist now: packed-refs lies at the top, loose references below refs/heads.
func (w *watcher) refresh() {
	if w.fs == nil {
		return
	}
	want := make(map[string]bool)
	if dir, err := gitDirs(w.r.local); err == nil {
		want[dir.common] = true
		for _, name := range w.r.branches() {
			for at := filepath.Join(dir.common, "refs", "heads", filepath.FromSlash(name)); at != dir.common; {
				at = filepath.Dir(at)
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
			w.on[dir] = true
		}
	}
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

// matters leaves out locks and everything that is no reference of a followed branch.
func (w *watcher) matters(path string) bool {
	if filepath.Base(path) == "packed-refs" || path == w.r.local {
		return true
	}
	path = filepath.ToSlash(path) + "/"
	at := strings.LastIndex(path, "/refs/heads/")
	if at < 0 {
		return false
	}
	ref := path[at+len("/refs/"):]
	for _, name := range w.r.branches() {
		if strings.HasPrefix("heads/"+name+"/", ref) {
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
