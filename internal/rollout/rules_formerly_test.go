package rollout

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// renamed makes what the world has that of the app shop, whose place shop2 is to take.
func (w *world) renamed() *world {
	was := w.state
	w.former, w.state, w.want = &was, State{App: "shop2"}, Want{}
	return w
}

func formerlyRules() []rule {
	forward := slices.Concat([]string{"takes the place of shop", "begins release of v1.1.0 in green"}, through(release.Green),
		[]string{"hand_stop blue", "hand_start green", "end_turn green", "→ baking"})
	return []rule{
		{name: "a place is taken by one record, and then it is an ordinary release", given: func(w *world) { w.liveZero().renamed().push(1, true) },
			want: slices.Concat(forward, baked(release.Green), []string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "one that is gone back from leaves what was there", given: func(w *world) { w.liveZero().renamed().push(1, true) },
			fail: map[EffectKind]Result{HandStart: Bad}, stop: func(s State) bool { return s.Phase() == Reverted },
			want: slices.Concat(forward[:len(forward)-2], []string{"→ reverting, bad: step_failed", "switch blue", "hand_stop green", "hand_start blue",
				"report bad: step_failed", "end_turn green", "front_door blue", "retire green", "ends reverted, held: step_failed"})},
		{name: "what is not approved takes no place", given: func(w *world) { w.liveZero().renamed().push(1, false) },
			want: []string{"begins release of v1.1.0 in blue", "→ verifying", "→ blocked: approval_threshold", "waits: approval_threshold"}},
		{name: "an approval that comes later takes it", given: func(w *world) {
			w.liveZero().renamed().push(1, false)
			w.calm()
			w.push(1, true)
		}, stop: func(s State) bool { return s.Phase() == Preparing },
			want: []string{"ends superseded: takes_over", "takes the place of shop", "begins release of v1.1.0 in green", "→ verifying", "→ preparing"}},
		{name: "a name that still stands keeps its place", given: func(w *world) {
			w.liveZero().renamed()
			w.barred = Barred{Why: release.FormerStands}
			w.push(1, true)
		}, want: []string{"waits: former_stands"}},
		{name: "an app with a life of its own takes no place", given: func(w *world) {
			w.liveZero().renamed()
			w.state.Generation = 3
			w.push(1, true)
		}, want: []string{"waits: former_conflict"}},
		{name: "a name that was given away gives nothing", given: func(w *world) {
			w.liveZero().renamed()
			w.former.Renamed = &Renamed{To: "store"}
			w.push(1, true)
		}, want: []string{"waits: former_conflict"}},
		{name: "a name that was given away starts nothing", given: func(w *world) {
			w.state.Renamed = &Renamed{To: "shop2"}
			w.push(7, true)
		}, want: []string{"waits: app_renamed"}},
		{name: "a hold comes along", given: func(w *world) {
			w.liveZero()
			w.state.Hold = &Hold{Why: release.RolledBack, Sequence: 5}
			w.renamed().push(1, true)
		}, want: []string{"waits: rolled_back"}},
		{name: "a freeze of the former name holds", given: func(w *world) {
			w.liveZero().renamed().push(1, true)
			w.fleet.Frozen = []Freeze{{App: "shop", Actor: "ann", At: w.now}}
		}, want: []string{"takes the place of shop", "begins release of v1.1.0 in green", "→ verifying", "→ preparing", "prepare green", "→ waiting", "waits: frozen"}},
	}
}

// TestPlaceIsTakenAtRest: while the app is at something under its former name, its place
// is waited for.
func TestPlaceIsTakenAtRest(t *testing.T) {
	for name, set := range map[string]func(s *State){
		"deploying":      func(s *State) { s.Deploy = &Deployment{Phase: Baking} },
		"an effect":      func(s *State) { s.Effect = &Effect{Kind: Restore} },
		"an order":       func(s *State) { s.Rollback = &Order{} },
		"a removal":      func(s *State) { s.Removal = &Order{} },
		"an unsure flip": func(s *State) { s.Doubtful = &s.Live.ID },
	} {
		w := scripted(t)
		w.liveZero().renamed()
		set(w.former)
		w.push(1, true)
		if wait, ok := Next(w.input(), w.now).(Wait); !ok || wait.Why != release.FormerBusy || wait.Until.IsZero() {
			t.Errorf("%s: %+v", name, Next(w.input(), w.now))
		}
	}
}

// TestTakeOver shows what both apps have after the record: every set keeps the name that
// it was made under, the marks are the higher ones, and nothing of the other is left but
// where it went.
func TestTakeOver(t *testing.T) {
	w := scripted(t)
	w.liveZero().push(1, true)
	w.calm()
	w.renamed()
	w.state.Serial, w.state.OrdersSeen = 1, 9
	now, was := w.state.TakeOver(TakeOver{From: "shop", Origin: "shop"}, *w.former, w.now)
	text, err := json.MarshalIndent(map[string]State{"shop2": now, "shop": was}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "takeover.golden.json", append(text, '\n'))
	if w.former.Live.App != "" {
		t.Error("the other's state was changed in place")
	}
	third, _ := State{App: "shop3"}.TakeOver(TakeOver{From: "shop2", Origin: now.Origin}, now, w.now)
	if third.Live.App != "shop" || third.Origin != "shop" || !slices.Equal(third.Former, []string{"shop2", "shop"}) || !slices.Equal(third.Called(), []string{"shop3", "shop"}) {
		t.Errorf("a third name: live %q, origin %q, former %v, called %v", third.Live.App, third.Origin, third.Former, third.Called())
	}
	back, _ := was.TakeOver(TakeOver{From: "shop3", Origin: third.Origin}, third, w.now)
	if back.Live.App != "" || back.Origin != "" || !slices.Equal(back.Former, []string{"shop3", "shop2"}) || back.Renamed != nil {
		t.Errorf("the first name again: live %q, origin %q, former %v", back.Live.App, back.Origin, back.Former)
	}
}
