package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// world is a host that carries out effects, for the planner's properties: what runs,
// what the proxy serves, what was checked. Each step that the planner takes is held
// against the promises of DESIGN 2.
type world struct {
	t       fataler
	former  *State // of the app whose place this one is to take
	barred  Barred
	gave    State // what is left of that app
	state   State
	now     time.Time
	want    Want
	trusted map[release.Digest]bool
	proved  map[release.Digest]bool
	fleet   FleetView
	orders  []Order
	running map[release.SetID]map[string]ContainerStatus // of the sets that have containers
	address map[release.SetID]map[string]netip.Addr
	store   ContainerStatus // the shared service's container
	spec    string          // what it was made from
	checked map[release.SetID]bool
	granted bool // the fleet confirmed the deployment that is under way
	proxy   SwitchView
	live    release.SetID // whose targets the proxy has
	served  bool          // there was a live set once
	hurt    bool          // somebody stopped or removed containers from outside
	burst   *Burst
	dead    bool // the engine does not answer
	deaf    bool // the proxy does not answer
	flight  *Effect
	asked   bool           // the effect in flight was asked to stop
	sample  func() *Sample // nil: all is well
	// interrupt says which effects a crash cuts short, interruptDone whether they
	// happened all the same.
	interrupt     func(Effect) bool
	interruptDone bool
	index         uint64
	trace         []string
	records       []stamped
	effects       map[EffectKind]int
}

