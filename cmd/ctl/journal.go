package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/ui"
)

// eventReply is one journal record as -o json prints it, one a line.
type eventReply struct {
	api.Meta
	Seq    uint64          `json:"seq"`
	Time   time.Time       `json:"time"`
	App    string          `json:"app,omitempty"`
	Record string          `json:"record"` // the kind of record
	Text   string          `json:"text"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// journal prints the agent's journal after a number. Following, it takes up again where it
// was when the agent was away.
func (t *tool) journal(ctx context.Context, app string, since uint64, follow bool) error {
	began, answered := time.Time{}, false
	for {
		err := t.client().Events(ctx, app, since, follow, func(e api.Event) error {
			if !began.IsZero() {
				fmt.Fprintf(t.err, "tealctl: the agent answers again after %s\n", ui.Short(time.Since(began)))
				began = time.Time{}
			}
			since, answered = e.Seq, true
			return t.event(e)
		})
		switch {
		case !follow, ctx.Err() != nil:
			return err
		case err != nil && (!answered || !away(err)):
			return err
		}
		if began.IsZero() {
			began = time.Now()
			fmt.Fprintln(t.err, "tealctl: the agent ended the stream; trying again from record", since)
		}
		t.debug.Debug("trying again", "after", pollEvery, "since", since, "err", err)
		if !pause(ctx) {
			return ctx.Err()
		}
	}
}

func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pollEvery):
		return true
	}
}

func (t *tool) event(e api.Event) error {
	if t.format == "json" {
		return json.NewEncoder(t.out).Encode(eventReply{api.Meta{APIVersion: api.Version, Kind: "Event"}, e.Seq, e.Time, e.App, e.Kind, e.Text, e.Data})
	}
	if t.format == "yaml" {
		fmt.Fprintln(t.out, "---")
	}
	return t.print(eventReply{api.Meta{APIVersion: api.Version, Kind: "Event"}, e.Seq, e.Time, e.App, e.Kind, e.Text, e.Data},
		func(s ui.Style) string { return s.Event(e) })
}

// logLine is one line of a container's log.
type logLine struct {
	api.Meta
	App  string `json:"app"`
	Line string `json:"line"`
}

// logLines turns container logs into one JSON or YAML document a line.
type logLines struct {
	t    *tool
	app  string
	rest []byte
}

// maxLogLine bounds what is kept of a line without end.
const maxLogLine = 1 << 20

func (l *logLines) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found && len(l.rest) < maxLogLine {
			return len(data), nil
		}
		l.rest = append([]byte(nil), rest...)
		if err := l.put(line); err != nil {
			return 0, err
		}
	}
}

func (l *logLines) flush() error {
	if len(l.rest) == 0 {
		return nil
	}
	return l.put(l.rest)
}

func (l *logLines) put(line []byte) error {
	reply := logLine{api.Meta{APIVersion: api.Version, Kind: "LogLine"}, l.app, string(line)}
	if l.t.format == "json" {
		return json.NewEncoder(l.t.out).Encode(reply)
	}
	fmt.Fprintln(l.t.out, "---")
	return l.t.print(reply, nil)
}
