package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// Events yields journal records after seq; with follow it goes on until ctx ends.
func (a *agent) Events(ctx context.Context, app string, seq uint64, follow bool, yield func(api.Event) error) error {
	show := func(e journal.Entry) error {
		if app != "" && !slices.Contains(a.names(app), e.App) {
			return nil
		}
		return yield(api.Event{Seq: e.Seq, Time: e.Time, App: e.App, Kind: e.Kind, Text: eventText(e), Data: e.Data})
	}
	if !follow {
		return a.journal.Replay(seq+1, show)
	}
	for e, err := range a.journal.Follow(ctx, seq+1) {
		if err != nil {
			return err
		}
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

func record(e journal.Entry) (r rollout.Record, ok bool) {
	return r, e.Kind == recordKind && json.Unmarshal(e.Data, &r) == nil
}

// eventText is one line that a person would write about a record.
func eventText(e journal.Entry) string {
	switch e.Kind {
	case operatorKind:
		var o operatorRecord
		if json.Unmarshal(e.Data, &o) == nil {
			return trust.Escape(join(strings.TrimSpace(fmt.Sprintf("%s: %s %s %s %s %s", o.Actor, o.Verb, o.App, o.To, o.Reason, o.Refused)), traced(o.Trace)))
		}
	case noticeKind:
		var n notice
		if json.Unmarshal(e.Data, &n) == nil {
			return trust.Escape(string(n.Code) + ": " + n.Detail)
		}
	case recordKind:
		if r, ok := record(e); ok {
			return trust.Escape(recordText(r))
		}
	}
	return e.Kind
}

func recordText(r rollout.Record) string {
	switch {
	case r.Begin != nil:
		return fmt.Sprintf("%s begins: %s %s as %s", r.Begin.ID, r.Begin.Kind, r.Begin.To.Version, r.Begin.To.ID.Colour)
	case r.Enter != nil:
		text := join(fmt.Sprintf("%s → %s", r.Enter.Was, r.Enter.Phase), string(r.Enter.Why), r.Enter.Detail)
		if e := r.Enter.Emergency; e != nil {
			text += "  EMERGENCY " + e.Incident
		}
		return text
	case r.Remember != nil && r.Remember.Settled != "":
		return "emergency settled: " + r.Remember.Settled.Short() + " was approved normally"
	case r.Remember != nil:
		return fmt.Sprintf("remembers %d newer scans", len(r.Remember.Scans))
	case r.TakeOver != nil:
		return fmt.Sprintf("takes the place of %s: %s is live, sequence %d was accepted, volumes stay those of %s", r.TakeOver.From, cmp.Or(r.TakeOver.Version, "nothing"), r.TakeOver.Sequence, r.TakeOver.Origin)
	case r.Intent != nil:
		return join("will "+string(r.Intent.Kind)+" "+string(r.Intent.Set.ID.Colour), strings.Join(r.Intent.Services, " "), string(r.Intent.Why))
	case r.Outcome != nil:
		return join("did "+string(r.Outcome.Kind)+": "+string(r.Outcome.Result), string(r.Outcome.Code), r.Outcome.Detail)
	case r.Settle != nil:
		return join("ends "+string(r.Settle.Phase), string(r.Settle.Why), r.Settle.Detail)
	case r.Order != nil:
		return join("order "+string(r.Order.Order.Kind)+" by "+r.Order.Order.Actor, string(r.Order.Refused), r.Order.Order.Reason, traced(r.Order.Order.Trace))
	case r.Lift != nil:
		return join("hold lifted", string(r.Lift.Why), "")
	case r.Hold != nil:
		return join("held", string(r.Hold.Why), r.Hold.Detail)
	}
	return string(r.Kind)
}

func traced(id string) string {
	if id == "" {
		return ""
	}
	return "trace " + id
}

func join(first string, more ...string) string {
	for _, m := range more {
		if m != "" {
			first += "  " + m
		}
	}
	return strings.TrimSpace(first)
}

// lines writes whole lines of several logs to one writer.
type lines struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

const maxLogLine = 1 << 20

func (l *lines) copy(prefix string, r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLogLine)
	for in.Scan() {
		l.mu.Lock()
		_, err := fmt.Fprintf(l.w, "%s%s\n", prefix, in.Text())
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return in.Err()
}