type stamped struct {
	At     time.Time `json:"at"`
	Record Record    `json:"record"`
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

var t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func newWorld(t fataler) *world {
	return &world{t: t, now: t0, state: State{App: "shop"}, want: Want{Unknown: release.NoCommitYet}, trusted: map[release.Digest]bool{}, proved: map[release.Digest]bool{},
		running: map[release.SetID]map[string]ContainerStatus{}, address: map[release.SetID]map[string]netip.Addr{},
		checked: map[release.SetID]bool{}, effects: map[EffectKind]int{}}
}

func digestN(n int) release.Digest { return release.Digest(fmt.Sprintf("%064x", n+1)) }

// wantN is release n, sequence n+1, with a routed backend, a worker and a shared store.
func wantN(n int, accepted bool) Want {
	w := Want{Commit: fmt.Sprintf("%040x", n), Shared: map[string]string{"store": "s1"}, Set: Set{
		ID:      release.SetID{Target: release.Target{Digest: digestN(n), Inputs: "i"}},
		Version: fmt.Sprintf("v1.%d.0", n), Sequence: int64(n + 1), Content: release.Digest(fmt.Sprintf("c%d", n)),
		Routed: []string{"backend"}, Workers: []string{"worker"},
		Bake: release.Bake{For: 5 * time.Minute, Every: 30 * time.Second, Failures: 2}, Drain: release.Drain{HTTP: 30 * time.Second, WebSocket: time.Minute}, Keep: 3,
		Crash: map[string]int{"backend": 3, "worker": 3},
	}}
	if n >= 3 {
		w.Replace = []string{"store"}
	}
	if n%5 == 3 {
		w.Shared["store"] = "s2"
	}
	if n%5 == 4 {
		w.Set.Jobs = []Job{{"collect", release.BeforeSwitch, 10 * time.Minute}, {"warm", release.AfterSwitch, time.Minute}, {"undo", release.OnRevert, time.Minute}}
	}
	w.Verdict = trust.Verdict{Accepted: accepted}
	if !accepted {
		w.Verdict.Reasons = []trust.Finding{{Code: release.ApprovalThreshold, Detail: "1 of 2", Waits: true}}
	}
	return w
}

// push makes release n what Git wants.
func (w *world) push(n int, accepted bool) {
	w.want = wantN(n, accepted)
	w.want.Former, w.want.Barred = w.former, w.barred
	if w.state.Accepted.Sequence > w.want.Set.Sequence && w.state.Accepted.Digest != w.want.Set.ID.Digest {
		w.want.Verdict = trust.Verdict{Reasons: []trust.Finding{{Code: release.SequenceRollback, Detail: "an older sequence"}}}
	}
	w.trusted[w.want.Set.ID.Digest] = w.want.Verdict.Accepted || w.trusted[w.want.Set.ID.Digest]
}

// pushRemoval makes the removal of the app what Git wants, as release n.
func (w *world) pushRemoval(n int, accepted bool, purge ...string) {
	w.push(n, accepted)
	w.want.Shared = nil
	w.want.Set.Absent, w.want.Set.Purge, w.want.Set.Routed, w.want.Set.Workers, w.want.Set.Content = true, purge, nil, nil, ""
}

// elsewhere makes what Git wants run on other hosts; ambiguous gives a second host the
// labels of its singleton.
func (w *world) elsewhere() {
	w.want.Elsewhere = "it wants the label zone: b, which this host does not have"
}

func (w *world) ambiguous() {
	w.want.Singletons = map[string]release.Placement{"worker": {"beat": "yes"}}
	w.fleet.Hosts = []Member{{Name: "h2", Labels: map[string]string{"beat": "yes"}}, {Name: "h1", Labels: map[string]string{"beat": "yes"}}, {Name: "h3"}}
}

func (w *world) order(kind OrderKind, to release.Digest) {
	w.index++
	w.orders = append(w.orders, Order{Index: w.index, Kind: kind, App: "shop", To: to, Actor: "ann", At: w.now})
	if kind == OrderRetry {
		w.fleet.Quarantine = nil
	}
}

func (w *world) input() Input {
	in := Input{Want: w.want, Past: w.state, Fleet: w.fleet, Orders: w.orders}
	if d := w.state.Deploy; d != nil && d.Kind == KindRelease {
		v := trust.Verdict{Accepted: w.trusted[d.To.ID.Digest]}
		if !v.Accepted {
			v.Reasons = []trust.Finding{{Code: release.ApprovalExpired, Detail: "withdrawn"}}
		}
		in.Again = &v
	}
	in.Seen = Seen{Running: w.flight, Cancelling: w.asked, EngineDown: w.dead, Burst: w.burst, Switch: w.proxy}
	in.Seen.Switch.Reachable = !w.deaf
	in.Seen.Switch.Matches = w.state.Live != nil && w.state.Live.ID == w.live
	if w.former != nil { // nothing here has this app's name yet
		in.Seen.Switch = SwitchView{Reachable: !w.deaf}
	}
	if w.dead || w.former != nil {
		return in
	}
	for _, id := range slices.SortedFunc(maps.Keys(w.running), compareIDs) {
		for _, service := range slices.Sorted(maps.Keys(w.running[id])) {
			in.Seen.Containers = append(in.Seen.Containers, Container{Name: string(id.Colour) + "-" + service, App: "shop", Service: service, Set: id, Status: w.running[id][service]})
		}
	}
	if w.store != "" {
		in.Seen.Containers = append(in.Seen.Containers, Container{Name: "store", Service: "store", Status: w.store})
	}
	return in
}

func compareIDs(a, b release.SetID) int {
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

// forEver are the waits that only an event or a person ends.
var forEver = map[release.Code]bool{
	release.Converged: true, release.NotInRepository: true, release.NoCommitYet: true, release.Working: true, release.Frozen: true,
	release.Quarantined: true, release.SameAsQuarantined: true, release.SharedChanged: true, release.ApprovalThreshold: true,
	release.FormerStands: true, release.FormerConflict: true, release.AppRenamed: true,
	release.ApprovalExpired: true, release.SequenceRollback: true, release.NotPlaced: true, release.Removed: true, release.SingletonAmbiguous: true, release.InputsDiffer: true, release.SecretMissing: true,
}

// turn takes one step; fail draws how an effect ends, "" leaves it in flight. It
// returns the wait, if any.
func (w *world) turn(fail func(e Effect) Result) *Wait {
	w.t.Helper()
	in := w.input()
	step := Next(in, w.now)
	if again := Next(in, w.now); !reflect.DeepEqual(again, step) {
		w.fatalf("Next is not deterministic:\n%+v\n%+v", step, again)
	}
	switch s := step.(type) {
	case Wait:
		w.waits(s)
		return &s
	case Note:
		w.record(s.Record)
	case Act:
		if w.flight != nil {
			w.fatalf("%s beside %s", s.Effect.Kind, w.flight.Kind)
		}
		w.intend(s.Effect, fail)
	case Cancel:
		if w.flight == nil || w.flight.ID != s.Effect || w.asked || s.Why == "" {
			w.fatalf("cancel of what is not in flight, or twice: %+v", s)
		}
		w.trace = append(w.trace, fmt.Sprintf("cancel %s: %s", s.Effect, s.Why))
		w.asked = true
	}
	return nil
}

func (w *world) waits(s Wait) {
	if _, ok := release.Lookup(s.Why); !ok {
		w.fatalf("wait reason %q in phase %s is not in the table", s.Why, w.state.Phase())
	}
	if !s.Until.IsZero() && !s.Until.After(w.now) {
		w.fatalf("waits for %v, which is past: %+v", s.Until, s)
	}
	held := w.state.Hold != nil && w.state.Hold.Why == s.Why || w.former != nil && w.former.Hold != nil && w.former.Hold.Why == s.Why
	if s.Until.IsZero() && !forEver[s.Why] && !held {
		w.fatalf("waits for ever in %s: %+v", w.state.Phase(), s)
	}
}

func (w *world) record(r Record) {
	before := w.state
	if r.TakeOver != nil {
		w.state, w.gave = w.state.TakeOver(*r.TakeOver, *w.former, w.now)
		w.former, w.want.Former = nil, nil
	} else {
		w.state = w.state.Apply(r, w.now)
	}
	w.records = append(w.records, stamped{w.now, r})
	w.trace = append(w.trace, fmt.Sprintf("%s %s: %s -> %s %s", w.now.Format("15:04:05"), r.Kind, before.Phase(), w.state.Phase(), note(r)))
	if w.state.Deploy == nil || before.Deploy == nil || w.state.Deploy.Back != nil {
		w.granted = w.granted && w.state.Deploy != nil && w.state.Deploy.Back == nil
	}
	if len(w.records)%97 == 0 {
		if diff := cmp.Diff(w.state, roundTrip(w.t, w.state), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			w.fatalf("JSON loses something: %s", diff)
		}
	}
}

func roundTrip[T any](t fataler, v T) T {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	var again T
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatalf("decode: %v", err)
	}
	return again
}

func note(r Record) string {
	switch {
	case r.Enter != nil:
		return string(r.Enter.Why) + " " + r.Enter.Detail
	case r.Settle != nil:
		return string(r.Settle.Phase) + " " + string(r.Settle.Why)
	case r.Intent != nil:
		return fmt.Sprintf("%s %s %s %s", r.Intent.ID, r.Intent.Kind, r.Intent.Set.ID.Colour, r.Intent.Set.Version)
	case r.Outcome != nil:
		return fmt.Sprintf("%s %s", r.Outcome.Kind, r.Outcome.Result)
	case r.Order != nil:
		return fmt.Sprintf("%s %s %s", r.Order.Order.Kind, r.Order.Order.To.Short(), r.Order.Refused)
	}
	return ""
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.trace, "\n"))
}

