package fleet

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// memory is a store in memory that fails when told to.
type memory struct {
	data       []byte
	load, save error
	saved      int
}

func (m *memory) Load() ([]byte, error) {
	if m.load != nil {
		return nil, m.load
	}
	if m.data == nil {
		return nil, fs.ErrNotExist
	}
	return m.data, nil
}

func (m *memory) Save(data []byte, _ bool) error {
	if m.save != nil {
		return m.save
	}
	m.saved++
	m.data = append([]byte(nil), data...)
	return nil
}

func mustOpen(t *testing.T, m *memory) *Local {
	t.Helper()
	l, err := OpenLocal("h1", m, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.now = func() time.Time { return noon }
	return l
}

func set(digest string) rollout.Set {
	return rollout.Set{ID: release.SetID{Colour: release.Green, Target: release.Target{Digest: release.Digest(digest), Inputs: "in"}},
		Version: "v1", Sequence: 7, Content: release.Digest("content of " + digest)}
}

// code is the code of an effect's error that is to be retried.
func code(t *testing.T, err error) release.Code {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *rollout.EffectError
	if !errors.As(err, &e) || e.Fault != rollout.FaultRetry {
		t.Fatalf("not an error to retry: %v", err)
	}
	return e.Code
}

func TestLocalDeploysAndRemembers(t *testing.T) {
	m := &memory{}
	l := mustOpen(t, m)
	ctx := t.Context()
	token, err := l.AskTurn(ctx, "shop", set("a"))
	if err != nil || token.Zero() {
		t.Fatalf("ask: %v %v", token, err)
	}
	again, err := mustOpen(t, m).AskTurn(ctx, "shop", set("a")) // after a crash
	if err != nil || again != token {
		t.Fatalf("ask again: %v %v, had %v", again, err, token)
	}
	l = mustOpen(t, m)
	if err := l.ConfirmTurn(ctx, "shop", token, "r1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Freeze(ctx, rollout.Freeze{Actor: "ann", Reason: "holidays"}); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, m)
	if err := l.ConfirmTurn(ctx, "shop", token, "r1"); err != nil {
		t.Fatalf("the same request after a crash: %v", err)
	}
	if c := code(t, l.ConfirmTurn(ctx, "shop", token, "r2")); c != release.Frozen {
		t.Fatalf("another request: %s", c)
	}
	if _, err := l.AskTurn(ctx, "bank", set("a")); code(t, err) != release.Frozen || !strings.Contains(err.Error(), "holidays") {
		t.Fatalf("ask while frozen: %v", err)
	}
	if err := l.Unfreeze(ctx, Unfreeze{Actor: "ann"}); err != nil {
		t.Fatal(err)
	}
	if c := code(t, l.Unfreeze(ctx, Unfreeze{Actor: "ann"})); c != release.NotFrozen {
		t.Fatalf("unfreeze twice: %s", c)
	}
	if err := l.EndTurn(ctx, "shop", token); err != nil {
		t.Fatal(err)
	}
	if err := l.Report(ctx, "shop", set("a"), false, release.BakeFailed, "errors"); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, m)
	q := l.View().Quarantine
	if len(q) != 1 || q[0].Digest != "a" || q[0].Why != release.BakeFailed || q[0].Detail != "errors" || q[0].Version != "v1" || q[0].Content != "content of a" || !q[0].At.Equal(noon) {
		t.Fatalf("quarantine %+v", q)
	}
	if _, err := l.AskTurn(ctx, "shop", set("a")); code(t, err) != release.Quarantined {
		t.Fatalf("ask for the bad one: %v", err)
	}
	index, err := l.Order(ctx, rollout.Order{Kind: rollout.OrderRetry, App: "shop", Actor: "ann"})
	orders := mustOpen(t, m).Orders("shop")
	if err != nil || len(orders) != 1 || orders[0].Index != index || orders[0].Actor != "ann" || !orders[0].At.Equal(noon) {
		t.Fatalf("order %d: %v %+v", index, err, orders)
	}
	next, err := l.AskTurn(ctx, "shop", set("a"))
	if err != nil || next.Index <= token.Index {
		t.Fatalf("after retry: %v %v", next, err)
	}
}

// What could not be made durable did not happen: neither seen, nor granted, nor told.
func TestLocalFailsClosed(t *testing.T) {
	m := &memory{}
	l := mustOpen(t, m)
	ctx := t.Context()
	token, err := l.AskTurn(ctx, "shop", set("a"))
	if err != nil {
		t.Fatal(err)
	}
	before, view := l.state, l.View()
	changed := l.Changed()
	m.save = errors.New("no space left")
	for name, do := range map[string]func(context.Context) error{
		"ask":     func(ctx context.Context) error { _, err := l.AskTurn(ctx, "bank", set("a")); return err },
		"confirm": func(ctx context.Context) error { return l.ConfirmTurn(ctx, "shop", token, "r") },
		"end":     func(ctx context.Context) error { return l.EndTurn(ctx, "shop", token) },
		"report":  func(ctx context.Context) error { return l.Report(ctx, "shop", set("a"), false, release.BakeFailed, "") },
		"order": func(ctx context.Context) error {
			_, err := l.Order(ctx, rollout.Order{Kind: rollout.OrderRollback, App: "shop"})
			return err
		},
		"freeze": func(ctx context.Context) error { return l.Freeze(ctx, rollout.Freeze{}) },
		"frozen": func(ctx context.Context) error { return l.Freeze(ctx, rollout.Freeze{App: "shop"}) },
	} {
		err := do(ctx)
		if code(t, err) != release.JournalFull || !errors.Is(err, m.save) {
			t.Errorf("%s: %v", name, err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := do(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	if diff := cmp.Diff(before, l.state); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(view, l.View()); diff != "" {
		t.Errorf("view (-before +after):\n%s", diff)
	}
	select {
	case <-changed:
		t.Error("a change was told that did not happen")
	default:
	}
	m.save = nil
	if err := l.ConfirmTurn(ctx, "shop", token, "r"); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	select {
	case <-changed:
	default:
		t.Error("a change was not told")
	}
}

func TestARefusalIsNotWritten(t *testing.T) {
	m := &memory{}
	l := mustOpen(t, m)
	if c := code(t, l.ConfirmTurn(t.Context(), "shop", rollout.Token{Epoch: 1, Index: 1}, "r")); c != release.ConfirmDenied {
		t.Fatalf("confirm: %s", c)
	}
	if m.saved != 0 || l.state.Index != 0 {
		t.Errorf("saved %d times, index %d", m.saved, l.state.Index)
	}
}

// A state that cannot be read is never an empty fleet: a quarantine would be forgotten.
func TestOpenLocalRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		store memory
		says  string
	}{
		"unreadable":         {memory{load: fs.ErrPermission}, "permission denied"},
		"empty":              {memory{data: []byte{}}, "restore it from a backup"},
		"zeroes":             {memory{data: make([]byte, 100)}, "restore it from a backup"},
		"cut":                {memory{data: []byte(`{"feature":1,"index":3,"quar`)}, "restore it from a backup"},
		"followed by more":   {memory{data: []byte(`{"feature":1} {}`)}, "restore it from a backup"},
		"of another kind":    {memory{data: []byte(`{"feature":1,"turns":[]}`)}, "restore it from a backup"},
		"an empty object":    {memory{data: []byte(`{}`)}, "restore it from a backup"},
		"null":               {memory{data: []byte(`null`)}, "restore it from a backup"},
		"of a later version": {memory{data: []byte(`{"feature":2,"index":3}`)}, "install the version that wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := OpenLocal("h1", &c.store, 0)
			if err == nil || l != nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("open: %v, want %q", err, c.says)
			}
		})
	}
}
