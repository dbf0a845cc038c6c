package fleet

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// anyCommand draws a command of hosts that do as they like: stale tokens, foreign
// turns, repeated requests.
func anyCommand(t *rapid.T, minutes int, highest uint64) Command {
	host := rapid.SampledFrom([]string{"h1", "h2", "h3"}).Draw(t, "host")
	app := rapid.SampledFrom([]string{"shop", "bank"}).Draw(t, "app")
	digest := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "digest")
	token := rapid.Uint64Range(0, highest+1).Draw(t, "token")
	where := rapid.SampledFrom([]string{app, app, ""}).Draw(t, "where")
	request := rapid.SampledFrom([]string{"", "r1", "r2", "r3"}).Draw(t, "request")
	return at(minutes, host, rapid.SampledFrom([]func() Command{
		func() Command { return ask(app, digest) },
		func() Command { return ask(app, digest) },
		// A request belongs to one turn: whoever makes ids makes them so.
		func() Command {
			return confirm(app, token, rapid.SampledFrom([]string{"", fmt.Sprint(host, app, token)}).Draw(t, "id"))
		},
		func() Command { return confirm(app, token, "") },
		func() Command { return end(app, token) },
		func() Command { return report(app, digest, rapid.Bool().Draw(t, "good")) },
		func() Command { return freeze(where, rapid.IntRange(0, 40).Draw(t, "until")) },
		func() Command { return unfreeze(where) },
		func() Command {
			c := order(rapid.SampledFrom([]rollout.OrderKind{rollout.OrderRollback, rollout.OrderResume, rollout.OrderRetry}).Draw(t, "order"), app)
			c.Request = request
			return c
		},
	}).Draw(t, "command")())
}

// holder is who has an app's turn, as the answers say.
type holder struct {
	host   string
	digest release.Digest
	token  rollout.Token
}

func TestTurnsAreSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s State
		held := map[string]holder{}
		bad := map[string]bool{} // app and digest that nobody may start
		answers := map[string]Answer{}
		highest := uint64(0)
		for minutes := range rapid.IntRange(1, 60).Draw(t, "commands") {
			c := anyCommand(t, minutes, highest)
			got := s.Apply(c)
			if c.Request != "" {
				before, repeated := answers[c.Request]
				if repeated && got != before {
					t.Fatalf("%s: answered %+v, before %+v", show(c), got, before)
				}
				if repeated {
					continue
				}
				if got.Denied == "" {
					answers[c.Request] = got
				}
			}
			frozen := func(app string) bool {
				return slices.ContainsFunc(s.Frozen, func(f rollout.Freeze) bool { return f.Covers(app, c.At) })
			}
			switch {
			case c.Ask != nil && got.Denied == "":
				h, taken := held[c.Ask.App]
				if taken && h.host != c.Host {
					t.Fatalf("%s: granted while %s holds it", show(c), h.host)
				}
				if again := taken && h.digest == c.Ask.Digest; again != (got.Token == h.token) {
					t.Fatalf("%s: token %v, held %+v", show(c), got.Token, h)
				} else if !again && got.Token.Index <= highest {
					t.Fatalf("%s: token %v after %d", show(c), got.Token, highest)
				}
				if bad[c.Ask.App+string(c.Ask.Digest)] || frozen(c.Ask.App) {
					t.Fatalf("%s: granted although bad or frozen", show(c))
				}
				held[c.Ask.App] = holder{c.Host, c.Ask.Digest, got.Token}
				highest = max(highest, got.Token.Index)
			case c.Confirm != nil && got.Denied == "":
				h, taken := held[c.Confirm.App]
				if !taken || h.host != c.Host || h.token != c.Confirm.Token || got.Token != h.token {
					t.Fatalf("%s: confirmed, held %+v", show(c), h)
				}
				if bad[c.Confirm.App+string(h.digest)] || frozen(c.Confirm.App) {
					t.Fatalf("%s: confirmed although bad or frozen", show(c))
				}
			case c.End != nil:
				if held[c.End.App].token == c.End.Token {
					delete(held, c.End.App)
				}
			case c.Report != nil && !c.Report.Good:
				proven := slices.ContainsFunc(s.Proven[c.Report.App], func(p Proof) bool { return p.Host == c.Host && p.Digest == c.Report.Digest })
				if !proven {
					bad[c.Report.App+string(c.Report.Digest)] = true
				}
			case c.Order != nil && c.Order.Kind == rollout.OrderRetry:
				for _, d := range []string{"a", "b", "c"} {
					delete(bad, c.Order.App+d)
				}
			}
			for app, h := range held {
				if turn := s.Turns[app]; turn.Host != h.host || turn.Token != h.token {
					t.Fatalf("%s: %s has %+v, the answers said %+v", show(c), app, turn, h)
				}
			}
			if len(s.Turns) != len(held) {
				t.Fatalf("%s: %d turns, held %d", show(c), len(s.Turns), len(held))
			}
		}
	})
}

// Equal logs give equal states and answers, at whatever time and after whatever
// snapshots they are applied.
func TestApplyIsDeterministic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var log []Command
		for minutes := range rapid.IntRange(1, 40).Draw(rt, "commands") {
			log = append(log, anyCommand(rt, minutes, uint64(minutes)))
		}
		cut := rapid.IntRange(0, len(log)).Draw(rt, "snapshot after")
		synctest.Test(t, func(t *testing.T) {
			run := func(pause time.Duration, snapshot bool) (s State, answers []Answer) {
				for i, c := range log {
					time.Sleep(pause)
					if snapshot && i == cut {
						var err error
						if s, err = s.clone(); err != nil {
							t.Fatal(err)
						}
					}
					answers = append(answers, s.Apply(c))
				}
				return s, answers
			}
			s1, a1 := run(0, false)
			s2, a2 := run(100*24*time.Hour, true)
			j1, err1 := json.Marshal(s1)
			j2, err2 := json.Marshal(s2)
			if err1 != nil || err2 != nil || string(j1) != string(j2) || !reflect.DeepEqual(a1, a2) {
				t.Fatalf("%s\n%s\n%v\n%v", j1, j2, a1, a2)
			}
		})
	})
}
