package rollout

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
)

var (
	lives  = flag.Int("lives", 300, "how many long lives are lived")
	stream = flag.Uint64("stream", 7, "which stream of chance they get")
)

// dice gives rapid and the seeded life one face.
type dice interface {
	Intn(n int, what string) int
}

type rapidDice struct{ t *rapid.T }

func (d rapidDice) Intn(n int, what string) int { return rapid.IntRange(0, n-1).Draw(d.t, what) }

type seededDice struct{ r *rand.Rand }

func (d seededDice) Intn(n int, _ string) int { return d.r.IntN(n) }

// life draws one step of what can happen to an app: releases, refusals, failures of
// every effect at every point, crashes, bursts, orders, freezes, a dead engine, a deaf
// proxy, people with docker stop.
type life struct {
	*world
	dice
	n      int // the newest release
	result []Result
	// calmness is how many steps pass without an event, on average.
	calmness int
}

func newLife(w *world, d dice, luck []Result, calmness int) *life {
	l := &life{world: w, dice: d, result: luck, calmness: calmness}
	w.sample = l.sample
	l.push(0, true)
	return l
}

// sample draws what a look at the new colour sees.
func (l *life) sample() *Sample {
	draw := func(rule string, of ...ProbeResult) RuleSample {
		return RuleSample{Rule: rule, Result: of[l.Intn(len(of), rule)]}
	}
	return &Sample{At: l.now, Rules: []RuleSample{
		draw("probe:backend", Pass, Pass, Pass, Pass, Pass, Pass, Fail, Error),
		draw("container:backend", Pass, Pass, Pass, Pass, Pass, Pass, Pass, Error),
		draw(RuleErrorRate, Pass, Pass, Pass, Pass, NoData, NoData, NoData, Fail, Error),
	}}
}

func (l *life) event() {
	s := l.state
	if l.Intn(l.calmness, "calm") > 0 {
		return
	}
	switch l.Intn(20, "event") {
	case 18: // a secret of the host changes, or changes back
		l.given([]string{"i", "j", "k"}[l.Intn(3, "inputs")])
		l.want.Rotate = l.Intn(3, "autoRotate") == 0
	case 19:
		l.order(OrderRotate, "")
	case 0, 1:
		l.n++
		if l.push(l.n, l.Intn(4, "accepted") > 0); l.Intn(8, "removal") == 0 {
			l.pushRemoval(l.n, l.want.Verdict.Accepted)
		}
	case 2:
		l.push(l.n, true)
	case 3:
		l.order([]OrderKind{OrderRollback, OrderRollback, OrderResume, OrderRetry, OrderRemove}[l.Intn(5, "order")], "")
	case 4:
		l.order(OrderRollback, digestN(l.Intn(l.n+1, "to")))
	case 5, 6:
		if d := s.Deploy; d != nil && d.Crossed {
			l.burst = &Burst{Seq: uint64(len(l.trace) + 1), Generation: d.Generation, Errors: 20, Requests: 25, At: l.now}
		}
	case 7: // somebody stops or removes a container of what serves
		if l.served && !l.dead && l.running[l.live] != nil {
			l.hurt = true
			service := []string{"backend", "worker"}[l.Intn(2, "service")]
			if l.Intn(2, "removed") == 0 {
				delete(l.running[l.live], service)
			} else {
				l.running[l.live][service] = Exited
			}
		}
	case 8: // Git goes back to what is proven
		for k := range l.n {
			if s.Proven != nil && digestN(k) == s.Proven.ID.Digest {
				l.push(k, true)
			}
		}
	case 9:
		l.fleet.Frozen = nil
		if l.Intn(2, "frozen") == 0 {
			l.fleet.Frozen = []Freeze{{App: "shop", Actor: "ann", At: l.now, Until: l.now.Add(time.Duration(l.Intn(20, "minutes")) * time.Minute)}}
		}
	case 10:
		l.dead = !l.dead
	case 11:
		l.deaf = !l.deaf
	case 12:
		if l.served && l.Intn(2, "proxy forgets") == 0 {
			l.live, l.hurt = release.SetID{}, true
		}
	case 13:
		if d := s.Deploy; d != nil && !d.Crossed && l.Intn(3, "elsewhere") == 0 {
			l.fleet.Quarantine = append(l.fleet.Quarantine, Quarantine{App: "shop", Digest: d.To.ID.Digest, Inputs: "*", Host: "*", Content: d.To.Content, Why: release.BakeBurst})
		}
	case 14:
		if d := s.Deploy; d != nil && l.Intn(3, "withdrawn") == 0 {
			l.trusted[d.To.ID.Digest] = false
			if l.want.Set.ID.Digest == d.To.ID.Digest {
				l.want.Verdict = wantN(0, false).Verdict
			}
		}
	case 15:
		switch l.Intn(5, "repository") {
		case 3:
			l.elsewhere()
		case 4:
			l.ambiguous()
			if l.Intn(2, "hosts") == 0 {
				l.fleet.Hosts = l.fleet.Hosts[:1]
			}
		case 0:
			l.want = Want{Absent: true}
		case 1:
			l.want = Want{Unknown: release.NoCommitYet}
		default:
			l.push(l.n, true)
		}
	case 16:
		if l.flight != nil { // the agent dies while the effect runs
			l.end(*l.flight, Interrupted, l.Intn(2, "done") == 0)
		}
	case 17: // the engine starts again and brings back what has a restart policy
		if !l.hurt || l.dead {
			return
		}
		for id := range l.running {
			if id == l.live {
				l.running[id]["backend"] = Running
			}
		}
	}
}

