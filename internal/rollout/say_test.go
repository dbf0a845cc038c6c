package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// say is a step in the words of the published table.
func say(step Step) string {
	switch s := step.(type) {
	case Wait:
		if s.Until.IsZero() {
			return "waits: " + string(s.Why)
		}
		return "waits for a time: " + string(s.Why)
	case Cancel:
		return "cancels: " + string(s.Why)
	case Act:
		e := s.Effect
		about := string(e.Set.ID.Colour)
		if e.Kind == Report {
			about = map[bool]string{true: "bad", false: "good"}[e.Bad]
		}
		if e.Kind == RunJob {
			about = e.Job + " of " + about
		}
		return strings.TrimSpace(fmt.Sprintf("%s %s", e.Kind, about)) + because(e.Why)
	case Note:
		return sayRecord(s.Record)
	}
	return ""
}

func sayRecord(r Record) string {
	switch {
	case r.Begin != nil:
		return fmt.Sprintf("begins %s of %s in %s", r.Begin.Kind, r.Begin.To.Version, r.Begin.To.ID.Colour)
	case r.TakeOver != nil:
		return "takes the place of " + r.TakeOver.From
	case r.Enter != nil:
		blame := ""
		if r.Enter.Phase == Reverting {
			blame = map[bool]string{true: ", bad", false: ""}[r.Enter.Bad]
		}
		return "→ " + string(r.Enter.Phase) + blame + because(r.Enter.Why)
	case r.Settle != nil:
		held := ""
		if r.Settle.Hold != nil && r.Settle.Phase != Held {
			held = ", held"
		}
		return "ends " + string(r.Settle.Phase) + held + because(r.Settle.Why)
	case r.Order != nil && r.Order.Refused != "":
		return "refuses " + string(r.Order.Order.Kind) + because(r.Order.Refused)
	case r.Order != nil:
		return "takes up " + string(r.Order.Order.Kind)
	case r.Lift != nil:
		return "lifts the hold" + because(r.Lift.Why)
	case r.Hold != nil:
		return "holds" + because(r.Hold.Why)
	}
	return ""
}

func because(why release.Code) string {
	if why == "" {
		return ""
	}
	return ": " + string(why)
}

// fork is a copy that goes its own way.
func (w *world) fork() *world {
	c := *w
	c.trusted, c.checked, c.effects = maps.Clone(w.trusted), maps.Clone(w.checked), maps.Clone(w.effects)
	c.address = maps.Clone(w.address)
	c.running = map[release.SetID]map[string]ContainerStatus{}
	for id, services := range w.running {
		c.running[id] = maps.Clone(services)
	}
	c.fleet = FleetView{Frozen: slices.Clone(w.fleet.Frozen), Quarantine: slices.Clone(w.fleet.Quarantine)}
	c.orders, c.trace, c.records = slices.Clone(w.orders), slices.Clone(w.trace), slices.Clone(w.records)
	return &c
}

// next says what comes now; an order is taken up first and what follows is said too.
func (w *world) next() string {
	step := Next(w.input(), w.now)
	n, ok := step.(Note)
	if !ok || n.Record.Order == nil {
		return say(step)
	}
	c := w.fork()
	c.record(n.Record)
	return say(step) + "; " + c.next()
}

// play takes turns, every effect ending well but those that fail names once, until
// the app waits without a time or stop says so. It returns what was done.
func (w *world) play(fail map[EffectKind]Result, stop func() bool) []string {
	w.t.Helper()
	var said []string
	for range 300 {
		if stop != nil && stop() {
			return said
		}
		step := Next(w.input(), w.now)
		line := say(step)
		if len(said) == 0 || said[len(said)-1] != line {
			said = append(said, line)
		}
		wait := w.turn(func(e Effect) Result {
			if r, ok := fail[e.Kind]; ok {
				delete(fail, e.Kind)
				return r
			}
			return OK
		})
		if n := len(said); n >= 4 && said[n-1] == said[n-3] && said[n-2] == said[n-4] {
			said = said[:n-2] // wait, sample, wait, sample, …
		}
		if wait != nil {
			if wait.Until.IsZero() {
				return said
			}
			w.now = wait.Until
		}
	}
	w.fatalf("does not come to rest")
	return nil
}

// live is a world in which release 0 is live and proven.
func (w *world) liveZero() *world {
	w.t.Helper()
	w.push(0, true)
	w.calm()
	return w
}

// kill ends a container of a set from outside.
func (w *world) kill(id release.SetID, service string) {
	w.hurt = true
	w.running[id][service] = Exited
}

func (w *world) later(d time.Duration) *world {
	w.now = w.now.Add(d)
	return w
}
