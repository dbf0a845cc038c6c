package contract

import (
	"testing"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

var backend = service{name: "backend", class: release.ClassRouted, address: 1}

func created(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend, service{name: "worker", class: release.ClassHandover})
	b.must(b.Create(t.Context(), set, no))
	if n := len(b.seen()); n != 2 {
		t.Fatalf("%d containers, want 2", n)
	}
	got := b.one(set, 0)
	want := rollout.Container{ID: got.ID, Name: set.Containers[0].Name, Instance: b.Host.Instance, App: b.app, Service: "backend", Set: set.ID,
		Status: rollout.Created, Address: b.Address(1), Spec: set.Containers[0].Labels[release.LabelSpec], Restart: no}
	if got != want || got.ID == "" {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if a := b.one(set, 1).Address; a.IsValid() {
		t.Errorf("a service without route has the edge address %s", a)
	}
}

func createTwice(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend)
	b.must(b.Create(t.Context(), set, no))
	first := b.one(set, 0)
	b.must(b.Create(t.Context(), set, no))
	if again := b.one(set, 0); again != first {
		t.Errorf("the second create changed it:\n%+v\n%+v", first, again)
	}
}

func startTwice(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend)
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	first := b.one(set, 0)
	if first.Status != rollout.Running || first.StartedAt.IsZero() {
		t.Fatalf("not running: %+v", first)
	}
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	if again := b.one(set, 0); again != first {
		t.Errorf("the second start changed it:\n%+v\n%+v", first, again)
	}
	b.eventually("it answers", func() bool { return b.Answers(b.Address(1)) == "backend" })
}

func createOverRunning(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend)
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	b.must(b.SetRestart(t.Context(), b.app, set.ID, []string{"backend"}, always))
	first := b.one(set, 0)
	b.must(b.Create(t.Context(), set, no))
	if again := b.one(set, 0); again != first {
		t.Errorf("create changed what runs:\n%+v\n%+v", first, again)
	}
}

func stop(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend)
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	b.must(b.SetRestart(t.Context(), b.app, set.ID, nil, always))
	b.must(b.Stop(t.Context(), b.app, set.ID, nil))
	c := b.one(set, 0)
	if c.Status != rollout.Exited || c.Restart != no || c.EndedAt.IsZero() || c.Address != b.Address(1) {
		t.Errorf("after stop: %+v", c)
	}
	b.must(b.Stop(t.Context(), b.app, set.ID, nil))
	if again := b.one(set, 0); again != c {
		t.Errorf("the second stop changed it:\n%+v\n%+v", c, again)
	}
}

func stopDeaf(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), service{name: "worker", class: release.ClassHandover, does: Behaviour{Deaf: true}})
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"worker"}))
	b.must(b.Stop(t.Context(), b.app, set.ID, []string{"worker"}))
	if c := b.one(set, 0); c.Status != rollout.Exited || c.ExitCode != 137 {
		t.Errorf("after stop: %+v", c)
	}
}

func services(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend, service{name: "worker", class: release.ClassHandover})
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	if a, w := b.one(set, 0).Status, b.one(set, 1).Status; a != rollout.Running || w != rollout.Created {
		t.Fatalf("backend %s, worker %s", a, w)
	}
	b.must(b.Start(t.Context(), set, []string{"worker"}))
	b.must(b.Stop(t.Context(), b.app, set.ID, []string{"worker"}))
	if a, w := b.one(set, 0).Status, b.one(set, 1).Status; a != rollout.Running || w != rollout.Exited {
		t.Fatalf("backend %s, worker %s", a, w)
	}
	b.must(b.Stop(t.Context(), b.app, set.ID, []string{}))
	if a := b.one(set, 0).Status; a != rollout.Running {
		t.Fatalf("stop of no service stopped one: backend %s", a)
	}
	b.must(b.Remove(t.Context(), b.app, set.ID, []string{"worker"}))
	if seen := b.seen(); len(seen) != 1 || b.one(set, 0).Status != rollout.Running {
		t.Fatalf("after removing the worker: %+v", seen)
	}
}

