package gitops

import (
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// dirCache remembers large directories by the name of their tree: the one that holds
// every app of an environment is asked for each of them, and reading, hashing and decoding
// it each time would make the work grow with the square of the apps. A name stands for
// one content, so nothing here gets old.
type dirCache struct {
	mu   sync.Mutex // guards the rest
	of   map[plumbing.Hash]*dirIndex
	at   map[dirPlace]*dirIndex // the directories on the way to what was asked for
	held int
}

// dirPlace is a directory of one tree.
type dirPlace struct {
	root plumbing.Hash
	dir  string
}

// maxPlaces bounds the places that are remembered.
const maxPlaces = 1000

// dirIndex is one directory by name.
type dirIndex struct {
	count int
	fold  map[string][]entry // by name in lower case
	apps  *appList           // what Apps makes of it, once asked; guarded by the cache
}

type appList struct {
	names []string
	err   error
}

// dirsMax bounds the entries that are remembered, about 150 bytes each.
const dirsMax = 200_000

func (c *dirCache) get(h plumbing.Hash) *dirIndex {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[h]
}

func (c *dirCache) put(h plumbing.Hash, entries []entry) *dirIndex {
	d := &dirIndex{count: len(entries), fold: make(map[string][]entry, len(entries))}
	for _, e := range entries {
		key := strings.ToLower(e.name)
		d.fold[key] = append(d.fold[key], e)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held += len(entries) + 1; c.of == nil || c.held > dirsMax {
		c.of, c.at, c.held = make(map[plumbing.Hash]*dirIndex), nil, len(entries)+1
	}
	c.of[h] = d
	return d
}

// appsOf gives the list that was made of a directory before.
func (c *dirCache) appsOf(h plumbing.Hash) *appList {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.of[h]; d != nil {
		return d.apps
	}
	return nil
}

func (c *dirCache) keepApps(h plumbing.Hash, list *appList) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.of[h]; d != nil {
		d.apps = list
	}
}

// known is a directory below one that was asked before: two look-ups. ok is false when it
// has to be looked for, which also says what is wrong with it.
func (c *dirCache) known(root plumbing.Hash, dir string, limit int) (h plumbing.Hash, ok bool) {
	i := strings.LastIndexByte(dir, '/')
	if i < 0 {
		return h, false
	}
	c.mu.Lock()
	d := c.at[dirPlace{root, dir[:i]}]
	c.mu.Unlock()
	name := dir[i+1:]
	if d == nil || d.count > limit {
		return h, false
	}
	if e := d.fold[strings.ToLower(name)]; len(e) == 1 && e[0].name == name && e[0].isDir() && checkName(name) == "" {
		return e[0].hash, true
	}
	return h, false
}

// place notes where a directory was found, if it is one that is remembered.
func (c *dirCache) place(root plumbing.Hash, dir string, h plumbing.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.of[h]
	if d == nil {
		return
	}
	if c.at == nil || len(c.at) >= maxPlaces {
		c.at = make(map[dirPlace]*dirIndex)
	}
	c.at[dirPlace{root, dir}] = d
}

// find is one name of a directory, checked as pick does it.
func (t *treeFS) find(h plumbing.Hash, dir, name string) (entry, error) {
	if t.dirs == nil {
		entries, err := t.entries(h, dir)
		if err != nil {
			return entry{}, err
		}
		return pick(entries, dir, name)
	}
	d := t.dirs.get(h)
	if d == nil {
		entries, err := t.entries(h, dir)
		if err != nil {
			return entry{}, err
		}
		d = t.dirs.put(h, entries)
	}
	if d.count > t.limits.Entries {
		return entry{}, &EntryError{release.EntryTooLarge, escape(dir, 500), modeDir, tooManyEntries(t.limits.Entries)}
	}
	return pick(d.fold[strings.ToLower(name)], dir, name)
}
