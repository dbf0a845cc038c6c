package fleet

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at makes a host's command at a number of minutes past noon.
func at(minutes int, host string, c Command) Command {
	c.At, c.Host = noon.Add(time.Duration(minutes)*time.Minute), host
	return c
}

func ask(app, digest string) Command {
	return Command{Ask: &Ask{App: app, Digest: release.Digest(digest), Inputs: "in", Content: release.Digest("content of " + digest), Sequence: 1}}
}

func confirm(app string, index uint64, request string) Command {
	return Command{Request: request, Confirm: &Confirm{App: app, Token: rollout.Token{Epoch: epoch, Index: index}}}
}

func end(app string, index uint64) Command {
	return Command{End: &End{App: app, Token: rollout.Token{Epoch: epoch, Index: index}}}
}

func report(app, digest string, good bool) Command {
	return Command{Report: &Report{App: app, Digest: release.Digest(digest), Inputs: "in", Content: release.Digest("content of " + digest), Version: "v1", Good: good, Why: release.BakeFailed}}
}

func freeze(app string, until int) Command {
	f := rollout.Freeze{App: app, Reason: "holidays", Actor: "ann"}
	if until > 0 {
		f.Until = noon.Add(time.Duration(until) * time.Minute)
	}
	return Command{Freeze: &f}
}

func unfreeze(app string) Command { return Command{Unfreeze: &Unfreeze{App: app, Actor: "ann"}} }

func order(kind rollout.OrderKind, app string) Command {
	return Command{Order: &rollout.Order{Kind: kind, App: app, Actor: "ann", Reason: "because"}}
}

// want is the answer to one command: a token's index, or why there is none.
type want struct {
	token  uint64
	denied release.Code
}

type turn struct {
	do   Command
	want want
}