func restartPolicy(t *testing.T, b *bench) {
	set := b.set(id(release.Green, "one"), backend, service{name: "worker", class: release.ClassHandover})
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	b.must(b.SetRestart(t.Context(), b.app, set.ID, []string{"backend"}, always))
	if a, w := b.one(set, 0).Restart, b.one(set, 1).Restart; a != always || w != no {
		t.Errorf("backend %s, worker %s", a, w)
	}
	b.must(b.SetRestart(t.Context(), b.app, set.ID, nil, always))
	if w := b.one(set, 1).Restart; w != always {
		t.Errorf("worker %s", w)
	}
	b.must(b.SetRestart(t.Context(), b.app, set.ID, nil, no))
	if a, w := b.one(set, 0).Restart, b.one(set, 1).Restart; a != no || w != no {
		t.Errorf("backend %s, worker %s", a, w)
	}
	b.fault(b.SetRestart(t.Context(), b.app, set.ID, []string{"backend", "nobody"}, always), rollout.FaultRetry, release.ContainerMissing)
}

func exitCodes(t *testing.T, b *bench) {
	set := b.set(id(release.Green, "one"), service{name: "worker", class: release.ClassHandover, does: Behaviour{Exits: true, Code: 3}})
	b.must(b.Create(t.Context(), set, no))
	// A slow host may not have begun it yet when Start looks; then it is started again.
	var err error
	b.eventually("its start fails", func() bool { err = b.Start(t.Context(), set, []string{"worker"}); return err != nil })
	b.fault(err, rollout.FaultRevert, release.StartFailed)
	if c := b.one(set, 0); c.Status != rollout.Exited || c.ExitCode != 3 || c.Restarts != 0 {
		t.Errorf("after it ended: %+v", c)
	}
}

func completes(t *testing.T, b *bench) {
	after := backend
	after.after = "init"
	set := b.set(id(release.Green, "one"), service{name: "init", class: release.ClassOnce, does: Behaviour{Exits: true}}, after)
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, nil))
	init := b.one(set, 0)
	if init.Status != rollout.Exited || init.ExitCode != 0 || b.one(set, 1).Status != rollout.Running {
		t.Errorf("after the start: %+v", b.seen())
	}
	b.must(b.Stop(t.Context(), b.app, set.ID, nil))
	b.must(b.Start(t.Context(), set, nil))
	if again := b.one(set, 0); !again.StartedAt.Equal(init.StartedAt) || b.one(set, 1).Status != rollout.Running {
		t.Errorf("it ran again: %+v, before %+v", again, init)
	}
}

func incomplete(t *testing.T, b *bench) {
	after := backend
	after.after = "init"
	set := b.set(id(release.Green, "one"), service{name: "init", class: release.ClassOnce, does: Behaviour{Exits: true, Code: 2}}, after)
	b.must(b.Create(t.Context(), set, no))
	b.fault(b.Start(t.Context(), set, nil), rollout.FaultRevert, release.StartFailed)
	if c := b.one(set, 1); c.Status != rollout.Created {
		t.Errorf("it was started all the same: %+v", c)
	}
}

func once(t *testing.T, b *bench) {
	set := b.set(id(release.Green, "one"), service{name: "job:collect", class: release.ClassJob, does: Behaviour{Exits: true, Code: 3}})
	set.Containers[0].Name = set.Project + "-job-collect"
	job := set.Containers[0]
	set.Containers = nil
	b.must(b.Create(t.Context(), set, no))
	run := func() rollout.Container {
		t.Helper()
		exit, _, err := b.RunOnce(t.Context(), job)
		b.must(err)
		c, there := b.seen()[job.Name]
		if exit != 3 || !there || c.Service != "job:collect" || c.Set != set.ID || c.Status != rollout.Exited {
			t.Errorf("exit %d, %+v", exit, c)
		}
		return c
	}
	first := run()
	if again := run(); again.ID != first.ID || !again.StartedAt.Equal(first.StartedAt) {
		t.Errorf("it ran again: %+v, before %+v", again, first)
	}
	b.must(b.Remove(t.Context(), b.app, set.ID, []string{"job:collect"}))
	if anew := run(); anew.ID == first.ID {
		t.Error("it was removed, and its old answer was given")
	}
}

