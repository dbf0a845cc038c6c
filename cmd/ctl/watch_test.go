package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// follower is a tealctl that goes on beside the test, read line by line.
type follower struct {
	t     *testing.T
	lines chan string
	errs  *lockedText
	stop  context.CancelFunc
	code  chan int
}

type lockedText struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (a *fakeAgent) follow(args ...string) *follower {
	ctx, cancel := context.WithCancel(a.t.Context())
	r, w := io.Pipe()
	f := &follower{t: a.t, lines: make(chan string, 100), errs: &lockedText{}, stop: cancel, code: make(chan int, 1)}
	go func() {
		code := run(ctx, append(args, "--socket", a.socket), strings.NewReader(""), w, f.errs)
		w.Close()
		f.code <- code
	}()
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	return f
}

// next is the next line; the machine may be slow.
func (f *follower) next() string {
	f.t.Helper()
	select {
	case line, ok := <-f.lines:
		if !ok {
			f.t.Fatalf("it ended: %s", f.errs)
		}
		return line
	case <-time.After(time.Minute):
		f.t.Fatalf("no line: %s", f.errs)
	}
	return ""
}

// says waits until stderr holds text.
func (f *follower) says(text string) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(f.errs.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("never says %q: %s", text, f.errs)
		}
	}
}

// ended is the exit code and the lines that were left.
func (f *follower) ended() (int, []string) {
	f.t.Helper()
	select {
	case code := <-f.code:
		var rest []string
		for line := range f.lines {
			rest = append(rest, line)
		}
		return code, rest
	case <-time.After(time.Minute):
		f.t.Fatalf("it does not end: %s", f.errs)
	}
	return 0, nil
}

// TestWatchInAPipe: one line for each change and none without, through a restart of the
// agent, until Ctrl-C.
func TestWatchInAPipe(t *testing.T) {
	a := startAgent(t, liveApp("shop"))
	f := a.follow("status", "shop", "-w")
	if line := f.next(); !strings.Contains(line, " shop live version=v1.2.3 colour=blue why=converged") {
		t.Fatal(line)
	}
	time.Sleep(3 * pollEvery) // no change, no line
	for _, phase := range []rollout.Phase{rollout.Preparing, rollout.Checking, rollout.Baking} {
		a.show(deploying("shop", phase))
		line := f.next()
		if !strings.Contains(line, " shop "+string(phase)+" deployment=d-4 version=v1.3.0 colour=green") {
			t.Fatalf("%s: %s", phase, line)
		}
		at, _, _ := strings.Cut(line, " ")
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			t.Error(err)
		}
	}
	a.end()
	f.says("what it deployed goes on serving; trying again")
	a.show(liveApp("shop"))
	a.start()
	if line := f.next(); !strings.Contains(line, " shop live") {
		t.Fatal(line)
	}
	f.says("the agent answers again after")
	f.stop()
	if code, rest := f.ended(); code != exitInterrupted || len(rest) > 0 {
		t.Errorf("exit %d, %q", code, rest)
	}
	f.says("nothing is being deployed")
}

// TestWatchAsJSON is one document a line, each with what it is.
func TestWatchAsJSON(t *testing.T) {
	a := startAgent(t, liveApp("shop"), liveApp("api"))
	f := a.follow("status", "-o", "json", "-w")
	var got []string
	read := func() {
		var line struct {
			APIVersion, Kind, App, State string
			Now                          time.Time
		}
		if err := json.Unmarshal([]byte(f.next()), &line); err != nil || line.APIVersion != api.Version || line.Kind != "AppStatus" || line.Now.IsZero() {
			t.Fatalf("%v: %+v", err, line)
		}
		got = append(got, line.App+" "+line.State)
	}
	read()
	read()
	a.show(liveApp("shop"), deploying("api", rollout.Baking))
	read()
	f.stop()
	code, rest := f.ended()
	if want := []string{"shop live", "api live", "api baking"}; !slices.Equal(got, want) || code != exitInterrupted || len(rest) > 0 {
		t.Errorf("exit %d: %v and %v", code, got, rest)
	}
}

