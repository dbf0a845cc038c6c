package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/ui"
)

const (
	pollEvery = 250 * time.Millisecond
	// pollLimit is how long an agent may think about one status.
	pollLimit = 10 * time.Second
	// unfetched is how long an app may be unknown: its first commit may not be fetched yet.
	unfetched = 30 * time.Second
)

// watching says what is followed and until when.
type watching struct {
	app     string                      // empty: all
	timeout time.Duration               // 0: no limit
	over    func(api.Status) bool       // nil: for ever
	verdict func([]api.AppStatus) error // of the last status
}

// watch follows the status: a repainted screen on a terminal, one line per change
// otherwise. An agent that goes away is waited for.
func (t *tool) watch(ctx context.Context, w watching) error {
	if t.format == "name" {
		return usage(errors.New("names do not change: -o name goes with neither --watch nor --wait; use -o json"))
	}
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, w.timeout, errTimeout)
		defer cancel()
	}
	show := t.viewer(w.app)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)
	began := time.Now()
	var last api.Status
	for {
		st, err := t.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return t.watchEnded(ctx, last)
		case err != nil && last.Kind != "" && away(err):
			show.away(err)
		case err != nil:
			return err
		default:
			if w.app != "" {
				if _, err := find(st, w.app); err != nil {
					if w.over != nil && time.Since(began) < unfetched {
						break
					}
					return err
				}
				st.Apps = only(st.Apps, w.app)
			}
			last = st
			if err := show.status(st); err != nil {
				return err
			}
			if w.over != nil && w.over(st) {
				return w.verdict(st.Apps)
			}
		}
		for waiting := time.After(pollEvery); waiting != nil; {
			select {
			case <-ctx.Done():
				return t.watchEnded(ctx, last)
			case <-resized:
				show.repaint()
			case <-waiting:
				waiting = nil
			}
		}
	}
}

// poll asks for the status, within pollLimit.
func (t *tool) poll(ctx context.Context) (api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	return t.client().Status(ctx)
}

// away reports whether the agent could not be talked to at all: it is restarted, upgraded
// or hung, and will be back.
func away(err error) bool {
	var f *api.Failure
	return errors.Is(err, api.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &f)
}

// watchEnded says that what was watched goes on.
func (t *tool) watchEnded(ctx context.Context, last api.Status) error {
	if context.Cause(ctx) == errTimeout {
		return exitError{exitTimeout, errTimeout}
	}
	var busy []string
	for _, a := range last.Apps {
		if a.Deploy != nil {
			busy = append(busy, a.App)
		}
	}
	text := "interrupted; the agent goes on, nothing is being deployed"
	if len(busy) > 0 {
		text = "interrupted; the deployment of " + strings.Join(busy, ", ") + " goes on"
	}
	return exitError{exitInterrupted, &advice{err: errors.New(text), code: release.Interrupted}}
}

// viewer shows one status after the other.
type viewer struct {
	t     *tool
	app   string
	tty   bool
	paint ui.Painter
	st    api.Status
	gone  time.Time // since when the agent does not answer
	lines map[string]string
}

func (t *tool) viewer(app string) *viewer {
	repaints := t.terminal() && t.draws() && os.Getenv("TERM") != "dumb" // a dumb one cannot move its cursor
	return &viewer{t: t, app: app, tty: repaints, lines: map[string]string{}}
}

func (v *viewer) status(st api.Status) error {
	if !v.gone.IsZero() {
		if !v.tty {
			fmt.Fprintf(v.t.err, "tealctl: the agent answers again after %s\n", ui.Short(time.Since(v.gone)))
		}
		v.gone = time.Time{}
	}
	v.st = st
	if v.tty {
		v.repaint()
		return nil
	}
	style := v.t.style()
	for _, a := range st.Apps {
		line := style.Transition(a, st.Now)
		_, key, _ := strings.Cut(line, " ") // without the time
		if v.lines[a.App] == key {
			continue
		}
		v.lines[a.App] = key
		if err := v.change(appChange{api.Meta{APIVersion: api.Version, Kind: "AppStatus"}, st.Now, a}, line); err != nil {
			return err
		}
	}
	return nil
}

// change prints one change of an app: a line, or a document.
func (v *viewer) change(c appChange, line string) error {
	switch v.t.format {
	case "json":
		return json.NewEncoder(v.t.out).Encode(c)
	case "yaml":
		fmt.Fprintln(v.t.out, "---")
		return v.t.print(c, nil)
	}
	_, err := fmt.Fprintln(v.t.out, line)
	return err
}

// appChange is one line of status -w -o json.
type appChange struct {
	api.Meta
	Now time.Time `json:"now"`
	api.AppStatus
}

// away says once that the agent does not answer.
func (v *viewer) away(err error) {
	v.t.debug.Debug("trying again", "after", pollEvery, "err", err)
	if v.gone.IsZero() {
		v.gone = time.Now()
		if !v.tty {
			fmt.Fprintf(v.t.err, "tealctl: %v; what it deployed goes on serving; trying again\n", err)
		}
	}
	if v.tty {
		v.repaint()
	}
}

// repaint draws the newest status in the terminal's present size.
func (v *viewer) repaint() {
	if !v.tty || v.st.Kind == "" {
		return
	}
	style := v.t.style()
	width, height := v.t.size()
	frame := style.Watch(v.st, v.app)
	if !v.gone.IsZero() {
		frame += style.Mark(ui.Note, "the agent does not answer since "+ui.Short(time.Since(v.gone))+"; what it deployed goes on serving; trying again") + "\n"
	}
	fmt.Fprint(v.t.out, v.paint.Paint(frame, width, height))
}