func notCreated(t *testing.T, b *bench) {
	old := b.set(id(release.Blue, "one"), backend)
	b.must(b.Create(t.Context(), old, no))
	changed := backend
	changed.spec = "changed"
	set := b.set(id(release.Blue, "one"), changed)
	b.fault(b.Start(t.Context(), set, []string{"backend"}), rollout.FaultRetry, release.ContainerMissing)
	if c := b.one(old, 0); c.Status != rollout.Created {
		t.Errorf("another specification was started: %+v", c)
	}
}

func killed(t *testing.T, b *bench) {
	set := b.set(id(release.Green, "one"), backend)
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	b.Kill(set.Containers[0].Name)
	b.eventually("it is seen dead", func() bool { c := b.one(set, 0); return c.Status == rollout.Exited && c.ExitCode == 137 })
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	if c := b.one(set, 0); c.Status != rollout.Running || c.Address != b.Address(1) {
		t.Errorf("after it was started again: %+v", c)
	}
}

func restarted(t *testing.T, b *bench) {
	set := b.set(id(release.Green, "one"), backend)
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	b.must(b.SetRestart(t.Context(), b.app, set.ID, nil, always))
	first := b.one(set, 0)
	b.Kill(set.Containers[0].Name)
	b.eventually("the engine brings it back", func() bool { c := b.one(set, 0); return c.Status == rollout.Running && c.Restarts > 0 })
	if c := b.one(set, 0); c.ID != first.ID || c.Address != first.Address || !c.StartedAt.After(first.StartedAt) {
		t.Errorf("it came back as another:\n%+v\n%+v", first, c)
	}
	b.eventually("it answers", func() bool { return b.Answers(b.Address(1)) == "backend" })
}

func addresses(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend, service{name: "gateway", class: release.ClassRouted, address: 2})
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend", "gateway"}))
	for _, order := range [][]string{{"gateway", "backend"}, {"backend", "gateway"}} {
		b.must(b.Stop(t.Context(), b.app, set.ID, nil))
		for _, name := range order {
			b.must(b.Start(t.Context(), set, []string{name}))
		}
		for n, name := range []string{"backend", "gateway"} {
			if a := b.one(set, n).Address; a != b.Address(n+1) {
				t.Errorf("started as %v: %s has %s, want %s", order, name, a, b.Address(n+1))
			}
			b.eventually(name+" answers at its address", func() bool { return b.Answers(b.Address(n+1)) == name })
		}
	}
}

func twoSets(t *testing.T, b *bench) {
	proven := b.set(id(release.Blue, "proven"), backend)
	newer := b.set(id(release.Blue, "newer"), service{name: "backend", class: release.ClassRouted, address: 2})
	b.must(b.Create(t.Context(), proven, no))
	b.must(b.Start(t.Context(), proven, []string{"backend"}))
	b.must(b.Stop(t.Context(), b.app, proven.ID, nil))
	b.must(b.Create(t.Context(), newer, no))
	b.must(b.Start(t.Context(), newer, []string{"backend"}))
	if p, n := b.one(proven, 0), b.one(newer, 0); p.Status != rollout.Exited || n.Status != rollout.Running || p.Set == n.Set {
		t.Fatalf("proven %+v\nnewer %+v", p, n)
	}
	b.must(b.SetRestart(t.Context(), b.app, newer.ID, nil, always))
	if r := b.one(proven, 0).Restart; r != no {
		t.Errorf("the stopped set's restart policy became %s", r)
	}
	b.must(b.Remove(t.Context(), b.app, newer.ID, nil))
	if len(b.seen()) != 1 {
		t.Fatalf("after removing the newer set: %+v", b.seen())
	}
	// The network that both used is still there for the proven one.
	b.must(b.Start(t.Context(), proven, []string{"backend"}))
	b.eventually("the proven set answers", func() bool { return b.Answers(b.Address(1)) == "backend" })
}