// TestWaitInOtherFormats: YAML documents, and no names, which is said before anything is
// asked.
func TestWaitInOtherFormats(t *testing.T) {
	a := startAgent(t, liveApp("shop"))
	out, errs, code := a.ctl("status", "--wait", "-o", "yaml")
	if code != exitOK || !strings.HasPrefix(out, "---\n") || strings.Count(out, "\nkind: AppStatus\n") != 1 || errs != "" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := a.ctl("status", "--wait", "-o", "name"); code != exitUsage || out != "" || !strings.Contains(errs, "-o json") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// TestWaitEndsWithTheDeployment, through a restart of the agent.
func TestWaitEndsWithTheDeployment(t *testing.T) {
	for name, c := range map[string]struct {
		end  api.AppStatus
		code int
	}{
		"live":     {liveApp("shop"), exitOK},
		"reverted": {heldApp("shop", release.BakeBurst), exitUnhealthy},
		"blocked":  {waiting(release.OutsideWindow), exitBlocked},
	} {
		t.Run(name, func(t *testing.T) {
			a := startAgent(t, deploying("shop", rollout.Baking))
			f := a.follow("status", "shop", "--wait")
			f.next()
			a.end()
			f.says("trying again")
			a.start()
			a.show(c.end)
			if code, _ := f.ended(); code != c.code {
				t.Errorf("exit %d: %s", code, f.errs)
			}
		})
	}
}

// TestWaitKnowsItsOrder: what the agent says right after an order is of before it. The
// wait lasts until the order shows, and through the deployment that it starts.
func TestWaitKnowsItsOrder(t *testing.T) {
	for verb, c := range map[string]struct {
		before, end api.AppStatus
		code        int
	}{
		"rollback": {liveApp("shop"), heldApp("shop", release.RolledBack), exitOK},
		"resume":   {heldApp("shop", release.RolledBack), liveApp("shop"), exitOK},
		"retry":    {heldApp("shop", release.BakeBurst), heldApp("shop", release.BakeFailed), exitUnhealthy},
	} {
		t.Run(verb, func(t *testing.T) {
			a := startAgent(t, c.before)
			args := []string{verb, "shop", "--reason", "x", "--wait"}
			if verb == "rollback" {
				args = append(args, "--yes")
			}
			f := a.follow(args...)
			if line := f.next(); !strings.Contains(line, verb+" shop is done") {
				t.Fatal(line)
			}
			if line := f.next(); !strings.Contains(line, " shop "+c.before.State) {
				t.Fatal(line)
			}
			time.Sleep(calm + 2*pollEvery) // settled all that time, and still it waits
			select {
			case code := <-f.code:
				t.Fatalf("it did not wait for the order: exit %d", code)
			default:
			}
			a.show(deploying("shop", rollout.Starting))
			if line := f.next(); !strings.Contains(line, " shop starting") {
				t.Fatal(line)
			}
			end := c.end
			end.Last = &rollout.Ended{ID: "d-4"}
			a.show(end)
			if code, _ := f.ended(); code != c.code {
				t.Errorf("exit %d: %s", code, f.errs)
			}
		})
	}
}

// TestWaitForAnAppToCome: an app whose first commit is not fetched yet is waited for; a
// status alone says that it is not there.
func TestWaitForAnAppToCome(t *testing.T) {
	a := startAgent(t, liveApp("other"))
	if _, errs, code := a.ctl("status", "shop"); code != exitUsage || !strings.Contains(errs, "there are: other") {
		t.Errorf("exit %d: %s", code, errs)
	}
	f := a.follow("status", "shop", "--wait")
	time.Sleep(2 * pollEvery)
	a.show(liveApp("other"), liveApp("shop"))
	if code, rest := f.ended(); code != exitOK || len(rest) != 1 || !strings.Contains(rest[0], " shop live") {
		t.Errorf("exit %d: %q", code, rest)
	}
}

// TestEventsGoOn: followed records come once each and in their order, through a restart of
// the agent; the stream of one that is not there at all ends at once.
func TestEventsGoOn(t *testing.T) {
	a := startAgent(t, liveApp("shop"))
	f := a.follow("events", "-w", "-o", "json")
	var seen []uint64
	read := func() {
		var e eventReply
		if err := json.Unmarshal([]byte(f.next()), &e); err != nil || e.Kind != "Event" || e.Record != "record" {
			t.Fatalf("%v: %+v", err, e)
		}
		seen = append(seen, e.Seq)
	}
	read()
	read()
	a.end()
	f.says("trying again from record 2")
	a.mu.Lock()
	a.events = append(a.events, api.Event{Seq: 3, Time: time.Now(), App: "shop", Kind: "record", Text: "after the restart"})
	a.mu.Unlock()
	a.start()
	read()
	f.says("the agent answers again after")
	f.stop()
	if code, rest := f.ended(); code != exitInterrupted || !slices.Equal(seen, []uint64{1, 2, 3}) || len(rest) > 0 {
		t.Errorf("exit %d: %v, %v", code, seen, rest)
	}
	if _, errs, code := ctl("events", "-w", "--socket", t.TempDir()+"/none.sock"); code != exitUnreachable {
		t.Errorf("exit %d: %s", code, errs)
	}
}