// allowed holds an intent against the promises that every intent keeps.
func (w *world) allowed(e Effect) {
	d := w.state.Deploy
	serves := (e.Kind == SwitchTo || e.Kind == Restore) && w.state.Live.is(e.Set.ID)
	if d != nil && d.Replacing && e.Kind != ReplaceShared && !serves {
		w.fatalf("%s while a shared service may be away", e.Kind)
	}
	if e.Set.ID.Zero() || e.Set.ID.Colour == release.Shared {
		w.fatalf("%s of no set: %+v", e.Kind, e.Set.ID)
	}
	forward := d != nil && e.Deploy == d.ID && d.Kind == KindRelease && d.Phase != Reverting && e.Set.ID == d.To.ID
	if forward && !d.Crossed {
		switch e.Kind {
		case Prepare, Start, Check, Confirm, AskTurn, SwitchTo:
			if w.state.Accepted.Digest != d.To.ID.Digest && w.state.Accepted.Sequence < d.To.Sequence {
				w.fatalf("%s of a release that was never accepted", e.Kind)
			}
			if !w.trusted[d.To.ID.Digest] && e.Kind != SwitchTo {
				w.fatalf("%s of a release that is not accepted any more", e.Kind)
			}
		}
	}
	if _, frozen := w.fleet.frozen("shop", w.now); frozen && !e.Set.Urgent && (e.Kind == AskTurn || e.Kind == Confirm) {
		w.fatalf("%s while frozen", e.Kind)
	}
	proven := w.state.Proven.is(e.Set.ID)
	switch e.Kind {
	case SwitchTo:
		if !w.checked[e.Set.ID] && !proven && !w.state.Live.is(e.Set.ID) {
			w.fatalf("switch to a set that is neither checked nor proven: %+v", e.Set.ID)
		}
		if w.running[e.Set.ID]["backend"] != Running && !w.hurt {
			w.fatalf("switch to a set that does not run")
		}
		if forward && !d.Crossed && (w.running[e.Set.ID]["backend"] != Running && !w.dead || !w.granted) {
			w.fatalf("switch forward without a confirmation, or to a set that does not run")
		}
		if e.Generation < w.proxy.Generation {
			w.fatalf("generation went back: %d after %d", e.Generation, w.proxy.Generation)
		}
	case Retire, Drop:
		if w.served && e.Set.ID == w.live && w.state.Live.is(w.live) {
			w.fatalf("%s of the set that gets the traffic", e.Kind)
		}
		if e.Kind == Drop && proven {
			w.fatalf("the proven set's containers are removed")
		}
	case RunJob:
		w.job(e, forward)
	case ReplaceShared:
		if !forward || d.Crossed || d.Token.Zero() || e.Shared["store"] == "" {
			w.fatalf("replaces the shared services at the wrong time: %+v", e)
		}
	case Withdraw, Remove:
		switch {
		case d == nil || !d.To.Absent || !d.removing():
			w.fatalf("%s outside a removal", e.Kind)
		case d.Kind == KindRelease && !w.granted:
			w.fatalf("a removal without a confirmation")
		case e.Kind == Remove && w.served:
			w.fatalf("removed while users are served")
		}
	case HandStop:
		if e.Set.ID == w.live && slices.Contains(e.Services, "backend") {
			w.fatalf("stop of what gets the traffic")
		}
	}
}

