package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

func retry(code release.Code, what string, err error) error {
	return &rollout.EffectError{Fault: rollout.FaultRetry, Code: code, Detail: what, Err: bound(err)}
}

func revert(code release.Code, what string, err error) error {
	return &rollout.EffectError{Fault: rollout.FaultRevert, Code: code, Detail: what, Err: bound(err)}
}

func hold(code release.Code, what string, err error) error {
	return &rollout.EffectError{Fault: rollout.FaultHold, Code: code, Detail: what, Err: bound(err)}
}

// classify turns an error of the engine's into one that says what the caller may
// do, for requests where nothing of the release itself is judged. What only some
// requests can mean (a bad specification, a denied pull) they look at before.
func classify(ctx context.Context, what string, err error) error {
	var known *rollout.EffectError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		// The caller ended it: nobody is to blame.
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	case errors.Is(err, errEngineSlow), client.IsErrConnectionFailed(err):
		return retry(release.EngineUnreachable, what, err)
	case diskFull(err):
		return retry(release.DiskFull, what, err)
	default:
		return retry(release.EngineRefused, what, err)
	}
}

// refused classifies an error of a request that carries the release's own
// specification: an argument that the engine does not take is the release's doing.
func refused(ctx context.Context, what string, err error) error {
	if errdefs.IsInvalidArgument(err) && ctx.Err() == nil && !diskFull(err) {
		return revert(release.CreateFailed, what, err)
	}
	return classify(ctx, what, err)
}

// The engine passes errors of the kernel, of runc and of registries on as text; the
// few that change what to do are known by it. Each is tested on a real engine.

func diskFull(err error) bool {
	return says(err, "no space left on device", "disk quota exceeded")
}

func says(err error, phrases ...string) bool {
	if err == nil {
		return false
	}
	text := strings.ToLower(err.Error())
	for _, p := range phrases {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// maxErrorText bounds what is kept of an engine's message, in bytes.
const maxErrorText = 1024

// boundError prints its cause on one line, escaped and bounded.
type boundError struct{ error }

func (b boundError) Error() string {
	return clip(escape(strings.TrimPrefix(b.error.Error(), "Error response from daemon: ")), maxErrorText)
}
func (b boundError) Unwrap() error { return b.error }

// toldError is our own sentence, in which outside text is escaped and bounded already.
type toldError struct{ error }

func (t toldError) Unwrap() error { return t.error }

func told(format string, args ...any) error { return toldError{fmt.Errorf(format, args...)} }

func bound(err error) error {
	switch err.(type) {
	case nil, toldError, boundError:
		return err
	}
	return boundError{err}
}