func TestFSM(t *testing.T) {
	ok := want{}
	same := ask("shop", "aaaa")
	same.Ask.Content = "content of bad"
	other := ask("shop", "aaaa")
	other.Ask.Inputs = "other"
	for name, turns := range map[string][]turn{
		"one host at a time": {
			{at(0, "h1", ask("shop", "a")), want{token: 1}},
			{at(0, "h2", ask("shop", "a")), want{denied: release.TurnTaken}},
			{at(0, "h2", ask("bank", "a")), want{token: 3}}, // another app
			{at(0, "h2", end("shop", 1)), ok},               // the token is what counts
			{at(0, "h2", ask("shop", "a")), want{token: 5}},
		},
		"a host gets its own turn again": {
			{at(0, "h1", ask("shop", "a")), want{token: 1}},
			{at(9, "h1", ask("shop", "a")), want{token: 1}},
			{at(9, "h1", other), want{token: 3}}, // another target: the old token is void
			{at(9, "h1", confirm("shop", 1, "r")), want{denied: release.ConfirmDenied}},
			{at(9, "h1", confirm("shop", 3, "r")), want{token: 3}},
		},
		"only the holder confirms": {
			{at(0, "h1", confirm("shop", 0, "r0")), want{denied: release.ConfirmDenied}},
			{at(0, "h1", ask("shop", "a")), want{token: 2}},
			{at(0, "h2", confirm("shop", 2, "r1")), want{denied: release.ConfirmDenied}},
			{at(0, "h1", confirm("shop", 1, "r2")), want{denied: release.ConfirmDenied}},
			{at(0, "h1", confirm("bank", 2, "r3")), want{denied: release.ConfirmDenied}},
			{at(0, "h1", confirm("shop", 2, "r4")), want{token: 2}},
			{at(0, "h1", end("shop", 2)), ok},
			{at(0, "h1", confirm("shop", 2, "r5")), want{denied: release.ConfirmDenied}},
		},
		"a request has one answer": {
			{at(0, "h1", ask("shop", "a")), want{token: 1}},
			{at(0, "h1", confirm("shop", 1, "r")), want{token: 1}},
			{at(1, "h1", freeze("", 0)), ok},
			{at(1, "h1", end("shop", 1)), ok},
			{at(2, "h1", confirm("shop", 1, "r")), want{token: 1}}, // asked again after a crash
			{at(2, "h1", confirm("shop", 1, "r'")), want{denied: release.ConfirmDenied}},
		},
		"a refusal is not the last word": {
			{at(0, "h1", ask("shop", "a")), want{token: 1}},
			{at(0, "h1", freeze("", 0)), ok},
			{at(1, "h1", confirm("shop", 1, "r")), want{denied: release.Frozen}},
			{at(1, "h1", unfreeze("")), ok},
			{at(2, "h1", confirm("shop", 1, "r")), want{token: 1}},
		},
		"end is given back once": {
			{at(0, "h1", ask("shop", "a")), want{token: 1}},
			{at(0, "h1", end("shop", 1)), ok},
			{at(0, "h2", ask("shop", "a")), want{token: 3}},
			{at(0, "h1", end("shop", 1)), ok}, // late: not the other host's turn
			{at(0, "h2", confirm("shop", 3, "r")), want{token: 3}},
			{at(0, "h1", end("nobody", 1)), ok},
		},
		"the environment is frozen": {
			{at(0, "h1", freeze("", 0)), ok},
			{at(1, "h1", ask("shop", "a")), want{denied: release.Frozen}},
			{at(1, "h1", unfreeze("shop")), want{denied: release.NotFrozen}},
			{at(1, "h1", unfreeze("")), ok},
			{at(1, "h1", unfreeze("")), want{denied: release.NotFrozen}},
			{at(1, "h1", ask("shop", "a")), want{token: 6}},
		},
		"an app is frozen": {
			{at(0, "h1", freeze("shop", 0)), ok},
			{at(1, "h1", ask("shop", "a")), want{denied: release.Frozen}},
			{at(1, "h1", ask("bank", "a")), want{token: 3}},
		},
		"a freeze ends by the command's time": {
			{at(0, "h1", freeze("shop", 10)), ok},
			{at(9, "h1", ask("shop", "a")), want{denied: release.Frozen}},
			{at(10, "h1", ask("shop", "a")), want{token: 3}},
		},
		"the newer freeze counts": {
			{at(0, "h1", freeze("shop", 10)), ok},
			{at(1, "h1", freeze("shop", 0)), ok},
			{at(99, "h1", ask("shop", "a")), want{denied: release.Frozen}},
		},
		"bad is bad everywhere": {
			{at(0, "h1", report("shop", "bad", false)), ok},
			{at(0, "h2", ask("shop", "bad")), want{denied: release.Quarantined}},
			{at(0, "h2", ask("bank", "bad")), want{token: 3}},
			{at(0, "h2", same), want{denied: release.SameAsQuarantined}},
			{at(0, "h2", ask("shop", "good")), want{token: 5}},
		},
		"bad while the turn is held": {
			{at(0, "h1", ask("shop", "bad")), want{token: 1}},
			{at(0, "h2", report("shop", "bad", false)), ok},
			{at(0, "h1", confirm("shop", 1, "r")), want{denied: release.Quarantined}},
		},
		"its twin is found bad while the turn is held": {
			{at(0, "h1", same), want{token: 1}},
			{at(0, "h2", report("shop", "bad", false)), ok},
			{at(0, "h1", confirm("shop", 1, "r")), want{denied: release.SameAsQuarantined}},
		},
		"what a host proved is bad only there, with those inputs": {
			{at(0, "h1", report("shop", "aaaa", true)), ok},
			{at(1, "h1", report("shop", "aaaa", false)), ok},
			{at(2, "h1", ask("shop", "aaaa")), want{denied: release.Quarantined}},
			{at(2, "h1", other), want{token: 4}},
			{at(2, "h1", end("shop", 4)), ok},
			{at(2, "h2", ask("shop", "aaaa")), want{token: 6}},
		},
		"retry clears the app's quarantine": {
			{at(0, "h1", report("shop", "bad", false)), ok},
			{at(0, "h1", report("bank", "bad", false)), ok},
			{at(0, "h1", order(rollout.OrderResume, "shop")), ok},
			{at(0, "h1", ask("shop", "bad")), want{denied: release.Quarantined}},
			{at(0, "h1", order(rollout.OrderRetry, "shop")), ok},
			{at(0, "h1", ask("shop", "bad")), want{token: 6}},
			{at(0, "h1", ask("bank", "bad")), want{denied: release.Quarantined}},
		},
		"an empty command changes nothing but the index": {
			{at(0, "h1", Command{}), ok},
			{at(0, "h1", ask("shop", "a")), want{token: 2}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s State
			for i, step := range turns {
				before := s.Index
				got := s.Apply(step.do)
				if got.Token.Index != step.want.token || got.Denied != step.want.denied || (step.want.token == 0) != got.Token.Zero() {
					t.Fatalf("step %d, %s: answered %+v, want %+v", i+1, show(step.do), got, step.want)
				}
				if repeated := s.Index == before; !repeated && got.Index != s.Index {
					t.Fatalf("step %d: answer has index %d, state %d", i+1, got.Index, s.Index)
				}
			}
		})
	}
}