// step is one event, one turn and some time.
func (l *life) step() {
	l.event()
	if l.flight != nil {
		switch l.Intn(3, "in flight") {
		case 0: // it ends
			result := l.draw(*l.flight)
			if l.asked && result != OK {
				result = Cancelled
			}
			l.end(*l.flight, result, result == OK || result == Interrupted && l.Intn(2, "done") == 0)
		case 1:
			l.now = l.now.Add(time.Second)
		}
	}
	wait := l.turn(func(e Effect) Result {
		if l.Intn(4, "stays in flight") == 0 {
			return ""
		}
		r := l.draw(e)
		if r == Interrupted && l.Intn(2, "done") == 0 {
			return OK // and the crash after it is the next turn's
		}
		return r
	})
	if wait != nil {
		pause := []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute}[l.Intn(4, "pause")]
		if !wait.Until.IsZero() && l.Intn(2, "until") == 0 {
			l.now = wait.Until
		} else {
			l.now = l.now.Add(pause)
		}
	}
}

func (l *life) draw(e Effect) Result {
	r := l.result[l.Intn(len(l.result), "result of "+string(e.Kind))]
	broken := l.dead && (e.Kind == Prepare || e.Kind == Start || e.Kind == HandStart || e.Kind == HandStop || e.Kind == Retire || e.Kind == Drop || e.Kind == Restore) ||
		l.deaf && e.Kind == SwitchTo
	if r == OK && broken {
		return Retryable
	}
	return r
}

// after lets the world be well again and checks that the app comes to rest right.
func (l *life) after() {
	l.dead, l.deaf, l.burst, l.world.sample = false, false, nil, nil
	l.fleet.Frozen = nil
	l.rests(l.calm())
	// What a person does next must help: a newer release goes live.
	l.fleet.Quarantine = nil
	l.n++
	l.push(l.n, true)
	wait := l.calm()
	l.rests(wait)
	if l.state.Live == nil || l.state.Live.ID.Digest != digestN(l.n) || wait.Why != release.Converged {
		l.fatalf("the newer release does not go live: %+v", wait)
	}
	if l.state.Accepted.Sequence != int64(l.n+1) {
		l.fatalf("the mark is %+v", l.state.Accepted)
	}
}

func (l *life) rests(wait *Wait) {
	l.atRest()
	l.settledRight(wait)
}

// luck is how effects end, from a good day to a bad one.
var luck = [][]Result{
	{OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, Bad, Interrupted},
	{OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, Interrupted, Retryable, Bad, NeedsPerson},
	{OK, OK, OK, OK, Interrupted, Retryable, Bad, NeedsPerson},
}

// TestAnythingConverges draws lives. After the world is well again, the promises hold.
func TestAnythingConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(newWorld(t), rapidDice{t}, rapid.SampledFrom(luck).Draw(t, "luck"), rapid.IntRange(1, 20).Draw(t, "calmness"))
		if rapid.Bool().Draw(t, "begins live") {
			l.calm()
		}
		for range rapid.IntRange(5, 150).Draw(t, "steps") {
			l.step()
		}
		l.after()
	})
}

// TestLongLives is the same with a plain generator, which reaches deeper states than
// one that looks for small examples.
func TestLongLives(t *testing.T) {
	for seed := range *lives {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dice := seededDice{rand.New(rand.NewPCG(uint64(seed), uint64(*stream)))}
			l := newLife(newWorld(t), dice, luck[seed%3], 1+seed%23)
			l.calm()
			for range 50 + seed%400 {
				l.step()
			}
			l.after()
		})
	}
}
