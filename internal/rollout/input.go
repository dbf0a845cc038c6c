package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// Input is all that Next looks at, besides the time.
type Input struct {
	Want Want
	// Again is what policy and evidence say now of the release being deployed;
	// nil when no release is being deployed or it could not be judged.
	Again  *trust.Verdict
	Past   State
	Seen   Seen
	Fleet  FleetView
	Orders []Order // in index order; those up to Past.OrdersSeen are skipped
}

// Want is what Git asks for and what trust says of it.
type Want struct {
	// Absent: the repository holds no release directory for the app.
	Absent bool
	// Set is the release as a set without colour: digest, inputs, version, services.
	Set Set
	// Shared maps each shared service of the release to its spec hash.
	Shared map[string]string
	// Replace names those that may be replaced when they change.
	Replace []string
	Verdict trust.Verdict
	Commit  string
	// Ref is the full name of the followed ref that Commit is the head of.
	Ref string
	// Elsewhere says why the release runs on other hosts; "" when it runs here.
	Elsewhere string
	// Singletons are the placements of its services that run on at most one host.
	Singletons map[string]release.Placement
	// Inputs says why the host cannot complete the release: a secret or a label is
	// missing, say. Set has no inputs then, and Verdict refuses.
	Inputs       release.Code
	InputsDetail string
	// Rotate: other inputs alone swap the release again, without an order.
	Rotate bool
	// differ: Set is as it serves, and the host would give it other inputs now.
	differ bool
	// Former is what this host has of the app under the name that the manifest says it had,
	// nil when it has nothing, or has changed its name already. Barred says why its place
	// cannot be taken; "" when it can.
	Former *State
	Barred Barred
	// Unknown is set while nothing could be read yet (no accepted commit).
	Unknown release.Code
	Detail  string
}

// Barred is a reason in the repository why a place cannot be taken.
type Barred struct {
	Why    release.Code
	Detail string
}

// nothing says why there is no release to deploy although Git could be read: what runs
// keeps running. "" when there is one.
func (w Want) nothing() (release.Code, string) {
	switch {
	case w.Absent:
		return release.NotInRepository, ""
	case w.Elsewhere != "":
		return release.NotPlaced, w.Elsewhere
	}
	return "", ""
}

// names reports whether Git names a release to deploy here.
func (w Want) names() bool { return w.Unknown == "" && !w.Absent && w.Elsewhere == "" }

// Seen is what the loop observed of the world just now.
type Seen struct {
	// Running is the effect in flight in this process, nil if none.
	Running *Effect
	// Cancelling is true once its cancellation was asked for.
	Cancelling bool
	// EngineDown: the containers could not be observed; Containers is empty then.
	EngineDown bool
	Containers []Container
	Switch     SwitchView
	// Burst is the newest burst that the proxy reported for the live generation.
	Burst *Burst
	// Baseline is the live colour's share of 5xx in the last five minutes, 0..1.
	Baseline float64
}

// SwitchView is what the proxy serves now.
type SwitchView struct {
	Reachable  bool
	Known      bool // it knows the app
	Generation uint64
	Live       release.Colour
	// Matches is true when routes and targets are exactly those of Past.Live.
	Matches bool
}

// Burst is a sudden share of errors that the proxy saw on the live colour.
type Burst struct {
	Seq        uint64
	Generation uint64
	Errors     int
	Requests   int
	At         time.Time
}

func (b Burst) String() string {
	return fmt.Sprintf("%d of the last %d answers were errors", b.Errors, b.Requests)
}

// FleetView is what the fleet says, as far as this host knows.
type FleetView struct {
	Frozen     []Freeze
	Quarantine []Quarantine
	Hosts      []Member
}

// Member is a host of the fleet, with the labels that it declares.
type Member struct {
	Name   string
	Labels map[string]string
}

// Ambiguous says which service that may run once in the fleet fits several hosts; ""
// when none does.
func (f FleetView) Ambiguous(singletons map[string]release.Placement) string {
	for _, name := range slices.Sorted(maps.Keys(singletons)) {
		var fit []string
		for _, m := range f.Hosts {
			if singletons[name].Lacks(m.Labels) == "" {
				fit = append(fit, m.Name)
			}
		}
		if len(fit) > 1 {
			slices.Sort(fit)
			return fmt.Sprintf("%s fits %d hosts: %s", name, len(fit), strings.Join(fit, ", "))
		}
	}
	return ""
}