func others(t *testing.T, b *bench) {
	blue, green := b.set(id(release.Blue, "one"), backend), b.set(id(release.Green, "one"), service{name: "backend", class: release.ClassRouted, address: 2})
	other := *b
	other.app = b.app + "x"
	foreign := other.set(id(release.Blue, "one"), service{name: "backend", class: release.ClassRouted, address: 3})
	for _, set := range []release.SetSpec{blue, green, foreign} {
		b.must(b.Create(t.Context(), set, no))
		b.must(b.Start(t.Context(), set, []string{"backend"}))
	}
	if len(b.seen()) != 2 || len(other.seen()) != 1 {
		t.Fatalf("%d and %d containers, want 2 and 1", len(b.seen()), len(other.seen()))
	}
	b.must(b.Stop(t.Context(), b.app, blue.ID, nil))
	b.must(b.Remove(t.Context(), b.app, blue.ID, nil))
	if g, f := b.one(green, 0).Status, other.one(foreign, 0).Status; len(b.seen()) != 1 || g != rollout.Running || f != rollout.Running {
		t.Errorf("after removing blue: green %s, the other app %s", g, f)
	}
}

func replaced(t *testing.T, b *bench) {
	old := b.set(id(release.Blue, "one"), backend)
	b.must(b.Create(t.Context(), old, no))
	first := b.one(old, 0)
	changed := backend
	changed.spec = "changed"
	set := b.set(id(release.Blue, "one"), changed)
	b.must(b.Create(t.Context(), set, no))
	c := b.one(set, 0)
	if c.ID == first.ID || c.Spec != set.Containers[0].Labels[release.LabelSpec] || len(b.seen()) != 1 {
		t.Errorf("it was not replaced: %+v", c)
	}
}

func inUse(t *testing.T, b *bench) {
	old := b.set(id(release.Blue, "one"), backend)
	b.must(b.Create(t.Context(), old, no))
	b.must(b.Start(t.Context(), old, []string{"backend"}))
	first := b.one(old, 0)
	changed := backend
	changed.spec = "changed"
	b.fault(b.Create(t.Context(), b.set(id(release.Blue, "one"), changed), no), rollout.FaultHold, release.ObjectInUse)
	if c := b.one(old, 0); c != first {
		t.Errorf("it was touched:\n%+v\n%+v", first, c)
	}
}

func vanished(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend, service{name: "gateway", class: release.ClassRouted, address: 2})
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend", "gateway"}))
	b.must(b.SetRestart(t.Context(), b.app, set.ID, nil, always))
	first := b.one(set, 1)
	b.Vanish(set.Containers[0].Name)
	if len(b.seen()) != 1 {
		t.Fatalf("still there: %+v", b.seen())
	}
	b.fault(b.Start(t.Context(), set, []string{"backend"}), rollout.FaultRetry, release.ContainerMissing)
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	if c := b.one(set, 0); c.Status != rollout.Running || c.Address != b.Address(1) {
		t.Errorf("put back: %+v", c)
	}
	if c := b.one(set, 1); c != first {
		t.Errorf("the other was touched:\n%+v\n%+v", first, c)
	}
}

func gone(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend)
	b.must(b.Stop(t.Context(), b.app, set.ID, nil))
	b.must(b.Remove(t.Context(), b.app, set.ID, nil))
	b.must(b.SetRestart(t.Context(), b.app, set.ID, nil, no))
	b.fault(b.SetRestart(t.Context(), b.app, set.ID, nil, always), rollout.FaultRetry, release.ContainerMissing)
	b.must(b.Create(t.Context(), set, no))
	b.must(b.Start(t.Context(), set, []string{"backend"}))
	b.must(b.Remove(t.Context(), b.app, set.ID, nil)) // running
	b.must(b.Remove(t.Context(), b.app, set.ID, nil))
	if len(b.seen()) != 0 {
		t.Errorf("left: %+v", b.seen())
	}
}