func (w *world) intend(e Effect, fail func(e Effect) Result) {
	if e.Kind == Prepare { // the loop hands out addresses with the intent
		given := map[string]netip.Addr{}
		for _, s := range e.Set.Routed {
			key := s + "/1"
			if ip, ok := e.Set.Addresses[key]; ok {
				given[key] = ip
			} else {
				given[key] = w.freeAddress()
			}
		}
		e.Set.Addresses = given
	}
	w.allowed(e)
	w.record(Record{Kind: RecIntent, Intent: &e})
	w.effects[e.Kind]++
	if w.interrupt != nil && w.interrupt(e) {
		w.end(e, Interrupted, w.interruptDone)
		return
	}
	if result := fail(e); result == "" {
		w.flight, w.asked = &e, false
	} else {
		w.end(e, result, result == OK)
	}
}

// freeAddress is the first address that no set in the journal holds.
func (w *world) freeAddress() netip.Addr {
	used := w.state.Addresses()
	ip := netip.MustParseAddr("10.0.0.2")
	for slices.Contains(used, ip) {
		ip = ip.Next()
	}
	return ip
}

// end ends an effect; done says whether it happened in the world.
func (w *world) end(e Effect, result Result, done bool) {
	o := Outcome{Effect: e.ID, Kind: e.Kind, Result: result, At: w.now}
	if result != OK && result != Interrupted {
		o.Code, o.Detail = release.EffectFailed, "drawn"
	}
	if done {
		w.happen(e, &o)
	}
	w.flight, w.asked = nil, false
	w.record(Record{Kind: RecOutcome, Outcome: &o})
}

