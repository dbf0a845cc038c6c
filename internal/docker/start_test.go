package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// up creates a set.
func (r *rig) up(t *testing.T, set release.SetSpec) release.SetSpec {
	t.Helper()
	if err := r.Create(t.Context(), set, "no"); err != nil {
		t.Fatal(err)
	}
	return set
}

// startFails starts a set until that fails: on a busy machine a program that ends at
// once may not have ended yet when Start looks.
func (r *rig) startFails(t *testing.T, set release.SetSpec) (err error) {
	t.Helper()
	eventually(t, "the start fails", func() bool { err = r.Start(t.Context(), set, nil); return err != nil })
	return err
}

func TestStartFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	ctx := t.Context()
	t.Run("ends at once", func(t *testing.T) {
		set := r.up(t, r.set("ends", r.spec("ends", "worker", "-say", "no database \x1b[31m found", "-exit", "3")))
		wantFault(t, r.startFails(t, set), rollout.FaultRevert, release.StartFailed, "exit code 3", `no database \x1b[31m found`)
	})
	t.Run("ends well at once", func(t *testing.T) {
		set := r.up(t, r.set("well", r.spec("well", "worker", "-exit", "0")))
		wantFault(t, r.startFails(t, set), rollout.FaultRevert, release.StartFailed, "exit code 0")
	})
	t.Run("no such program", func(t *testing.T) {
		s := r.spec("noprog", "worker")
		s.Entrypoint = []string{"/bin/sh"}
		wantFault(t, r.Start(ctx, r.up(t, r.set("noprog", s)), nil), rollout.FaultRevert, release.StartFailed, "/bin/sh")
	})
	t.Run("not a program", func(t *testing.T) {
		s := r.spec("notprog", "worker")
		s.Entrypoint = []string{"/pad"}
		wantFault(t, r.Start(ctx, r.up(t, r.set("notprog", s)), nil), rollout.FaultRevert, release.StartFailed, "/pad")
	})
	t.Run("a long log", func(t *testing.T) {
		set := r.up(t, r.set("long", r.spec("long", "worker", "-say", strings.Repeat("many words ", 5000), "-exit", "1")))
		err := r.startFails(t, set)
		wantFault(t, err, rollout.FaultRevert, release.StartFailed, "many words")
		if len(err.Error()) > 4096 {
			t.Errorf("the message has %d bytes", len(err.Error()))
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		set := r.up(t, r.set("cancelled", r.spec("cancelled", "worker")))
		superseded := errors.New("superseded")
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(superseded)
		err := r.Start(ctx, set, nil)
		var e *rollout.EffectError
		if !errors.Is(err, superseded) || errors.As(err, &e) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDependsOn(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	check := func(s release.ContainerSpec, start time.Duration) release.ContainerSpec {
		s.Health = &release.HealthSpec{Test: []string{"CMD", "/app", "-check", "http://127.0.0.1:8080/healthz"}, Interval: 200 * time.Millisecond, Timeout: 2 * time.Second, StartPeriod: start, Retries: 1}
		s.Endpoints = nil
		return s
	}
	needs := func(s release.ContainerSpec, service, condition string, required bool) release.ContainerSpec {
		s.DependsOn = append(s.DependsOn, release.Dependency{Service: service, Condition: condition, Required: required})
		return s
	}
	byName := func(t *testing.T, app string) map[string]rollout.Container {
		t.Helper()
		seen, err := r.Observe(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]rollout.Container{}
		for _, c := range seen {
			out[c.Service] = c
		}
		return out
	}
	t.Run("healthy, then completed, then started", func(t *testing.T) {
		set := r.up(t, r.set("chain",
			check(r.spec("chain", "db", "-start-delay", "500ms"), 10*time.Second),
			needs(r.spec("chain", "init", "-exit", "0"), "db", "healthy", true),
			needs(r.spec("chain", "backend"), "init", "completed", true),
			needs(r.spec("chain", "worker"), "backend", "started", true)))
		if err := r.Start(t.Context(), set, nil); err != nil {
			t.Fatal(err)
		}
		seen := byName(t, "chain")
		if seen["db"].Health != rollout.HealthHealthy || seen["init"].Status != rollout.Exited || seen["backend"].Health != "" {
			t.Errorf("%+v", seen)
		}
		if !(seen["db"].StartedAt.Before(seen["init"].StartedAt) && seen["init"].EndedAt.Before(seen["backend"].StartedAt) && seen["backend"].StartedAt.Before(seen["worker"].StartedAt)) {
			t.Errorf("not in order: %+v", seen)
		}
		if err := r.Start(t.Context(), set, nil); err != nil {
			t.Errorf("the second time: %v", err)
		}
	})
	t.Run("unhealthy", func(t *testing.T) {
		set := r.up(t, r.set("ill", check(r.spec("ill", "db", "-health", "503"), 0), needs(r.spec("ill", "backend"), "db", "healthy", true)))
		wantFault(t, r.Start(t.Context(), set, nil), rollout.FaultRevert, release.StartFailed, "unhealthy", "503")
		if c := byName(t, "ill")["backend"]; c.Status != rollout.Created {
			t.Errorf("it was started all the same: %+v", c)
		}
	})
	t.Run("no health check", func(t *testing.T) {
		set := r.up(t, r.set("nocheck", r.spec("nocheck", "db"), needs(r.spec("nocheck", "backend"), "db", "healthy", true)))
		wantFault(t, r.Start(t.Context(), set, nil), rollout.FaultRevert, release.StartFailed, "no health check")
	})
	t.Run("completes badly", func(t *testing.T) {
		set := r.up(t, r.set("badinit", r.spec("badinit", "init", "-say", "cannot migrate", "-exit", "2"), needs(r.spec("badinit", "backend"), "init", "completed", true)))
		wantFault(t, r.Start(t.Context(), set, nil), rollout.FaultRevert, release.StartFailed, "exit code 2", "cannot migrate")
	})
	t.Run("too long", func(t *testing.T) {
		set := r.up(t, r.set("slow", r.spec("slow", "init", "-exit-after", "1m"), needs(r.spec("slow", "backend"), "init", "completed", true)))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		wantFault(t, r.Start(ctx, set, nil), rollout.FaultRevert, release.StartFailed, "wait for init to be completed", "too long")
	})
	t.Run("no such service", func(t *testing.T) {
		set := r.up(t, r.set("alone", needs(r.spec("alone", "backend"), "redis", "started", true)))
		wantFault(t, r.Start(t.Context(), set, nil), rollout.FaultRevert, release.StartFailed, "no such service")
		set = r.up(t, r.set("alone", needs(r.spec("alone", "backend"), "redis", "started", false)))
		if err := r.Start(t.Context(), set, nil); err != nil {
			t.Errorf("an optional dependency: %v", err)
		}
	})
	t.Run("a service of a later step", func(t *testing.T) {
		set := r.up(t, r.set("later", r.spec("later", "worker"), needs(r.spec("later", "backend"), "worker", "started", true)))
		wantFault(t, r.Start(t.Context(), set, []string{"backend"}), rollout.FaultRevert, release.StartFailed, "is not started together with")
		if err := r.Start(t.Context(), set, []string{"worker"}); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context(), set, []string{"backend"}); err != nil {
			t.Errorf("now that it runs: %v", err)
		}
	})
	t.Run("a shared service", func(t *testing.T) {
		redis := r.spec("mix", "redis")
		redis.Class = release.ClassShared
		delete(redis.Labels, release.LabelColour)
		shared := r.up(t, release.SetSpec{App: "mix", ID: release.SetID{Target: blueSet.Target}, Project: "mix", Containers: []release.ContainerSpec{redis}})
		if err := r.Start(t.Context(), shared, nil); err != nil {
			t.Fatal(err)
		}
		set := r.up(t, r.set("mix", needs(r.spec("mix", "backend"), "redis", "started", true)))
		if err := r.Start(t.Context(), set, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestPausedIsStarted(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	set := r.up(t, r.set("paused", r.spec("paused", "worker")))
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.api.ContainerPause(t.Context(), set.Containers[0].Name, client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	if seen, err := r.Observe(t.Context(), "paused"); err != nil || seen[0].Status != rollout.Running {
		t.Errorf("%+v %v", seen, err)
	}
}

// TestStopIsParallel: the grace periods of a set run side by side. One after the
// other, the last would end six seconds after the first.
func TestStopIsParallel(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	var specs []release.ContainerSpec
	for _, name := range []string{"a", "b", "c"} {
		s := r.spec("deaf", name, "-ignore-term")
		s.StopGrace = 3 * time.Second
		specs = append(specs, s)
	}
	set := r.up(t, r.set("deaf", specs...))
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := r.Stop(t.Context(), "deaf", blueSet, nil); err != nil {
		t.Fatal(err)
	}
	seen, err := r.Observe(t.Context(), "deaf")
	if err != nil || len(seen) != 3 {
		t.Fatalf("%+v %v", seen, err)
	}
	first, last := seen[0].EndedAt, seen[0].EndedAt
	for _, c := range seen {
		if c.ExitCode != 137 || c.EndedAt.Before(began.Add(2900*time.Millisecond)) {
			t.Errorf("its grace was cut short: %+v, stopped from %s", c, began)
		}
		if c.EndedAt.Before(first) {
			first = c.EndedAt
		}
		if c.EndedAt.After(last) {
			last = c.EndedAt
		}
	}
	if spread := last.Sub(first); spread >= 6*time.Second {
		t.Errorf("they ended one after the other, within %s", spread)
	}
}

// TestStopSignal: the container's own signal ends it, within its grace.
func TestStopSignal(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	spec := r.spec("signal", "worker")
	spec.StopSignal, spec.StopGrace = "SIGINT", 30*time.Second
	set := r.up(t, r.set("signal", spec))
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it listens to signals", func() bool { return strings.Contains(r.tail(t.Context(), spec.Name), "serves on") })
	if err := r.Stop(t.Context(), "signal", blueSet, nil); err != nil {
		t.Fatal(err)
	}
	seen, err := r.Observe(t.Context(), "signal")
	if tail := r.tail(t.Context(), spec.Name); err != nil || seen[0].ExitCode != 0 || !strings.Contains(tail, "ended by interrupt") {
		t.Errorf("%+v %v, it said %q", seen, err, tail)
	}
}

// TestStopPaused: somebody paused it, and nothing in it can react.
func TestStopPaused(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	set := r.up(t, r.set("frozen", r.spec("frozen", "worker")))
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.api.ContainerPause(t.Context(), set.Containers[0].Name, client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(t.Context(), "frozen", blueSet, nil); err != nil {
		t.Fatal(err)
	}
	if seen, err := r.Observe(t.Context(), "frozen"); err != nil || seen[0].Status != rollout.Exited {
		t.Errorf("%+v %v", seen, err)
	}
}

// TestOutOfMemory: what the kernel kills for its memory is seen as such, and the message
// says it.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	spec := r.spec("greedy", "backend")
	spec.Hostname = "backend"
	spec.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
	spec.Resources = release.Resources{Memory: 32 << 20, MemorySwap: 32 << 20}
	set := r.up(t, r.set("greedy", spec))
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it answers", func() bool { return answers(r.address(1)) == "backend" })
	// Each unfinished request may send a mebibyte of headers, which the program keeps.
	header := []byte("GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 1000<<10))
	for range 100 {
		c, err := net.Dial("tcp", netip.AddrPortFrom(r.address(1), 8080).String())
		if err != nil {
			break // it is gone
		}
		defer c.Close()
		if _, err := c.Write(header); err != nil {
			break
		}
	}
	eventually(t, "it is killed", func() bool {
		seen, err := r.Observe(t.Context(), "greedy")
		return err == nil && len(seen) == 1 && seen[0].Status == rollout.Exited && seen[0].OOM && seen[0].ExitCode == 137
	})
	have, err := r.inspect(t.Context(), spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ended(t.Context(), have, false); err == nil || !strings.Contains(err.Error(), "used up its memory") {
		t.Errorf("the message says %v", err)
	}
}

// TestStopEndsACrashLoop: the engine must not bring back what is being stopped.
func TestStopEndsACrashLoop(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	ctx := t.Context()
	set := r.set("loop", r.spec("loop", "worker", "-exit", "1"))
	if err := r.Create(ctx, set, "unless-stopped"); err != nil {
		t.Fatal(err)
	}
	wantFault(t, r.startFails(t, set), rollout.FaultRevert, release.StartFailed, "exit code 1")
	eventually(t, "the engine counts restarts", func() bool {
		seen, err := r.Observe(ctx, "loop")
		return err == nil && len(seen) == 1 && seen[0].Restarts > 1
	})
	if err := r.Stop(ctx, "loop", blueSet, nil); err != nil {
		t.Fatal(err)
	}
	first, err := r.Observe(ctx, "loop")
	if err != nil || first[0].Status != rollout.Exited || first[0].Restart != "no" {
		t.Fatalf("%+v %v", first, err)
	}
	time.Sleep(2 * time.Second) // longer than the engine's pause between two restarts so far
	if again, err := r.Observe(ctx, "loop"); err != nil || again[0] != first[0] {
		t.Errorf("it came back:\n%+v\n%+v %v", first, again, err)
	}
}

func TestRunOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	ctx := t.Context()
	t.Run("exit code and log, and never twice", func(t *testing.T) {
		spec := r.spec("once", "job", "-say", "did it", "-exit", "4")
		exit, tail, err := r.RunOnce(ctx, spec)
		if err != nil || exit != 4 || !strings.Contains(tail, "did it") {
			t.Fatalf("exit %d, %q, %v", exit, tail, err)
		}
		first, err := r.inspect(ctx, spec.Name)
		if err != nil {
			t.Fatal(err)
		}
		if exit, _, err := r.RunOnce(ctx, spec); err != nil || exit != 4 {
			t.Errorf("asked again: exit %d, %v", exit, err)
		}
		again, err := r.inspect(ctx, spec.Name)
		if err != nil || again.ID != first.ID || again.State.StartedAt != first.State.StartedAt {
			t.Errorf("it ran again: %v", err)
		}
		spec.Labels = r.labels("once", "job", "s2")
		_, _, err = r.RunOnce(ctx, spec)
		wantFault(t, err, rollout.FaultHold, release.ObjectInUse, "another specification")
	})
	t.Run("adopted after the agent went away", func(t *testing.T) {
		spec := r.spec("once", "long", "-listen=", "-exit-after", "2s", "-exit-code", "5")
		short, cancel := context.WithTimeout(ctx, 1200*time.Millisecond)
		defer cancel()
		if _, _, err := r.RunOnce(short, spec); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if exit, _, err := r.RunOnce(ctx, spec); err != nil || exit != 5 {
			t.Errorf("exit %d, %v", exit, err)
		}
	})
	t.Run("what could not start for a while starts later", func(t *testing.T) {
		r.edge(t)
		thief := r.spec("once", "thief")
		thief.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
		if err := r.Start(ctx, r.up(t, r.set("once", thief)), nil); err != nil {
			t.Fatal(err)
		}
		spec := r.spec("once", "later", "-exit", "6")
		spec.Endpoints = thief.Endpoints
		for range 2 {
			_, _, err := r.RunOnce(ctx, spec)
			wantFault(t, err, rollout.FaultRetry, release.AddressTaken)
		}
		if err := r.removeContainer(ctx, thief.Name); err != nil {
			t.Fatal(err)
		}
		if exit, _, err := r.RunOnce(ctx, spec); err != nil || exit != 6 {
			t.Errorf("exit %d, %v", exit, err)
		}
	})
	t.Run("cannot start", func(t *testing.T) {
		spec := r.spec("once", "noprog")
		spec.Entrypoint = []string{"/nothing"}
		for range 2 {
			_, _, err := r.RunOnce(ctx, spec)
			wantFault(t, err, rollout.FaultRevert, release.StartFailed, "/nothing")
		}
	})
}

func TestLogs(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	tty := r.spec("logs", "tty", "-say", "hello tty")
	tty.TTY = true
	set := r.up(t, r.set("logs", r.spec("logs", "plain", "-say", "hello"), tty))
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"serves on", "hello tty"} { // by then it listens to signals
		eventually(t, want+" is in the log", func() bool {
			stream, err := r.Logs(t.Context(), set.Containers[n].Name, false, 0)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(stream)
			if err != nil || stream.Close() != nil || strings.ContainsRune(string(text), 0) {
				t.Errorf("%q %v", text, err)
			}
			return strings.Contains(string(text), want)
		})
	}
	// Following ends with the container, or when nobody wants it any more.
	quit, err := r.Logs(t.Context(), set.Containers[0].Name, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := quit.Close(); err != nil {
		t.Error(err)
	}
	stream, err := r.Logs(t.Context(), set.Containers[0].Name, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(t.Context(), "logs", blueSet, nil); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(stream); err != nil || !strings.Contains(string(text), "ended by terminated") {
		t.Errorf("%q %v", text, err)
	}
	stream.Close()
	if _, err := r.Logs(t.Context(), r.lab.Name("nobody"), false, 0); err == nil {
		t.Error("a container that is not there has a log")
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	var mu sync.Mutex
	var woken []string
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- r.Watch(ctx, func(app string) {
			mu.Lock()
			defer mu.Unlock()
			woken = append(woken, app)
		})
	}()
	heard := func(app string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(woken, app)
		}
	}
	eventually(t, "it listens", heard(""))
	set := r.up(t, r.set("watched", r.spec("watched", "worker")))
	eventually(t, "it hears a create", heard("watched"))
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	woken = nil
	mu.Unlock()
	if err := r.removeContainer(t.Context(), set.Containers[0].Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it hears a death", heard("watched"))
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("watch ended with %v", err)
	}
	if slices.ContainsFunc(woken, func(app string) bool { return app != "" && app != "watched" }) {
		t.Errorf("woken for others: %q", woken)
	}
}
