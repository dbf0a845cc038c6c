package gitops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// Repo follows refs of one repository. Make it with Open.
type Repo struct {
	cfg    Config
	local  string   // path of a local repository, or ""
	places []*place // never changes; what is in them is guarded by trying
	now    func() time.Time
	notify bool // watch a local repository with fsnotify; tests of the poll turn it off
	merge  int  // packs above which they are joined

	changed chan struct{} // buffered 1; a waiting value stands for any number of changes
	wake    chan struct{} // buffered 1; asks Run for an early look

	dirs dirCache // of all Snapshots

	trying   sync.Mutex // held for a whole look; guards the next block
	source   source     // of the place that is asked
	asked    int        // which one that is
	answered int        // which one answered last
	rec      accepted
	lost     *Error              // accepted.json cannot be used
	looked   map[string]lookedAt // by ref: what the last look saw
	saw      []string            // the names in looked, in their order
	known    known               // verified objects of the current clone
	print    string              // fingerprint of the clone when it was last known good
	hopeless string              // heads for which a new clone was built and not used
	noMerge  bool                // merging packs did not work out; do not try each time

	mu            sync.Mutex // guards the rest; never held while reading or fetching
	store         *store     // nil without a clone
	followed      []string   // full names: what is desired in its order, then evidence
	heads         map[string]Snapshot
	seen          map[string]record // of what is accepted
	status        Status
	suspect       bool // a read failed: rebuild the clone at the next look
	current, next *flight
}

// lookedAt is a head that was judged, so that it is not fetched and judged again at
// every poll.
type lookedAt struct {
	head    plumbing.Hash
	present bool
	refused string // why it was not even looked at
	verdict *Error // nil: accepted
}

// Open reads the state in Config.Dir and starts nothing. What was accepted before is
// usable at once when the clone still has it, without touching the network. A
// damaged or missing record is not an error here but Status.Code git_state_lost: what
// runs keeps running, and only Adopt leads out of it. Errors are an invalid Config or
// a directory that cannot be used.
func Open(cfg Config) (*Repo, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.orDefault()
	addr, err := parseAddress(cfg.URL)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	if err := sweepClones(cfg.Dir); err != nil {
		return nil, err
	}
	r := &Repo{
		cfg: cfg, local: addr.local, now: time.Now, notify: true, merge: packsMax,
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		looked: make(map[string]lookedAt), heads: make(map[string]Snapshot),
	}
	if r.places, err = newPlaces(cfg, addr); err != nil {
		return nil, err
	}
	r.source = r.places[0].source
	if r.rec, err = r.recall(); err != nil {
		r.lost = &Error{Code: release.GitStateLost, Detail: "read the record of accepted commits in " + cfg.Dir, Err: err}
		r.status.Code, r.status.Detail = r.lost.Code, r.lost.Error()
		cfg.Log.Error("git state is lost, nothing is followed", "dir", cfg.Dir, "err", err)
		return r, nil
	}
	r.reopen()
	return r, nil
}

// recall loads accepted.json. There is none before the first head is accepted; then
// there is no clone either, as the record is written before the clone gets its name.
func (r *Repo) recall() (accepted, error) {
	fresh := accepted{RepoID: r.cfg.RepoID, Refs: make(map[string]record)}
	rec, err := loadAccepted(r.cfg.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && exists(r.clonePath()):
		return accepted{}, errors.New("accepted.json is gone, but a clone is there")
	case errors.Is(err, fs.ErrNotExist):
		return fresh, nil
	case err != nil:
		return accepted{}, err
	case rec.RepoID != r.cfg.RepoID:
		// Root pinned another repository: its history has nothing to do with this one.
		r.cfg.Log.Warn("repository id changed, history starts anew", "was", rec.RepoID, "repo_id", r.cfg.RepoID)
		return fresh, nil
	}
	return rec, nil
}

