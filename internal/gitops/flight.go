package gitops

import (
	"context"
	"errors"
)

// flight is one look at the repository that any number of callers wait for.
type flight struct {
	done chan struct{}
	err  error // set before done is closed
}

// Sync looks at the repository now and returns what came of it, whether or not Run is
// active. What was pushed before the call is seen: callers that come while a look is
// under way share the one after it. The error is nil or an *Error with the code of
// Status; ctx ends the wait with its own error.
func (r *Repo) Sync(ctx context.Context) (Status, error) {
	for {
		f, before, leads := r.board()
		if !leads {
			select {
			case <-f.done:
				if ctx.Err() == nil && isInterrupted(f.err) {
					continue // its leader gave up, not the repository
				}
				return r.Status(), f.err
			case <-ctx.Done():
				return r.Status(), context.Cause(ctx)
			}
		}
		if before != nil {
			select {
			case <-before.done:
			case <-ctx.Done():
				r.land(f, errInterrupted)
				return r.Status(), context.Cause(ctx)
			}
		}
		err := r.attempt(ctx, zeroHash)
		if ctx.Err() != nil {
			r.land(f, errInterrupted)
			return r.Status(), context.Cause(ctx)
		}
		r.land(f, err)
		return r.Status(), err
	}
}

// board finds the look that a caller shares or leads; before is what a leader has to
// wait for.
func (r *Repo) board() (f, before *flight, leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.current == nil:
		r.current = &flight{done: make(chan struct{})}
		return r.current, nil, true
	case r.next == nil:
		r.next = &flight{done: make(chan struct{})}
		return r.next, r.current, true
	}
	return r.next, nil, false
}

// land ends a look, and the waiting one takes its place.
func (r *Repo) land(f *flight, err error) {
	r.mu.Lock()
	switch f {
	case r.current:
		r.current, r.next = r.next, nil
	case r.next:
		r.next = nil
	}
	r.mu.Unlock()
	f.err = err
	close(f.done)
}

var errInterrupted = errors.New("the caller gave up")

func isInterrupted(err error) bool { return errors.Is(err, errInterrupted) }
