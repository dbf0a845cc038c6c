package gitops

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/tealops/teal/internal/release"
)

// Error is why the repository, or a head of it, is not used. Code says what an
// operator may do (release.Lookup).
type Error struct {
	Code   release.Code
	Detail string // one line; outside text in it is escaped and bounded
	Err    error  // cause, may be nil; Error shows it escaped and bounded too
}

func (e *Error) Error() string {
	text := e.Detail
	switch {
	case e.Err == nil:
	case text == "":
		text = e.Err.Error()
	default:
		text += ": " + e.Err.Error()
	}
	return plain(text, detailMax)
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(code release.Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

var (
	errFetchTooSlow = errors.New("the fetch took longer than its timeout")
	errWrongType    = errors.New("object is of another type than the tree says")
)

// objectError says that a store lacks an object or holds it damaged: the clone has
// to be rebuilt, or the server did not send all.
type objectError struct {
	hash string
	err  error
}

func (e *objectError) Error() string { return fmt.Sprintf("read object %s: %v", e.hash, e.err) }
func (e *objectError) Unwrap() error { return e.err }

// tooLargeError says that something is larger than a limit.
type tooLargeError struct {
	what  string
	limit int64
}

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than the limit of %d", e.what, e.limit)
}

// classify gives every error that leaves the package its code.
func classify(err error) *Error {
	if err == nil {
		return nil
	}
	if known := (*Error)(nil); errors.As(err, &known) {
		return known
	}
	if large := (*tooLargeError)(nil); errors.As(err, &large) {
		return &Error{Code: release.RepoTooLarge, Err: err}
	}
	if entry := (*EntryError)(nil); errors.As(err, &entry) {
		return &Error{Code: entry.Code, Err: err}
	}
	switch {
	case errors.Is(err, errWrongType), errors.Is(err, errMalformedTree):
		return &Error{Code: release.UnsafeEntry, Err: err}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Error{Code: release.DiskFull, Err: err}
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return &Error{Code: release.RepoAuthRefused, Err: err}
	case errors.Is(err, context.Canceled):
		return &Error{Code: release.RepoUnreachable, Detail: "the fetch was interrupted", Err: err}
	}
	return &Error{Code: release.RepoUnreachable, Err: err}
}
