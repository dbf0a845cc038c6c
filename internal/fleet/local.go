package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Store keeps the fleet's state durable. Save returns after the bytes are on disk:
// all of them or none. back says that the command leads back to what already served:
// on a full disk it may use a reserve.
type Store interface {
	Load() ([]byte, error) // fs.ErrNotExist: a new fleet
	Save(data []byte, back bool) error
}

// Local is the fleet of one host: one voter in this process.
type Local struct {
	host  string
	store Store
	now   func() time.Time

	mu      sync.Mutex // guards the rest
	state   State
	changed chan struct{}
	labels  map[string]string
}

// OpenLocal loads the state of the single-host fleet. A state that cannot be read is
// an error, never an empty fleet: a quarantine must not be forgotten.
//
// floor is the highest index that anybody remembers of this fleet (an order that was
// looked at, a token): after a restored or new state no index is given twice.
func OpenLocal(host string, store Store, floor uint64) (*Local, error) {
	l := &Local{host: host, store: store, now: time.Now, changed: make(chan struct{})}
	data, err := store.Load()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			l.state.Index = floor
			return l, nil
		}
		return nil, fmt.Errorf("read fleet state: %w", err)
	}
	if err := json.Unmarshal(data, &l.state); err != nil {
		return nil, fmt.Errorf("parse fleet state: %w; restore it from a backup", err)
	}
	if l.state.Feature < 1 { // every saved state has one: this is {} or null, not a fleet
		return nil, errors.New("parse fleet state: it holds none; restore it from a backup")
	}
	if l.state.Feature > FeatureLevel {
		return nil, fmt.Errorf("fleet state has feature level %d, this version knows %d; install the version that wrote it", l.state.Feature, FeatureLevel)
	}
	l.state.Index = max(l.state.Index, floor)
	return l, nil
}

// propose applies a command to a copy, makes it durable and only then lets it be seen.
func (l *Local) propose(ctx context.Context, c Command) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.At, c.Host = l.now().UTC(), l.host
	next, err := l.state.clone()
	if err != nil {
		return Answer{}, err
	}
	answer := next.Apply(c)
	if answer.Denied == "" { // a refusal changes nothing worth a write
		data, err := json.Marshal(next)
		if err != nil {
			return Answer{}, fmt.Errorf("encode fleet state: %w", err)
		}
		if err := l.store.Save(data, c.back()); err != nil {
			return Answer{}, fmt.Errorf("save fleet state: %w", err)
		}
		l.state = next
		close(l.changed)
		l.changed = make(chan struct{})
	}
	return answer, nil
}

func (s State) clone() (State, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return State{}, fmt.Errorf("encode fleet state: %w", err)
	}
	var c State
	return c, json.Unmarshal(data, &c)
}

// Changed is closed at the next change of state.
func (l *Local) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// View is what the fleet says now.
func (l *Local) View() rollout.FleetView {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.state.View(l.host)
	v.Hosts = []rollout.Member{{Name: l.host, Labels: l.labels}}
	return v
}

// Declare says which labels this host has: a service that may run once in the fleet asks
// every host's. They are not state: each start declares them anew.
func (l *Local) Declare(labels map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.labels = labels
}

// Orders lists the orders of one app, oldest first.
func (l *Local) Orders(app string) []rollout.Order {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.OrdersFor(app)
}

// AskTurn asks for the permission to deploy the set. A refusal is an *rollout.EffectError
// with FaultRetry.
func (l *Local) AskTurn(ctx context.Context, app string, set rollout.Set) (rollout.Token, error) {
	a, err := l.propose(ctx, Command{Ask: &Ask{App: app, Digest: set.ID.Digest, Inputs: set.ID.Inputs, Content: set.Content, Sequence: set.Sequence, Urgent: set.Urgent}})
	return a.Token, refusal(a, err)
}

// ConfirmTurn is the point of no return. Repeating it with the same request id gives
// the first answer again.
func (l *Local) ConfirmTurn(ctx context.Context, app string, token rollout.Token, request string) error {
	a, err := l.propose(ctx, Command{Request: request, Confirm: &Confirm{App: app, Token: token}})
	if err == nil && a.Denied != "" {
		// The planner drops green and looks again; a person may have frozen meanwhile.
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: a.Denied, Detail: a.Detail}
	}
	return refusal(a, err)
}

// EndTurn gives the permission back; a token that is not held is already given back.
func (l *Local) EndTurn(ctx context.Context, app string, token rollout.Token) error {
	a, err := l.propose(ctx, Command{End: &End{App: app, Token: token}})
	return refusal(a, err)
}

// Report tells the fleet good or bad of a release that this host deployed.
func (l *Local) Report(ctx context.Context, app string, set rollout.Set, good bool, why release.Code, detail string) error {
	a, err := l.propose(ctx, Command{Report: &Report{App: app, Digest: set.ID.Digest, Inputs: set.ID.Inputs, Content: set.Content, Version: set.Version,
		Good: good, Why: why, Detail: detail}})
	return refusal(a, err)
}

// Order replicates an operator's order and returns its index.
func (l *Local) Order(ctx context.Context, o rollout.Order) (uint64, error) {
	a, err := l.propose(ctx, Command{Order: &o})
	return a.Index, refusal(a, err)
}

// Freeze stops the environment, or one app, from going forward.
func (l *Local) Freeze(ctx context.Context, f rollout.Freeze) error {
	a, err := l.propose(ctx, Command{Freeze: &f})
	return refusal(a, err)
}

// Unfreeze lifts a freeze.
func (l *Local) Unfreeze(ctx context.Context, u Unfreeze) error {
	a, err := l.propose(ctx, Command{Unfreeze: &u})
	return refusal(a, err)
}

func refusal(a Answer, err error) error {
	if err != nil {
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.JournalFull, Detail: "record the fleet's decision", Err: err}
	}
	if a.Denied != "" {
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: a.Denied, Detail: a.Detail}
	}
	return nil
}
