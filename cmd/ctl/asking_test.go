package main

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

const (
	someTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	otherTrace = "0af7651916cd43dd8448eb211c80319c"
)

// TestVerbose: -v tells on stderr what is asked and how long it takes; stdout stays the
// answer. Without it stderr is silent.
func TestVerbose(t *testing.T) {
	a := startAgent(t, liveApp("shop"))
	request := regexp.MustCompile(`level=DEBUG msg="asked the agent" method=GET path=/v1/history\?app=shop&n=20 took=[0-9.]+(ns|µs|ms|s) trace_id=[0-9a-f]{32} status=200\n`)
	out, errs, code := a.ctl("history", "shop", "-v", "-o", "json")
	if code != 0 || !json.Valid([]byte(out)) || !request.MatchString(strings.ReplaceAll(errs, `"`+"/v1/history?app=shop&n=20"+`"`, "/v1/history?app=shop&n=20")) {
		t.Errorf("exit %d: %s\n%s", code, out, errs)
	}
	if _, errs, _ := a.ctl("history", "shop"); errs != "" {
		t.Errorf("stderr without -v: %s", errs)
	}
	_, errs, code = ctl("status", "-v", "--socket", t.TempDir()+"/none.sock")
	if code != exitUnreachable || !strings.Contains(errs, "path=/v1/status") || !strings.Contains(errs, "no such file") {
		t.Errorf("exit %d: %s", code, errs)
	}
	c := newClone(t)
	_, errs, code = c.ctl("lint", "CLONE", "--since", "HEAD", "-v")
	if code != 0 || !strings.Contains(errs, `msg="ran git" command=`) || !strings.Contains(errs, "took=") {
		t.Errorf("exit %d: %s", code, errs)
	}
	f := a.follow("status", "shop", "-w", "-v")
	f.next()
	a.end()
	f.says(`msg="trying again" after=250ms`)
	a.start()
	f.says("the agent answers again")
	f.stop()
	f.ended()
}

// TestTrace: the trace of --trace-id, else of TRACEPARENT, else a new one reaches the order;
// who fails is told it.
func TestTrace(t *testing.T) {
	for name, c := range map[string]struct {
		env, flag string
		want      string // "": a new one
	}{
		"none":              {"", "", ""},
		"the flag":          {"", someTrace, someTrace},
		"a whole parent":    {"", "00-" + someTrace + "-00f067aa0ba902b7-01", someTrace},
		"the environment":   {"00-" + someTrace + "-00f067aa0ba902b7-01", "", someTrace},
		"the flag wins":     {"00-" + otherTrace + "-00f067aa0ba902b7-01", someTrace, someTrace},
		"no trace at all":   {"what CI wrote there", "", ""},
		"all zeros is none": {"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TRACEPARENT", c.env)
			a := startAgent(t, liveApp("shop"))
			args := []string{"rollback", "shop", "--reason", "x", "--yes", "-o", "json"}
			if c.flag != "" {
				args = append(args, "--trace-id", c.flag)
			}
			out, errs, code := a.ctl(args...)
			var done api.Done
			if err := json.Unmarshal([]byte(out), &done); err != nil || code != 0 || len(a.traces) != 1 {
				t.Fatalf("%v, exit %d: %s%s", err, code, out, errs)
			}
			got := a.traces[0]
			if done.Trace != got || c.want != "" && got != c.want || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(got) {
				t.Errorf("the order has %q, the answer %q, want %q", got, done.Trace, c.want)
			}
		})
	}
	a := startAgent(t, liveApp("shop"))
	if _, errs, code := a.ctl("status", "--trace-id", "mine"); code != exitUsage || !strings.Contains(errs, "--trace-id: no trace id: give 32 hex digits") {
		t.Errorf("exit %d: %s", code, errs)
	}
	a.fails = api.Fail(http.StatusConflict, release.NotFrozen, "shop is not frozen")
	if _, errs, code := a.ctl("resume", "shop", "--trace-id", someTrace); code != exitFailed || !strings.Contains(errs, "\n  trace: "+someTrace) {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, _ := ctl("lint", t.TempDir(), "--trace-id", someTrace); strings.Contains(errs, "trace") {
		t.Errorf("what asked no agent names a trace: %s", errs)
	}
}

// TestHost: --host holds a run to the agent's host; another one is named with the line to run
// there, and nothing is done.
func TestHost(t *testing.T) {
	a := startAgent(t, liveApp("shop"))
	for _, args := range [][]string{{"status", "--host", "web-1"}, {"version", "--host=web-1"}, {"resume", "shop", "--host", "web-1"}, {"app", "remove", "shop", "--host", "--reason", "x", "--yes"}} {
		if out, errs, code := a.ctl(args...); code != 0 {
			t.Errorf("%v: exit %d: %s%s", args, code, out, errs)
		}
	}
	before := len(a.orders())
	_, errs, code := a.ctl("rollback", "shop", "--host", "web-2", "--reason", "it's bad", "--yes")
	if code != exitUsage || len(a.orders()) != before || !strings.Contains(errs, "this is host web-1") || !strings.Contains(errs, "TEAL-6015") ||
		!strings.Contains(errs, "next: Run it there: ssh web-2 '") {
		t.Errorf("exit %d: %s", code, errs)
	}
	// A shell here, then one there, read it as the same words.
	_, line, _ := strings.Cut(errs, "ssh web-2 ")
	line, _, _ = strings.Cut(line, "\n")
	there, err := exec.CommandContext(t.Context(), "sh", "-c", "tealctl() { printf '<%s>' \"$@\"; }; eval "+line).Output()
	if want := "<rollback><shop><--reason><it's bad><--yes><--socket><" + a.socket + ">"; err != nil || string(there) != want {
		t.Errorf("%s is read as %s, want %s: %v", line, there, want, err)
	}
	if _, errs, code := ctl("lint", ".", "--host", "web-1"); code != exitUsage || !strings.Contains(errs, "tealctl lint asks no agent") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := ctl("status", "--host", "web-1", "--socket", t.TempDir()+"/none.sock"); code != exitUnreachable {
		t.Errorf("exit %d: %s", code, errs)
	}
	if got := a.complete("status", "--host", ""); len(got) != 1 || got[0] != "web-1\tthis host, production" {
		t.Errorf("completed %q", got)
	}
}

// TestWatchKeepsItsConnection: a watch asks four times a second; the agent lets one user have
// 64 connections.
func TestWatchKeepsItsConnection(t *testing.T) {
	tl := &tool{socket: "x"}
	first := tl.client()
	if second := tl.client(); first != second {
		t.Error("each request has a client, and so a connection, of its own")
	}
}

// TestDumbTerminal: one that cannot move its cursor gets one line for each change.
func TestDumbTerminal(t *testing.T) {
	a := startAgent(t, deploying("shop", rollout.Baking))
	t.Setenv("TERM", "dumb")
	text := onScreen(t, 100, []string{"status", "shop", "--wait", "--timeout", "1s", "--socket", a.socket})
	if strings.Contains(text, "\x1b") || strings.Count(text, "shop baking deployment=d-4") != 1 {
		t.Errorf("%q", text)
	}
}