func show(c Command) string {
	data, _ := json.Marshal(c)
	return string(data)
}

func TestViewIsTheHosts(t *testing.T) {
	var s State
	s.Apply(at(0, "h1", report("shop", "aaaa", true)))
	s.Apply(at(0, "h1", report("shop", "aaaa", false)))
	s.Apply(at(1, "h2", report("shop", "bbbb", false)))
	s.Apply(at(2, "h1", report("shop", "bbbb", false))) // again: replaced, not doubled
	s.Apply(at(3, "h1", freeze("", 0)))
	for host, digests := range map[string][]release.Digest{"h1": {"aaaa", "bbbb"}, "h2": {"bbbb"}} {
		v := s.View(host)
		var got []release.Digest
		for _, q := range v.Quarantine {
			got = append(got, q.Digest)
		}
		if !slices.Equal(got, digests) || len(v.Frozen) != 1 || !v.Frozen[0].At.Equal(noon.Add(3*time.Minute)) {
			t.Errorf("%s sees %v and %v", host, got, v.Frozen)
		}
		v.Frozen[0].App = "changed"
		if len(v.Quarantine) > 0 {
			v.Quarantine[0].App = "changed"
		}
	}
	if s.Frozen[0].App != "" || s.Quarantine[0].App != "shop" {
		t.Error("a view can change the state")
	}
}

func TestOrdersAreNumberedAndBounded(t *testing.T) {
	var s State
	for i := range maxOrders + 10 {
		c := at(i, "h1", order(rollout.OrderRollback, fmt.Sprint("app-", i%2)))
		c.Order.Index, c.Order.At = 999, noon // what the proposer says does not count
		if a := s.Apply(c); a.Index != uint64(i+1) || a.Denied != "" {
			t.Fatalf("order %d: %+v", i, a)
		}
	}
	if len(s.Orders) != maxOrders {
		t.Fatalf("%d orders kept", len(s.Orders))
	}
	for _, app := range []string{"app-0", "app-1"} {
		got := s.OrdersFor(app)
		if len(got) != maxOrders/2 {
			t.Errorf("%d orders of %s", len(got), app)
		}
		for i, o := range got {
			if o.App != app || !o.At.Equal(noon.Add(time.Duration(o.Index-1)*time.Minute)) || i > 0 && o.Index <= got[i-1].Index {
				t.Fatalf("order %+v of %s", o, app)
			}
		}
	}
	if got := s.OrdersFor("nobody"); got != nil {
		t.Errorf("orders %v", got)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	var s State
	for i := range 2*maxAnswered + 1 {
		a := s.Apply(at(0, "h1", ask("shop", "a")))
		s.Apply(at(0, "h1", confirm("shop", a.Token.Index, fmt.Sprint("r", i))))
		s.Apply(at(0, "h1", end("shop", a.Token.Index)))
		s.Apply(at(0, "h1", report("shop", fmt.Sprint("d", i), true)))
	}
	if len(s.Answered) != maxAnswered || len(s.Proven["shop"]) != 64 {
		t.Errorf("%d answers and %d proofs kept", len(s.Answered), len(s.Proven["shop"]))
	}
	if s.Answered[0].Request != fmt.Sprint("r", maxAnswered+1) {
		t.Errorf("the oldest answer kept is to %s", s.Answered[0].Request)
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	var s State
	for _, c := range []Command{at(0, "h1", ask("shop", "a")), at(1, "h1", confirm("shop", 1, "r")), at(2, "h2", report("shop", "b", false)), at(3, "h1", report("shop", "a", true)),
		at(4, "h1", freeze("bank", 99)), at(5, "h1", order(rollout.OrderRollback, "shop"))} {
		if a := s.Apply(c); a.Denied != "" {
			t.Fatalf("%s: %+v", show(c), a)
		}
	}
	copied, err := s.clone()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, copied); diff != "" {
		t.Errorf("snapshot (-was +is):\n%s", diff)
	}
	copied.Apply(at(6, "h1", end("shop", 1)))
	copied.Apply(at(6, "h1", order(rollout.OrderRetry, "shop")))
	if len(s.Turns) != 1 || len(s.Quarantine) != 1 {
		t.Error("a copy shares with its origin")
	}
}