func shared(t *testing.T, b *bench) {
	redis := service{name: "redis", class: release.ClassShared}
	first := b.set(id(release.Shared, "one"), redis)
	b.must(b.Create(t.Context(), first, no))
	b.must(b.Start(t.Context(), first, []string{"redis"}))
	b.must(b.SetRestart(t.Context(), b.app, first.ID, []string{"redis"}, always))
	was := b.one(first, 0)
	if was.Set.Colour != release.Shared || was.Status != rollout.Running {
		t.Fatalf("shared: %+v", was)
	}
	next := b.set(id(release.Shared, "two"), redis)
	b.must(b.Create(t.Context(), next, no))
	b.must(b.Start(t.Context(), next, []string{"redis"}))
	b.must(b.SetRestart(t.Context(), b.app, next.ID, []string{"redis"}, always))
	if c := b.one(next, 0); c != was || len(b.seen()) != 1 {
		t.Errorf("the next release touched it:\n%+v\n%+v", was, c)
	}
	// A colour next to it comes and goes.
	blue := b.set(id(release.Blue, "two"), backend)
	b.must(b.Create(t.Context(), blue, no))
	b.must(b.Remove(t.Context(), b.app, blue.ID, nil))
	if c := b.one(next, 0); c != was {
		t.Errorf("a colour's removal touched it:\n%+v\n%+v", was, c)
	}
	b.must(b.Stop(t.Context(), b.app, next.ID, []string{"redis"}))
	if c := b.one(next, 0); c.Status != rollout.Exited {
		t.Errorf("after stop: %+v", c)
	}
}

func order(t *testing.T, b *bench) {
	set := b.set(id(release.Blue, "one"), backend)
	var states []rollout.ContainerStatus
	look := func() { states = append(states, b.one(set, 0).Status) }
	b.must(b.Create(t.Context(), set, no))
	look()
	b.must(b.Start(t.Context(), set, nil))
	look()
	c := b.one(set, 0)
	b.must(b.Stop(t.Context(), b.app, set.ID, nil))
	look()
	if e := b.one(set, 0); e.EndedAt.Before(c.StartedAt) || !e.StartedAt.Equal(c.StartedAt) {
		t.Errorf("times do not fit: started %s then %s, ended %s", c.StartedAt, e.StartedAt, e.EndedAt)
	}
	b.must(b.Start(t.Context(), set, nil))
	look()
	want := []rollout.ContainerStatus{rollout.Created, rollout.Running, rollout.Exited, rollout.Running}
	for i := range want {
		if states[i] != want[i] {
			t.Fatalf("states %v, want %v", states, want)
		}
	}
	if again := b.one(set, 0); !again.StartedAt.After(c.StartedAt) || again.ID != c.ID {
		t.Errorf("the second start is not later, or another container:\n%+v\n%+v", c, again)
	}
}

func replacedShared(t *testing.T, b *bench) {
	store := service{name: "store", class: release.ClassShared, spec: "one"}
	was := b.set(id(release.Shared, "one"), store)
	b.must(b.Create(t.Context(), was, no))
	b.must(b.Start(t.Context(), was, nil))
	b.must(b.SetRestart(t.Context(), b.app, was.ID, []string{"store"}, always))
	before := b.one(was, 0)
	b.must(b.Replace(t.Context(), was))
	if now := b.one(was, 0); now.ID != before.ID || !now.StartedAt.Equal(before.StartedAt) {
		t.Errorf("what is so already was replaced: %+v, before %+v", now, before)
	}
	store.spec = "two"
	next := b.set(id(release.Shared, "two"), store)
	for range 2 { // the second time it is so already
		b.must(b.Replace(t.Context(), next))
		now := b.one(next, 0)
		if now.ID == before.ID || now.Spec == before.Spec || now.Status != rollout.Running || now.Restart != always || len(b.seen()) != 1 {
			t.Errorf("after the replacement: %+v", b.seen())
		}
	}
	missing := b.set(id(release.Shared, "two"), store, service{name: "new", class: release.ClassShared})
	b.must(b.Replace(t.Context(), missing))
	if c := b.one(missing, 1); c.Status != rollout.Running || c.Restart != always {
		t.Errorf("what was not there: %+v", c)
	}
}
