package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tealops/teal/internal/rollout"
)

var every = flag.Bool("every", false, "crash at every call also in the stories that take longest")

// TestCrashAtEveryEdgeCall runs each story once to record every call that the agent
// makes to an edge, and then once more for each of these calls with a crash right
// before it and once with a crash right after it. Whatever was interrupted, the
// restarted agent must bring the story to the same end.
//
// Stories that take long (real files, two apps) are crashed at every eleventh call, and at
// each kind of call in each state; with -every at every call like the others.
//
// It prints how often each state was crashed in, by edge; a state or an edge call
// that was recorded and never crashed in fails the test.
func TestCrashAtEveryEdgeCall(t *testing.T) {
	cover := coverage{hits: map[cell]int{}, calls: map[cell]bool{}}
	stride := stride
	if testing.Short() {
		stride = 7
	}
	t.Run("stories", func(t *testing.T) {
		for _, s := range stories() {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				calm := s.run(t, 0, false)
				if t.Failed() {
					return
				}
				cover.recorded(calm.Calls())
				n := len(calm.Calls())
				step := stride
				switch {
				case testing.Short() && s.finds != nil:
					step *= 3 // these write real files
				case stride == 1 && !*every && (s.finds != nil || strings.HasPrefix(s.name, "renamed")):
					step = 11
				}
				for at := 1; at <= n; at += step {
					for _, before := range []bool{true, false} {
						name := fmt.Sprintf("call %d of %d", at, n)
						w := s.run(t, at, before)
						c := w.Crashed()
						if c == nil {
							t.Errorf("%s: the agent did not crash", name)
							continue
						}
						cover.crashed(*c, before)
						if t.Failed() {
							t.Fatalf("%s: %s.%s in %s, before=%v", name, c.Edge, c.Op, orNone(c.Phase), before)
						}
					}
				}
				// Goroutines do not interleave the same way twice, so that a number can miss a
				// call that is made once in a state: what was missed is asked for by name.
				for _, call := range calm.Calls() {
					for _, before := range []bool{true, false} {
						if stride > 1 || cover.hit(call, before) {
							continue
						}
						w := s.play(t, 0, &call, before)
						if c := w.Crashed(); c != nil {
							cover.crashed(*c, before)
						}
						if t.Failed() {
							t.Fatalf("%s.%s in %s, before=%v", call.Edge, call.Op, orNone(call.Phase), before)
						}
					}
				}
			})
		}
	})
	if t.Failed() || stride > 1 { // a part of the points leaves fields empty
		return
	}
	cover.report(t)
}

func orNone(p rollout.Phase) rollout.Phase {
	if p == "" {
		return "none"
	}
	return p
}

// cell is one field of the coverage table.
type cell struct {
	phase  rollout.Phase
	edge   string
	before bool
}

type coverage struct {
	mu    sync.Mutex // guards the rest
	hits  map[cell]int
	calls map[cell]bool // of the recording; before is always true
}

func (c *coverage) recorded(calls []Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range calls {
		c.calls[cell{orNone(call.Phase), call.Edge, true}] = true
	}
}

// hit reports whether a call's edge was crashed at in its state.
func (c *coverage) hit(call Call, before bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits[cell{orNone(call.Phase), call.Edge, before}] > 0
}

func (c *coverage) crashed(call Call, before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits[cell{orNone(call.Phase), call.Edge, before}]++
}

// report prints the table: crashes before/after a call, by state and edge. "-" says
// that the agent makes no such call in that state.
func (c *coverage) report(t *testing.T) {
	edges := []string{"container", "switch", "turn", "fsync"}
	phases := append([]rollout.Phase{"none"}, append(rollout.Phases(), rollout.Live, rollout.Reverted, rollout.Held, rollout.Superseded, rollout.Absent)...)
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s", "state")
	for _, e := range edges {
		fmt.Fprintf(&b, " %14s", e)
	}
	b.WriteString("   (crashes before/after a call)\n")
	total := 0
	for _, p := range phases {
		fmt.Fprintf(&b, "%-12s", p)
		any := false
		for _, e := range edges {
			before, after := c.hits[cell{p, e, true}], c.hits[cell{p, e, false}]
			total += before + after
			switch {
			case !c.calls[cell{p, e, true}]:
				fmt.Fprintf(&b, " %14s", "-")
				continue
			case before == 0 || after == 0:
				t.Errorf("%s calls in state %s were recorded, and crashed %d times before and %d times after", e, p, before, after)
			}
			any = true
			fmt.Fprintf(&b, " %14s", fmt.Sprintf("%d/%d", before, after))
		}
		b.WriteString("\n")
		if !any {
			t.Errorf("no story passes through state %s", p)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.calls), func(a, b cell) int { return strings.Compare(string(a.phase)+a.edge, string(b.phase)+b.edge) }) {
		if !slices.Contains(phases, k.phase) || !slices.Contains(edges, k.edge) {
			t.Errorf("the table has no field for %s calls in state %s", k.edge, k.phase)
		}
	}
	fmt.Fprintf(&b, "%d crashes, each brought to the story's own end\n", total)
	if os.Getenv("TEAL_COVERAGE") != "" || testing.Verbose() {
		t.Log("\n" + b.String())
	}
}