// Freeze stops everything from going forward. App is "" for the environment.
type Freeze struct {
	App    string    `json:"app,omitempty"`
	Until  time.Time `json:"until,omitzero"` // zero: until lifted
	Reason string    `json:"reason,omitempty"`
	Actor  string    `json:"actor"`
	At     time.Time `json:"at"`
}

// Covers reports whether the freeze holds app at now.
func (f Freeze) Covers(app string, now time.Time) bool {
	return (f.App == "" || f.App == app) && (f.Until.IsZero() || now.Before(f.Until))
}

// Quarantine is a release found bad. Inputs and Host may be "*".
type Quarantine struct {
	App     string         `json:"app"`
	Digest  release.Digest `json:"digest"`
	Inputs  string         `json:"inputs"`
	Host    string         `json:"host"`
	Content release.Digest `json:"content,omitempty"`
	Version string         `json:"version,omitempty"`
	Why     release.Code   `json:"why"`
	Detail  string         `json:"detail,omitempty"`
	At      time.Time      `json:"at"`
}

// frozen names the freeze that holds app back, if any.
func (f FleetView) frozen(app string, now time.Time) (Freeze, bool) {
	for _, z := range f.Frozen {
		if z.Covers(app, now) {
			return z, true
		}
	}
	return Freeze{}, false
}

// quarantined says whether the set may not be started, and whether that is only
// because its content equals a quarantined release's.
func (f FleetView) quarantined(app string, set Set) (q Quarantine, code release.Code) {
	for _, q := range f.Quarantine {
		if q.App != app {
			continue
		}
		if q.Digest == set.ID.Digest && (q.Inputs == "*" || q.Inputs == set.ID.Inputs) {
			return q, release.Quarantined
		}
	}
	for _, q := range f.Quarantine {
		if q.App == app && q.Content != "" && q.Content == set.Content && q.Digest != set.ID.Digest {
			return q, release.SameAsQuarantined
		}
	}
	return Quarantine{}, ""
}

// frozen names the freeze that holds the app back, under whichever of its names.
func (in Input) frozen(now time.Time) (Freeze, bool) {
	for _, name := range in.Past.Names() {
		if z, frozen := in.Fleet.frozen(name, now); frozen {
			return z, true
		}
	}
	return Freeze{}, false
}

// quarantined asks the fleet, and what this host found bad and could not report yet.
func (in Input) quarantined(set Set) (Quarantine, release.Code) {
	for _, name := range in.Past.Names() {
		if q, code := in.Fleet.quarantined(name, set); code != "" {
			return q, code
		}
	}
	for _, e := range in.Past.Owed {
		if e.Kind != Report || !e.Bad {
			continue
		}
		q := Quarantine{App: in.Past.App, Digest: e.Set.ID.Digest, Inputs: e.Set.ID.Inputs, Version: e.Set.Version, Why: e.Why, Detail: e.Detail, At: e.Started}
		switch {
		case e.Set.ID.Target == set.ID.Target:
			return q, release.Quarantined
		case e.Set.Content != "" && e.Set.Content == set.Content && e.Set.ID.Digest != set.ID.Digest:
			return q, release.SameAsQuarantined
		}
	}
	return Quarantine{}, ""
}

func quarantineText(q Quarantine) string {
	where := q.Host
	switch where {
	case "*":
		where = "every host"
	case "":
		where = "this host"
	}
	return fmt.Sprintf("%s %s is quarantined for %s: %s", q.Version, q.Digest.Short(), where, q.Why)
}

// of lists the containers of one set.
func (s Seen) of(set *Set) []Container {
	if set == nil {
		return nil
	}
	var out []Container
	for _, c := range s.Containers {
		if c.Set == set.ID {
			out = append(out, c)
		}
	}
	return out
}

func anyRunning(seen Seen, set *Set) bool {
	return slices.ContainsFunc(seen.of(set), func(c Container) bool { return c.Status == Running || c.Status == Restarting })
}

// runs reports whether any container of the service runs.
func (s Seen) runs(set *Set, service string) bool {
	return slices.ContainsFunc(s.of(set), func(c Container) bool {
		return c.Service == service && (c.Status == Running || c.Status == Restarting)
	})
}

// running reports whether every one of the services has its containers and all of
// them run.
func (s Seen) running(set *Set, services []string) bool {
	up := map[string]int{}
	for _, c := range s.of(set) {
		if c.Status != Running {
			up[c.Service] -= 1000
		}
		up[c.Service]++
	}
	for _, name := range services {
		if up[name] < replicas(set, name) {
			return false
		}
	}
	return true
}
