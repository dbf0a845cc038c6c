package fleet

import (
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// State is the replicated state. The zero value is a new fleet.
type State struct {
	Feature    int                  `json:"feature"` // level of the format; see FeatureLevel
	Index      uint64               `json:"index"`   // last applied command
	Turns      map[string]Turn      `json:"turns,omitempty"`
	Quarantine []rollout.Quarantine `json:"quarantine,omitempty"`
	Frozen     []rollout.Freeze     `json:"frozen,omitempty"`
	Orders     []rollout.Order      `json:"orders,omitempty"` // the newest maxOrders
	Proven     map[string][]Proof   `json:"proven,omitempty"` // app → what each host proved last
	Answered   []Answered           `json:"answered,omitempty"`
}

// FeatureLevel is the format this version writes.
const FeatureLevel = 1

// Turn is a granted permission.
type Turn struct {
	Host      string         `json:"host"`
	Digest    release.Digest `json:"digest"`
	Inputs    string         `json:"inputs"`
	Content   release.Digest `json:"content,omitempty"`
	Token     rollout.Token  `json:"token"`
	Confirmed bool           `json:"confirmed,omitempty"`
	Urgent    bool           `json:"urgent,omitempty"` // passes a freeze
	At        time.Time      `json:"at"`
}

// Proof says that a host finished the bake of a release.
type Proof struct {
	Host   string         `json:"host"`
	Digest release.Digest `json:"digest"`
	Inputs string         `json:"inputs"`
	At     time.Time      `json:"at"`
}

// Answered remembers the answer to a request, so that asking again after a crash
// gives the same.
type Answered struct {
	Request string `json:"request"`
	Answer  Answer `json:"answer"`
}

const (
	maxOrders   = 256
	maxAnswered = 512
	epoch       = 1
)

// Apply folds one command into the state and answers it. It is pure and
// deterministic: equal states and commands give equal states and answers.
func (s *State) Apply(c Command) Answer {
	if c.Request != "" {
		for _, a := range s.Answered {
			if a.Request == c.Request {
				return a.Answer
			}
		}
	}
	s.Feature = max(s.Feature, FeatureLevel)
	s.Index++
	answer := s.apply(c)
	answer.Index = s.Index
	// A refusal is not remembered: the same request may be granted later.
	if c.Request != "" && answer.Denied == "" {
		s.Answered = append(s.Answered, Answered{c.Request, answer})
		s.Answered = s.Answered[max(0, len(s.Answered)-maxAnswered):]
	}
	return answer
}

func (s *State) apply(c Command) Answer {
	switch {
	case c.Ask != nil:
		return s.ask(c)
	case c.Confirm != nil:
		return s.confirm(c)
	case c.End != nil:
		if t, ok := s.Turns[c.End.App]; ok && t.Token == c.End.Token {
			delete(s.Turns, c.End.App)
		}
	case c.Report != nil:
		s.report(c)
	case c.Order != nil:
		o := *c.Order
		o.Index, o.At = s.Index, c.At
		if o.Kind == rollout.OrderRetry {
			s.Quarantine = slices.DeleteFunc(s.Quarantine, func(q rollout.Quarantine) bool { return q.App == o.App })
		}
		s.Orders = append(s.Orders, o)
		s.Orders = s.Orders[max(0, len(s.Orders)-maxOrders):]
	case c.Freeze != nil:
		f := *c.Freeze
		f.At = c.At
		s.Frozen = slices.DeleteFunc(s.Frozen, func(z rollout.Freeze) bool { return z.App == f.App || !z.Until.IsZero() && !c.At.Before(z.Until) })
		s.Frozen = append(s.Frozen, f)
	case c.Unfreeze != nil:
		before := len(s.Frozen)
		s.Frozen = slices.DeleteFunc(s.Frozen, func(z rollout.Freeze) bool { return z.App == c.Unfreeze.App })
		if len(s.Frozen) == before {
			return Answer{Denied: release.NotFrozen, Detail: "nothing of that name is frozen"}
		}
	}
	return Answer{}
}

// ask grants the turn of an app to one host at a time. Asking again for the same
// target gives the same token: a host that crashed re-acquires its own turn.
func (s *State) ask(c Command) Answer {
	a := c.Ask
	if z, ok := s.frozen(a.App, c.At); ok && !a.Urgent {
		return Answer{Denied: release.Frozen, Detail: z.Reason}
	}
	if code := s.quarantined(a.App, a.Digest, a.Inputs, a.Content, c.Host); code != "" {
		return Answer{Denied: code}
	}
	if t, ok := s.Turns[a.App]; ok {
		if t.Host != c.Host {
			return Answer{Denied: release.TurnTaken, Detail: t.Host + " deploys"}
		}
		if t.Digest == a.Digest && t.Inputs == a.Inputs {
			t.Urgent = a.Urgent
			s.Turns[a.App] = t
			return Answer{Token: t.Token}
		}
		// The same host moved on to another target: its old token is void.
	}
	t := Turn{Host: c.Host, Digest: a.Digest, Inputs: a.Inputs, Content: a.Content, Token: rollout.Token{Epoch: epoch, Index: s.Index}, At: c.At, Urgent: a.Urgent}
	if s.Turns == nil {
		s.Turns = map[string]Turn{}
	}
	s.Turns[a.App] = t
	return Answer{Token: t.Token}
}

func (s *State) confirm(c Command) Answer {
	t, ok := s.Turns[c.Confirm.App]
	switch {
	case !ok || t.Token != c.Confirm.Token || t.Host != c.Host:
		return Answer{Denied: release.ConfirmDenied, Detail: "the turn is no longer this host's"}
	}
	if code := s.quarantined(c.Confirm.App, t.Digest, t.Inputs, t.Content, c.Host); code != "" {
		return Answer{Denied: code}
	}
	if z, frozen := s.frozen(c.Confirm.App, c.At); frozen && !t.Urgent {
		return Answer{Denied: release.Frozen, Detail: z.Reason}
	}
	t.Confirmed = true
	s.Turns[c.Confirm.App] = t
	return Answer{Token: t.Token}
}

// report takes a host's verdict. Bad quarantines in the same entry: everywhere when
// the host had never proven the digest, else only its inputs on that host.
func (s *State) report(c Command) {
	r := c.Report
	proofs := s.Proven[r.App]
	if r.Good {
		if s.Proven == nil {
			s.Proven = map[string][]Proof{}
		}
		proofs = slices.DeleteFunc(proofs, func(p Proof) bool { return p.Host == c.Host && p.Digest == r.Digest && p.Inputs == r.Inputs })
		proofs = append(proofs, Proof{Host: c.Host, Digest: r.Digest, Inputs: r.Inputs, At: c.At})
		s.Proven[r.App] = proofs[max(0, len(proofs)-64):]
		return
	}
	q := rollout.Quarantine{App: r.App, Digest: r.Digest, Inputs: "*", Host: "*", Content: r.Content, Version: r.Version, Why: r.Why, Detail: r.Detail, At: c.At}
	if slices.ContainsFunc(proofs, func(p Proof) bool { return p.Host == c.Host && p.Digest == r.Digest }) {
		q.Inputs, q.Host, q.Content = r.Inputs, c.Host, ""
	}
	s.Quarantine = slices.DeleteFunc(s.Quarantine, func(x rollout.Quarantine) bool {
		return x.App == q.App && x.Digest == q.Digest && x.Inputs == q.Inputs && x.Host == q.Host
	})
	s.Quarantine = append(s.Quarantine, q)
}

func (s *State) frozen(app string, at time.Time) (rollout.Freeze, bool) {
	for _, z := range s.Frozen {
		if z.Covers(app, at) {
			return z, true
		}
	}
	return rollout.Freeze{}, false
}

func (s *State) quarantined(app string, d release.Digest, inputs string, content release.Digest, host string) release.Code {
	for _, q := range s.Quarantine {
		if q.App != app || q.Host != "*" && q.Host != host {
			continue
		}
		switch {
		case q.Digest == d && (q.Inputs == "*" || q.Inputs == inputs):
			return release.Quarantined
		case content != "" && q.Content == content && q.Digest != d:
			return release.SameAsQuarantined
		}
	}
	return ""
}

// View is what a host needs to know of the state.
func (s *State) View(host string) rollout.FleetView {
	v := rollout.FleetView{Frozen: slices.Clone(s.Frozen)}
	for _, q := range s.Quarantine {
		if q.Host == "*" || q.Host == host {
			v.Quarantine = append(v.Quarantine, q)
		}
	}
	return v
}

// OrdersFor lists the orders of one app, oldest first.
func (s *State) OrdersFor(app string) []rollout.Order {
	var out []rollout.Order
	for _, o := range s.Orders {
		if o.App == app {
			out = append(out, o)
		}
	}
	return out
}
