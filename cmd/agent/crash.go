//go:build crashpoint

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// crashPoint is where this agent kills itself with SIGKILL: TEAL_CRASH holds
// kind/phase/call/when, for example release/switching/put/before. With
// TEAL_CRASH_RECORD every point that is passed is written to that file, once.
type crashPoint struct {
	mu          sync.Mutex // guards the rest
	kind, phase string     // of the deployment as the journal has it
	at          string
	record      string
	seen        map[string]bool
}

func crashable(e reconcile.Edges) reconcile.Edges {
	p := &crashPoint{at: os.Getenv("TEAL_CRASH"), record: os.Getenv("TEAL_CRASH_RECORD"), seen: map[string]bool{}}
	e.Containers = crashContainers{e.Containers, p}
	e.Switch = crashSwitch{e.Switch, p}
	e.Turn = crashTurn{e.Turn, p}
	e.Journal = crashJournal{e.Journal, p}
	e.Shelf = crashShelf{e.Shelf, p}
	return e
}

func (p *crashPoint) around(call string, do func() error) error {
	p.pass(call, "before")
	err := do()
	p.pass(call, "after")
	return err
}

func (p *crashPoint) pass(call, when string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	point := strings.Join([]string{p.kind, p.phase, call, when}, "/")
	if p.record != "" && !p.seen[point] {
		p.seen[point] = true
		if f, err := os.OpenFile(p.record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(f, point)
			f.Close()
		}
	}
	if point == p.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (p *crashPoint) follow(r rollout.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.Begin != nil:
		p.kind, p.phase = string(r.Begin.Kind), string(r.Begin.Phase)
	case r.Enter != nil:
		p.phase = string(r.Enter.Phase)
	case r.Settle != nil:
		p.kind, p.phase = "settled", string(r.Settle.Phase)
	}
}

type crashContainers struct {
	reconcile.Containers
	p *crashPoint
}

func (c crashContainers) Pull(ctx context.Context, image string, progress func(done, total int64)) error {
	return c.p.around("pull", func() error { return c.Containers.Pull(ctx, image, progress) })
}

func (c crashContainers) Create(ctx context.Context, set release.SetSpec, restart string) error {
	return c.p.around("create", func() error { return c.Containers.Create(ctx, set, restart) })
}

func (c crashContainers) Start(ctx context.Context, set release.SetSpec, services []string) error {
	return c.p.around("start", func() error { return c.Containers.Start(ctx, set, services) })
}

func (c crashContainers) Stop(ctx context.Context, app string, set release.SetID, services []string) error {
	return c.p.around("stop", func() error { return c.Containers.Stop(ctx, app, set, services) })
}

func (c crashContainers) SetRestart(ctx context.Context, app string, set release.SetID, services []string, policy string) error {
	return c.p.around("restart_policy", func() error { return c.Containers.SetRestart(ctx, app, set, services, policy) })
}

func (c crashContainers) Remove(ctx context.Context, app string, set release.SetID, services []string) error {
	return c.p.around("remove", func() error { return c.Containers.Remove(ctx, app, set, services) })
}

func (c crashContainers) Purge(ctx context.Context, app string, volumes []string) error {
	return c.p.around("purge", func() error { return c.Containers.Purge(ctx, app, volumes) })
}

type crashSwitch struct {
	reconcile.Switch
	p *crashPoint
}

func (c crashSwitch) Put(ctx context.Context, app string, config reconcile.SwitchConfig) (done reconcile.Switched, err error) {
	err = c.p.around("put", func() error { done, err = c.Switch.Put(ctx, app, config); return err })
	return done, err
}

func (c crashSwitch) Drain(ctx context.Context, app string, colour release.Colour, d release.Drain) (cut int, err error) {
	err = c.p.around("drain", func() error { cut, err = c.Switch.Drain(ctx, app, colour, d); return err })
	return cut, err
}

func (c crashSwitch) Withdraw(ctx context.Context, app string) error {
	return c.p.around("withdraw", func() error { return c.Switch.Withdraw(ctx, app) })
}

type crashTurn struct {
	reconcile.Turn
	p *crashPoint
}

func (c crashTurn) AskTurn(ctx context.Context, app string, set rollout.Set) (token rollout.Token, err error) {
	err = c.p.around("ask_turn", func() error { token, err = c.Turn.AskTurn(ctx, app, set); return err })
	return token, err
}

func (c crashTurn) ConfirmTurn(ctx context.Context, app string, token rollout.Token, request string) error {
	return c.p.around("confirm", func() error { return c.Turn.ConfirmTurn(ctx, app, token, request) })
}

func (c crashTurn) EndTurn(ctx context.Context, app string, token rollout.Token) error {
	return c.p.around("end_turn", func() error { return c.Turn.EndTurn(ctx, app, token) })
}

func (c crashTurn) Report(ctx context.Context, app string, set rollout.Set, good bool, why release.Code, detail string) error {
	return c.p.around("report", func() error { return c.Turn.Report(ctx, app, set, good, why, detail) })
}

type crashJournal struct {
	reconcile.Journal
	p *crashPoint
}

func (c crashJournal) Append(app string, r rollout.Record, back bool) (at time.Time, err error) {
	err = c.p.around("append_"+string(r.Kind), func() error { at, err = c.Journal.Append(app, r, back); return err })
	if err == nil {
		c.p.follow(r)
	}
	return at, err
}

type crashShelf struct {
	reconcile.Shelf
	p *crashPoint
}

func (c crashShelf) Put(digest release.Digest, dir fs.FS, verdict trust.Verdict) error {
	return c.p.around("shelve", func() error { return c.Shelf.Put(digest, dir, verdict) })
}
