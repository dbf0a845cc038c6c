package gitops

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// source is where the repository lies: a local path, an HTTP or an SSH server.
type source interface {
	// look reads where the branches point; it has to be cheap when nothing changed.
	look(ctx context.Context) (visit, error)
}

func newSource(cfg Config, at address) source {
	switch {
	case at.local != "":
		return localSource{path: at.local, limits: cfg.Limits, peeled: new(peels), packed: new(packedCache)}
	case at.ssh != nil:
		return &sshSource{cfg: cfg, at: *at.ssh}
	}
	return &httpSource{cfg: cfg, url: at.remote}
}

// visit is one look at the repository.
type visit interface {
	// tips are where the refs that are asked for point, by full name. It may give more
	// than that; a ref that is not there is not in it.
	tips(ctx context.Context, what ask) (map[string]tip, error)
	// knows reports whether the repository surely can give a commit that no branch
	// points to; false when that is not known.
	knows(ctx context.Context, h plumbing.Hash) bool
	// pack writes one pack of what wants reach and haves do not. has tells which
	// objects are here already.
	pack(ctx context.Context, w io.Writer, wants, haves []plumbing.Hash, has func(plumbing.Hash) bool) error
	close()
}

// advertised is what a server says of its references, by full name: where they point,
// and, for annotated tags, what those stand for.
type advertised struct{ refs, peeled map[string]plumbing.Hash }

func (a advertised) tips(_ context.Context, what ask) (map[string]tip, error) {
	out := make(map[string]tip)
	add := func(name string, h plumbing.Hash) {
		at := tip{commit: h, want: h}
		if commit, ok := a.peeled[name]; ok {
			at.commit = commit
		}
		out[name] = at
	}
	for _, name := range what.exact {
		if h, ok := a.refs[name]; ok {
			add(name, h)
		}
	}
	if len(what.prefixes) > 0 {
		for name, h := range a.refs {
			if slices.ContainsFunc(what.prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
				add(name, h)
			}
		}
	}
	return out, nil
}

// knows cannot be asked: servers say what their references are and nothing else.
func (advertised) knows(context.Context, plumbing.Hash) bool { return false }