func (w *world) happen(e Effect, o *Outcome) {
	id := e.Set.ID
	run := func(id release.SetID, services []string, status ContainerStatus) {
		for _, s := range services {
			if now, made := w.running[id][s]; made && (status == Running || now == Running) {
				w.running[id][s] = status
			}
		}
	}
	switch e.Kind {
	case Prepare:
		if w.running[id] == nil {
			w.running[id] = map[string]ContainerStatus{}
		}
		for _, s := range slices.Concat(e.Set.Routed, e.Set.Workers) {
			if _, made := w.running[id][s]; !made {
				w.running[id][s] = Created
			}
		}
		if had := w.address[id]; had != nil && !maps.Equal(had, e.Set.Addresses) {
			w.fatalf("%v has %v and is prepared for %v", id, had, e.Set.Addresses)
		}
		w.address[id] = e.Set.Addresses
		for other, theirs := range w.address {
			for _, ip := range theirs {
				if other != id && slices.Contains(slices.Collect(maps.Values(e.Set.Addresses)), ip) {
					w.fatalf("%v and %v share the address %s", id, other, ip)
				}
			}
		}
		if len(e.Shared) > 0 && w.store == "" {
			w.store, w.spec = Created, e.Shared["store"]
		}
	case AskTurn:
		w.index++
		o.Token = Token{1, w.index}
	case Start:
		run(id, e.Services, Running)
		if len(e.Shared) > 0 {
			w.store = Running
		}
	case HandStart:
		run(id, e.Services, Running)
	case HandStop:
		run(id, e.Services, Exited)
		if e.Other != nil {
			run(e.Other.ID, e.Other.Workers, Exited)
		}
	case Check:
		w.checked[id] = true
	case Confirm:
		w.granted = true
	case SwitchTo:
		w.proxy = SwitchView{Known: true, Generation: e.Generation, Live: id.Colour}
		w.live, w.served = id, true
	case Withdraw:
		w.proxy, w.live, w.served = SwitchView{}, release.SetID{}, false
	case Remove:
		clear(w.running)
		clear(w.address)
		clear(w.checked)
		w.store = ""
	case Retire, Drop:
		run(id, slices.Concat(e.Set.Routed, e.Set.Workers), Exited)
		if e.Kind == Drop {
			delete(w.running, id)
			delete(w.address, id)
			delete(w.checked, id)
		}
		if len(e.Shared) > 0 {
			w.store = ""
		}
	case Restore:
		if w.running[id] == nil {
			w.running[id] = map[string]ContainerStatus{}
		}
		for _, s := range e.Services {
			if s == "store" {
				w.store, w.spec = Running, e.Shared["store"]
			} else {
				w.running[id][s] = Running
			}
		}
	case ReplaceShared:
		w.store, w.spec = Running, e.Shared["store"]
	case Report:
		if e.Bad {
			q := Quarantine{App: "shop", Digest: id.Digest, Inputs: "*", Host: "*", Content: e.Set.Content, Why: e.Why}
			if w.proved[id.Digest] { // as the fleet does: of a digest that was proven only these inputs, here
				q.Inputs, q.Host, q.Content = id.Inputs, "h1", ""
			}
			w.fleet.Quarantine = append(w.fleet.Quarantine, q)
		} else {
			w.proved[id.Digest] = true
		}
	case TakeSample:
		if w.sample != nil {
			o.Sample = w.sample()
		} else {
			o.Sample = &Sample{At: w.now, Rules: []RuleSample{{Rule: "probe:backend", Result: Pass}, {Rule: RuleErrorRate, Result: NoData}}}
		}
	}
	if w.served && !w.hurt && w.running[w.live]["backend"] != Running {
		w.fatalf("after %s of %v nothing serves", e.Kind, id)
	}
	if w.running[id]["worker"] == Running {
		for other, services := range w.running {
			if other != id && services["worker"] == Running && !w.hurt {
				w.fatalf("workers of %v and %v run side by side", id, other)
			}
		}
	}
}

// calm lets everything succeed until the app settles and waits.
func (w *world) calm() *Wait {
	w.t.Helper()
	ok := func(Effect) Result { return OK }
	if w.flight != nil {
		w.end(*w.flight, OK, true)
	}
	for range 600 {
		wait := w.turn(ok)
		switch {
		case wait == nil:
		case wait.Until.IsZero():
			return wait
		default:
			w.now = wait.Until
		}
	}
	w.fatalf("does not settle in 600 steps, phase %s", w.state.Phase())
	return nil
}

// until lets everything succeed until the deployment stands in p with no effect in
// flight and cond holds.
func (w *world) until(p Phase, cond func(State) bool) {
	w.t.Helper()
	for range 400 {
		if d := w.state.Deploy; d != nil && d.Phase == p && (cond == nil || cond(w.state)) {
			return
		}
		if wait := w.turn(func(Effect) Result { return OK }); wait != nil {
			if wait.Until.IsZero() {
				break
			}
			w.now = wait.Until
		}
	}
	w.fatalf("never in %s", p)
}

