package gitops

import (
	"context"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// source is where the repository lies: a local path or an HTTP server.
type source interface {
	// look reads where the branches point; it has to be cheap when nothing changed.
	look(ctx context.Context) (visit, error)
}

// visit is one look at the repository.
type visit interface {
	// branch is where refs/heads/<name> points; ok is false when there is none.
	branch(name string) (h plumbing.Hash, ok bool, err error)
	// knows reports whether the repository surely can give a commit that no branch
	// points to; false when that is not known.
	knows(ctx context.Context, h plumbing.Hash) bool
	// pack writes one pack of what wants reach and haves do not. has tells which
	// objects are here already.
	pack(ctx context.Context, w io.Writer, wants, haves []plumbing.Hash, has func(plumbing.Hash) bool) error
	close()
}
