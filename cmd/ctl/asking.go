package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
)

// client is the agent's. There is one in a run, so that a watch keeps its connection.
func (t *tool) client() *api.Client {
	if t.agent == nil {
		if t.trace == "" {
			t.trace = api.NewTrace()
		}
		t.agent = api.NewClient(t.socket)
		t.agent.Trace = t.trace
		t.agent.Called = t.called
	}
	return t.agent
}

// called notes that the agent may have heard of this run's trace, and with -v tells of the
// request.
func (t *tool) called(c api.Call) {
	t.asked = true
	args := []any{"method", c.Method, "path", c.Path, "took", c.Took, "trace_id", t.trace}
	if c.Err != nil {
		args = append(args, "err", c.Err)
	} else {
		args = append(args, "status", c.Status)
	}
	t.debug.Debug("asked the agent", args...)
}

// talk sets up what -v writes and the trace that requests carry: that of --trace-id, else of
// TRACEPARENT, else a new one. A TRACEPARENT that is none counts as none (W3C Trace Context
// 3.2.2.3): whoever set it is not this tool's user.
func (t *tool) talk() error {
	if t.verbose {
		t.debug = slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if t.trace == "" {
		t.trace, _ = api.ParseTrace(os.Getenv("TRACEPARENT"))
		return nil
	}
	id, err := api.ParseTrace(t.trace)
	if err != nil {
		return usage(fmt.Errorf("--trace-id: %w", err))
	}
	t.trace = id
	return nil
}

// checkHost holds a run to the host that --host names. The control socket is this host's;
// the others have none that could be reached from here.
func (t *tool) checkHost(ctx context.Context, c *cobra.Command) error {
	if t.host == "" {
		return nil
	}
	if !talksToAgent(c) && c.Name() != "version" {
		return usage(fmt.Errorf("%s asks no agent, so --host %s says nothing; leave it out", c.CommandPath(), t.host))
	}
	about, err := t.client().Version(ctx)
	if err != nil {
		return err
	}
	if about.Host == t.host {
		return nil
	}
	return usage(&advice{err: fmt.Errorf("this is host %s: tealctl asks the agent of the host that it runs on, and this version reaches no other; nothing was done", orNone(about.Host)),
		code: release.OtherHost, next: "Run it there: ssh " + shellWord(t.host) + " '" + strings.ReplaceAll(t.lineWithout("--host"), "'", `'\''`) + "'"})
}

func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return quote(word)
}

// lineWithout is the line of this run without a flag that takes a value.
func (t *tool) lineWithout(flag string) string {
	words := []string{"tealctl"}
	for i := 0; i < len(t.args); i++ {
		switch {
		case t.args[i] == flag:
			i++
		case strings.HasPrefix(t.args[i], flag+"="):
		default:
			words = append(words, shellWord(t.args[i]))
		}
	}
	return strings.Join(words, " ")
}

type debugKey struct{}

// withDebug lets what runs other programs say so with -v.
func withDebug(ctx context.Context, log *slog.Logger) context.Context {
	return context.WithValue(ctx, debugKey{}, log)
}

func debugOf(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(debugKey{}).(*slog.Logger); ok {
		return log
	}
	return slog.New(slog.DiscardHandler)
}