// atRest checks what must hold whenever an app waits and nothing fails.
func (w *world) atRest() {
	w.t.Helper()
	s := w.state
	if s.Deploy != nil && s.Deploy.Phase != Blocked && s.Deploy.Phase != Waiting {
		w.fatalf("waits for ever in %s", s.Deploy.Phase)
	}
	if len(s.Owed) > 0 || s.Effect != nil || s.Rollback != nil || s.Removal != nil {
		w.fatalf("left undone: owed %v, in flight %v, ordered %v", s.Owed, s.Effect, s.Rollback)
	}
	if s.Gone != nil && s.Live == nil && s.Deploy == nil && (len(w.running) > 0 || w.store != "" || w.served) {
		w.fatalf("removed, and left: %v, the store %q", w.running, w.store)
	}
	if w.served {
		if !s.Live.is(w.live) {
			w.fatalf("journal says %+v is live, proxy serves %+v", s.Live, w.live)
		}
		for _, service := range []string{"backend", "worker"} {
			if w.running[w.live][service] != Running {
				w.fatalf("the live set's %s does not run", service)
			}
		}
		if w.store != Running {
			w.fatalf("the shared service is %q", w.store)
		}
	}
	known := s.Sets()
	for id, services := range w.running {
		i := slices.IndexFunc(known, func(x Set) bool { return x.ID == id })
		if i < 0 {
			w.fatalf("orphan: %+v has containers and the journal does not know it", id)
		}
		if !maps.Equal(known[i].Addresses, w.address[id]) {
			w.fatalf("%+v has the addresses %v, the journal says %v", id, w.address[id], known[i].Addresses)
		}
		warm := s.Deploy != nil || s.Proven.is(id) && !s.Proven.is(w.live) // proven while another serves unproven
		if id != w.live && (services["worker"] == Running || services["backend"] == Running && !warm) {
			w.fatalf("a set that does not serve runs: %+v %v", id, services)
		}
	}
	for _, x := range known {
		touched := s.Deploy != nil && s.Deploy.To.ID == x.ID // perhaps nothing was made yet
		if w.running[x.ID] == nil && len(x.Addresses) > 0 && !s.serves(x.ID) && !touched {
			w.fatalf("%+v has no containers and keeps addresses", x.ID)
		}
	}
	if s.Live != nil && len(s.Old) > 0 && slices.ContainsFunc(s.Old, func(x Set) bool { return x.ID.Target == s.Proven.ID.Target }) {
		w.fatalf("the proven release is its own rollback target")
	}
}

// settledRight checks that the app ended where Git and people want it.
func (w *world) settledRight(wait *Wait) {
	w.t.Helper()
	s := w.state
	if s.Hold != nil || s.Live == nil || !w.want.names() || w.fleet.Ambiguous(w.want.Singletons) != "" || !w.want.Verdict.Accepted {
		return
	}
	if w.want.Set.Absent {
		if _, frozen := w.fleet.frozen("shop", w.now); !frozen {
			w.fatalf("Git wants the app removed, nothing forbids it, and %s serves: %+v", s.Live.Version, wait)
		}
		return
	}
	_, bad := w.fleet.quarantined("shop", w.want.Set)
	_, frozen := w.fleet.frozen("shop", w.now)
	if bad == "" && !frozen && !w.wellServed(wait) {
		w.fatalf("Git wants %s, nothing forbids it, and %s serves: %+v", w.want.Set.Version, s.Live.Version, wait)
	}
}

// wellServed reports whether what Git wants serves, proven; with other inputs than the host
// gives now only as long as nobody asked for those.
func (w *world) wellServed(wait *Wait) bool {
	s, want := w.state, w.want.Set.ID
	switch {
	case s.Live.ID.Digest != want.Digest || !s.Proven.is(s.Live.ID) || s.Rotate != nil:
		return false
	case s.Live.ID.Inputs != want.Inputs:
		return wait.Why == release.InputsDiffer && !w.want.Rotate
	}
	return wait.Why == release.Converged
}

func scripted(t *testing.T) *world {
	t.Helper()
	return newWorld(t)
}

// job holds a job's run against what jobs are promised.
func (w *world) job(e Effect, forward bool) {
	d := w.state.Deploy
	switch {
	case d == nil || e.Deploy != d.ID || slices.Contains(d.Ran, e.Job) || slices.Contains(d.Undone, e.Job):
		w.fatalf("job %s runs outside its deployment, or again: %+v", e.Job, e)
	case e.Back && w.live == e.Set.ID && w.state.Live.is(w.live) && !w.hurt:
		w.fatalf("job %s undoes what gets the traffic", e.Job)
	case e.Back:
	case !forward, e.Job == "collect" && (d.Crossed || !w.checked[e.Set.ID] || d.Phase != Checking), e.Job == "warm" && (w.live != e.Set.ID && !w.hurt || d.Phase != Handover):
		w.fatalf("job %s at the wrong time, in %s", e.Job, d.Phase)
	}
}
