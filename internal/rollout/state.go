package rollout

import (
	"net/netip"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// State is everything the agent remembers of one app: the fold of the app's
// journal Records. The zero value is an app that was never deployed.
type State struct {
	App string `json:"app"`
	// Former are the names that the app had on this host, newest first; nobody else has them.
	// Origin is the one that its volumes and shared services keep, "" for its own.
	Former []string `json:"former,omitempty"`
	Origin string   `json:"origin,omitempty"`
	// Renamed: another app took this one's place, with all that it had.
	Renamed *Renamed `json:"renamed,omitempty"`
	// Deploy is the deployment in progress; nil when the app is settled.
	Deploy *Deployment `json:"deploy,omitempty"`
	// Live is the set that gets the traffic, Proven the last one that finished its
	// bake here: the only revert target. They differ while a release bakes.
	Live   *Set `json:"live,omitempty"`
	Proven *Set `json:"proven,omitempty"`
	// Old are earlier proven sets, newest first, at most `keep` of them: rollback
	// targets. Their files are stored; only the first keeps its containers.
	Old []Set `json:"old,omitempty"`
	// Kept is the last set that was reverted: stopped, its containers kept for their
	// logs until the next deployment begins.
	Kept *Set `json:"kept,omitempty"`
	// Garbage are sets whose containers are still to be removed, best effort.
	Garbage []Set `json:"garbage,omitempty"`
	// Shared maps each shared service that this app runs to its spec hash.
	Shared map[string]string `json:"shared,omitempty"`
	// SharedOf says which release describes each of them, where not the live one: a
	// replacement stays when its release is gone back from.
	SharedOf map[string]release.Digest `json:"sharedOf,omitempty"`
	// Accepted is the high-water mark against replay: the highest accepted sequence
	// and the digest that held it.
	Accepted Mark `json:"accepted,omitzero"`
	// Scans is the newest trusted scan ever seen, by "<image hex>/<scanner>": a bad one
	// that somebody deletes must not give way to an older good one. At most maxScans, the
	// oldest give way.
	Scans map[string]time.Time `json:"scans,omitempty"`
	// Emergencies are those accepted in the last 24 hours, and those that are a debt until
	// a normal approval of the same digest follows. Oldest first.
	Emergencies []trust.EmergencyMark `json:"emergencies,omitempty"`
	Hold        *Hold                 `json:"hold,omitempty"`
	// Generation is the highest proxy generation that was ever intended.
	Generation uint64 `json:"generation,omitempty"`
	// Doubtful is a set that may get the traffic although it is not Live: a switch to it
	// was intended and no later switch was answered. It is neither stopped nor removed.
	Doubtful *release.SetID `json:"doubtful,omitempty"`
	// Effect is the intent whose outcome is not recorded yet.
	Effect *Effect `json:"effect,omitempty"`
	// Last says how the last deployment ended.
	Last *Ended `json:"last,omitempty"`
	// Rollback is an operator's order not carried out yet; OrdersSeen the highest
	// order index that was looked at.
	Rollback   *Order `json:"rollback,omitempty"`
	OrdersSeen uint64 `json:"ordersSeen,omitempty"`
	// Rotate is an operator's order to swap the live release with the host's present
	// inputs, until that has passed verifying.
	Rotate *Order `json:"rotate,omitempty"`
	// Removal is an operator's order to remove the app here, not carried out yet; Gone the
	// removal after which nothing has served.
	Removal *Order `json:"removal,omitempty"`
	Gone    *Gone  `json:"gone,omitempty"`
	// ProvenCold: the proven set was stopped to make room for a newer release while
	// an unproven one serves. Going back is then start, check and flip.
	ProvenCold bool `json:"provenCold,omitempty"`
	// Baseline is the share of 5xx before the switch to the live set, for a second watch.
	Baseline float64 `json:"baseline,omitempty"`
	// Restores and Redirects are the times of recent repairs of containers and of the
	// proxy, for the flap limit.
	Restores  []time.Time `json:"restores,omitempty"`
	Redirects []time.Time `json:"redirects,omitempty"`
	// Care backs off failing upkeep, each kind of effect for itself.
	Care map[EffectKind]Retry `json:"care,omitempty"`
	// Owed are reports and turns that the fleet was not told of in time: without
	// quorum going back does not wait for it. At most maxOwed, the oldest give way.
	Owed []Effect `json:"owed,omitempty"`
	// Serial counts deployments; it names them (d-1, d-2, …).
	Serial uint64 `json:"serial,omitempty"`
	// Effects counts intents; it names them.
	Effects uint64 `json:"effects,omitempty"`
}

// Settled reports whether no deployment is in progress.
func (s State) Settled() bool { return s.Deploy == nil }

// Phase is the app's phase: the deployment's, else how the last one ended, else "".
func (s State) Phase() Phase {
	switch {
	case s.Deploy != nil:
		return s.Deploy.Phase
	case s.Last != nil:
		return s.Last.Phase
	}
	return ""
}

// Mark is a sequence and the digest that held it.
type Mark struct {
	Sequence int64          `json:"sequence"`
	Digest   release.Digest `json:"digest"`
	At       time.Time      `json:"at,omitzero"`
	// Fresh is when the digest was accepted first: evidence that was fresh then is fresh
	// enough for the same release with other inputs. Zero: At.
	Fresh time.Time `json:"fresh,omitzero"`
	// Commit is the desired commit that it was accepted from, Since that of the release
	// accepted before it: the commits in between made this one.
	Commit string `json:"commit,omitempty"`
	Since  string `json:"since,omitempty"`
}

// Set is one colour's containers as the journal knows them: all that going back
// needs without reading the manifest again.
type Set struct {
	ID release.SetID `json:"id"`
	// App is the name under which it was made, where the app has another one now.
	App      string         `json:"app,omitempty"`
	Version  string         `json:"version,omitempty"`
	Sequence int64          `json:"sequence,omitempty"`
	Content  release.Digest `json:"content,omitempty"`
	// Routed services start before the switch, Workers are handed over after it. Overlap
	// names those without a route that may run beside the other colour's: they are among
	// Routed, or among Workers while the other colour's may not run beside another.
	Routed  []string `json:"routed,omitempty"`
	Workers []string `json:"workers,omitempty"`
	Overlap []string `json:"overlap,omitempty"`
	// Once names the services that run to their end before others start. Nothing watches
	// them afterwards.
	Once []string `json:"once,omitempty"`
	// Jobs are the release's one-off runs, in their order.
	Jobs []Job `json:"jobs,omitempty"`
	// Absent: an approved or ordered removal, with the volumes that go too.
	Absent bool     `json:"absent,omitempty"`
	Purge  []string `json:"purge,omitempty"`
	// Here names the services of the release that run on this host; nil: all of them.
	Here []string `json:"here,omitempty"`
	// Addresses maps "<service>/<replica>" to the fixed address on the edge network.
	Addresses map[string]netip.Addr `json:"addresses,omitempty"`
	// Crash maps each service to its crash limit (release.Service.CrashLimit).
	Crash map[string]int `json:"crash,omitempty"`
	Bake  release.Bake   `json:"bake,omitzero"`
	Drain release.Drain  `json:"drain,omitzero"`
	Keep  int            `json:"keep,omitempty"`
	// Grace is the longest time that one of its services gets between SIGTERM and SIGKILL.
	Grace time.Duration `json:"grace,omitempty"`
	// Urgent: an emergency accepted it that passes a freeze.
	Urgent bool `json:"urgent,omitempty"`
	// Commit and Evidence are the commits this set was accepted from.
	Commit   string    `json:"commit,omitempty"`
	Evidence string    `json:"evidence,omitempty"`
	ProvenAt time.Time `json:"provenAt,omitzero"`
}

func (s *Set) is(id release.SetID) bool { return s != nil && s.ID == id }

// Deployment is one host moving one app to a target.
type Deployment struct {
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	To   Set    `json:"to"`
	// From is the set that was live when it began; nil for a first release.
	From   *Set      `json:"from,omitempty"`
	Began  time.Time `json:"began"`
	Phase  Phase     `json:"phase"`
	Since  time.Time `json:"since"`           // entry into Phase
	Moving time.Time `json:"moving,omitzero"` // entry into preparing: the progress deadline counts from here
	// Why and Detail explain the phase where it needs explaining.
	Why    release.Code `json:"why,omitempty"`
	Detail string       `json:"detail,omitempty"`
	// Last is the newest outcome within this phase, nil after entering it.
	Last  *Outcome `json:"last,omitempty"`
	Retry Retry    `json:"retry,omitzero"`
	// Token is the fleet's permission; Request the id that a confirm repeats after a crash.
	Token   Token  `json:"token,omitzero"`
	Request string `json:"request,omitempty"`
	// Touched is set with the intent to prepare: something of To may exist on the host.
	Touched bool `json:"touched,omitempty"`
	// Crossed is set with the intent of the switch: from then on traffic may be on To.
	Crossed    bool      `json:"crossed,omitempty"`
	SwitchedAt time.Time `json:"switchedAt,omitzero"`
	Generation uint64    `json:"generation,omitempty"`
	Baseline   float64   `json:"baseline,omitempty"` // share of 5xx of the old colour before the switch
	// Checked is set once green passed its check in this phase; Ran names the jobs that
	// ended well, JobBegan is set with the first one's intent.
	Checked  bool     `json:"checked,omitempty"`
	Ran      []string `json:"ran,omitempty"`
	JobBegan bool     `json:"jobBegan,omitempty"`
	// Undone names the on-revert jobs that ended; UndoFailed says how one failed.
	Undone     []string `json:"undone,omitempty"`
	UndoFailed string   `json:"undoFailed,omitempty"`
	// HandedOver is set with the intent to stop the old workers; Hand is how far the
	// handover came.
	HandedOver bool `json:"handedOver,omitempty"`
	Hand       Hand `json:"hand,omitzero"`
	// Removed is set once nothing of the app is left on the engine, for a removal.
	Removed bool `json:"removed,omitempty"`
	// Reported is set once the fleet knows that the release is good.
	Reported bool `json:"reported,omitempty"`
	// Attempts counts how often the new colour was dropped and tried again.
	Attempts int `json:"attempts,omitempty"`
	// NewShared are shared services that this deployment adds; going back removes them.
	NewShared map[string]string `json:"newShared,omitempty"`
	// Replace are shared services that it replaces before the switch; going back does not
	// undo that. Replacing is set from the intent on until it is known how it ended.
	Replace   map[string]string `json:"replace,omitempty"`
	Replacing bool              `json:"replacing,omitempty"`
	Bake      Tally             `json:"bake,omitzero"`
	Back      *Back             `json:"back,omitempty"`
	// Cause is why it began where that is not Git: inputs_changed.
	Cause release.Code `json:"cause,omitempty"`
	// Order is the operator's order behind a rollback or a rotation.
	Order *Order `json:"order,omitempty"`
}

// idle reports whether the deployment has touched nothing on the host.
func (d *Deployment) idle() bool { return d.Phase.idle() && !d.Touched }

// Gone is what a removal left behind.
type Gone struct {
	Digest   release.Digest    `json:"digest,omitempty"` // "" for an operator's order
	Version  string            `json:"version,omitempty"`
	Sequence int64             `json:"sequence,omitempty"`
	At       time.Time         `json:"at"`
	Actor    string            `json:"actor,omitempty"`
	Shared   map[string]string `json:"shared,omitempty"` // that ran: a rollback makes them again
	Purged   []string          `json:"purged,omitempty"`
}

// Hand is the progress of the handover, each field set by an outcome.
type Hand struct {
	Stopped bool `json:"stopped,omitempty"` // the old colour's workers
	Started bool `json:"started,omitempty"` // the new colour's workers
}

// Tally is what the bake has seen so far.
type Tally struct {
	Samples     int       `json:"samples,omitempty"`
	Failed      int       `json:"failed,omitempty"`
	ErrorsInRow int       `json:"errorsInRow,omitempty"`
	LastAt      time.Time `json:"lastAt,omitzero"`
	// Proof counts passes of probe and smoke rules; TrafficProof those of the error rate.
	Proof        int  `json:"proof,omitempty"`
	TrafficProof int  `json:"trafficProof,omitempty"`
	Extended     bool `json:"extended,omitempty"`
	// Passed counts the passes of each probe and smoke rule; one that never passed
	// keeps the bake from passing.
	Passed map[string]int `json:"passed,omitempty"`
	// Suspect is set while a traffic rule asks to revert and blue is being asked first.
	Suspect       release.Code `json:"suspect,omitempty"`
	SuspectDetail string       `json:"suspectDetail,omitempty"`
	// SharedCause counts suspicions that blue shared; until SharedUntil bursts are left
	// to the samples, so that an outage of both does not keep them from being taken.
	SharedCause int       `json:"sharedCause,omitempty"`
	SharedUntil time.Time `json:"sharedUntil,omitzero"`
	// BurstSeen is the last burst answered.
	BurstSeen uint64 `json:"burstSeen,omitempty"`
	// Failing names the rules that failed in the newest failed sample.
	Failing string `json:"failing,omitempty"`
}

// Back is the progress of going back. Each field is set by an outcome, so a crash
// repeats at most one effect.
type Back struct {
	// Bad is true when the release itself is at fault: it is quarantined. Person is
	// true when nobody can say, so the app is held without a quarantine.
	Bad      bool `json:"bad,omitempty"`
	Person   bool `json:"person,omitempty"`
	Prepared bool `json:"prepared,omitempty"`
	Started  bool `json:"started,omitempty"`
	Checked  bool `json:"checked,omitempty"`
	Flipped  bool `json:"flipped,omitempty"`
	Stopped  bool `json:"stopped,omitempty"` // the bad colour's workers
	Handed   bool `json:"handed,omitempty"`  // the good colour's workers run again
	Reported bool `json:"reported,omitempty"`
	Ended    bool `json:"ended,omitempty"` // the turn was given back
	Smoked   bool `json:"smoked,omitempty"`
	Retired  bool `json:"retired,omitempty"`
	Dropped  bool `json:"dropped,omitempty"`
	// Unhealthy is set when the front door did not answer well after the flip.
	Unhealthy string    `json:"unhealthy,omitempty"`
	FlippedAt time.Time `json:"flippedAt,omitzero"`
	// Failures counts each effect's failures in a row; Stuck says why the set to go
	// back to could not be brought up.
	Failures map[EffectKind]int `json:"failures,omitempty"`
	Stuck    string             `json:"stuck,omitempty"`
}

// Retry is a backoff in progress.
type Retry struct {
	Count int          `json:"count,omitempty"`
	Until time.Time    `json:"until,omitzero"`
	Code  release.Code `json:"code,omitempty"`
}

// Hold keeps the app where it is until a newer release or `tealctl resume`.
type Hold struct {
	Why    release.Code `json:"why"`
	Detail string       `json:"detail,omitempty"`
	At     time.Time    `json:"at"`
	// Digest is the release that is held off; Sequence the number that a newer one
	// must exceed.
	Digest   release.Digest `json:"digest,omitempty"`
	Sequence int64          `json:"sequence"`
	Actor    string         `json:"actor,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Trace    string         `json:"trace,omitempty"` // of the operator's order
}

// Ended says how a deployment ended.
type Ended struct {
	ID         string         `json:"id"`
	Kind       Kind           `json:"kind"`
	Phase      Phase          `json:"phase"`
	Cause      release.Code   `json:"cause,omitempty"` // why it began where that is not Git
	Why        release.Code   `json:"why,omitempty"`
	Detail     string         `json:"detail,omitempty"`
	At         time.Time      `json:"at"`
	Began      time.Time      `json:"began"`
	Version    string         `json:"version,omitempty"`
	Digest     release.Digest `json:"digest,omitempty"`
	Sequence   int64          `json:"sequence,omitempty"`
	SwitchedAt time.Time      `json:"switchedAt,omitzero"`
	FlippedAt  time.Time      `json:"flippedAt,omitzero"`
	Actor      string         `json:"actor,omitempty"`
	Trace      string         `json:"trace,omitempty"` // of the operator's order
}