// reopen offers what the clone still has of the recorded heads.
func (r *Repo) reopen() {
	r.followed, r.seen = r.remembered(), maps.Clone(r.rec.Refs)
	for _, name := range r.followed {
		b, ok := r.rec.Refs[name]
		st := RefStatus{Name: name, Head: b.Commit, Desired: r.cfg.desired(name)}
		if b.Refused != "" {
			v := rewritten(name, b)
			st.Code, st.Detail = v.Code, v.Error()
			if r.status.Code == "" {
				r.status.Code, r.status.Detail = v.Code, v.Error()
			}
		}
		if ok {
			r.status.Refs = append(r.status.Refs, st)
		}
	}
	if !exists(r.clonePath()) {
		return
	}
	r.store = openClone(r.clonePath(), false)
	r.print = r.fingerprint()
	for _, name := range r.followed {
		b, ok := r.rec.Refs[name]
		if !ok {
			continue
		}
		snap, err := r.holds(context.Background(), r.store, plumbing.NewHash(b.Commit))
		if err != nil {
			r.suspect = true
			r.cfg.Log.Warn("clone is damaged, it will be rebuilt", "ref", name, "err", err)
			continue
		}
		r.heads[name] = snap
	}
	r.status.Head, r.status.Evidence = r.first().Commit(), r.heads[branchRef(r.cfg.Evidence)].Commit()
}

// remembered are the followed refs as the record knows them, before the first look.
func (r *Repo) remembered() []string {
	tips := make(map[string]tip)
	for name, b := range r.rec.Refs {
		if !b.Gone {
			tips[name] = tip{commit: plumbing.NewHash(b.Commit)}
		}
	}
	var names []string
	for _, t := range r.cfg.targets(tips, slices.Collect(maps.Keys(tips))) {
		if strings.HasPrefix(t.name, "refs/") {
			names = append(names, t.name)
		}
	}
	return names
}

// holds makes a Snapshot of a commit after finding every object of its tree.
func (r *Repo) holds(ctx context.Context, s *store, h plumbing.Hash) (Snapshot, error) {
	snap, err := newSnapshot(r, s, h, r.cfg.Limits)
	if err != nil {
		return Snapshot{}, err
	}
	if _, err := complete(ctx, s, snap.tree, nil, false, r.cfg.Limits); err != nil {
		return Snapshot{}, err
	}
	snap.dirs = &r.dirs
	return snap, nil
}

// names are the followed refs by full name: what is desired in its order, then evidence.
func (r *Repo) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.followed
}

// Head is the last accepted commit of the first followed ref that has one; false before
// the first, or while a damaged clone waits for its repair. Desired gives all of them.
func (r *Repo) Head() (Snapshot, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.first()
	return s, !s.commit.IsZero()
}

// first is Head; mu is held.
func (r *Repo) first() Snapshot {
	for _, name := range r.followed {
		if s, ok := r.heads[name]; ok && r.cfg.desired(name) {
			return s
		}
	}
	return Snapshot{}
}

// EvidenceHead is the last accepted commit of the evidence branch.
func (r *Repo) EvidenceHead() (Snapshot, bool) { return r.head(branchRef(r.cfg.Evidence)) }

func (r *Repo) head(full string) (Snapshot, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.heads[full]
	return s, ok
}

// Changed wakes when a head or Status.Code changed. One value stands for any number
// of changes, so read Head and Status after it. It is never closed.
func (r *Repo) Changed() <-chan struct{} { return r.changed }

// Status is where following stands now.
func (r *Repo) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Refs = slices.Clone(s.Refs)
	return s
}

// object makes a Repo a source of objects: it reads from the current clone, opens it
// anew when something is missing (git gc may have moved it), and asks for a repair
// when that does not help.
func (r *Repo) object(h plumbing.Hash, typ plumbing.ObjectType, max int64) ([]byte, error) {
	for again := false; ; again = true {
		r.mu.Lock()
		s := r.store
		r.mu.Unlock()
		if s == nil {
			return nil, &objectError{h.String(), errors.New("there is no clone")}
		}
		data, err := s.object(h, typ, max)
		if damaged := (*objectError)(nil); !errors.As(err, &damaged) {
			return data, err
		}
		r.mu.Lock()
		switch {
		case r.store != s: // replaced while we read
		case !again:
			r.store = openClone(r.clonePath(), false)
		default:
			r.suspect = true
			r.mu.Unlock()
			poke(r.wake)
			return nil, err
		}
		r.mu.Unlock()
	}
}

// has reports whether the clone holds an object. One that is missing is no damage.
func (r *Repo) has(h plumbing.Hash) bool {
	r.mu.Lock()
	s := r.store
	r.mu.Unlock()
	return s != nil && s.has(h)
}

// poke sends on a channel of capacity one without waiting.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
