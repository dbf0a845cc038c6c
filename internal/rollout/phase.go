package rollout

// Phase is where a deployment stands (DESIGN 4.1), the word that status, the
// journal and the metrics share.
type Phase string

const (
	Queued     Phase = "queued"
	Verifying  Phase = "verifying"
	Blocked    Phase = "blocked"
	Preparing  Phase = "preparing"
	Waiting    Phase = "waiting"
	Migrating  Phase = "migrating"
	Starting   Phase = "starting"
	Checking   Phase = "checking"
	Confirming Phase = "confirming"
	Switching  Phase = "switching"
	Handover   Phase = "handover"
	Baking     Phase = "baking"
	Retiring   Phase = "retiring"
	Reverting  Phase = "reverting"

	// Ends: a deployment is over and the app is settled.
	Live       Phase = "live"
	Reverted   Phase = "reverted"
	Held       Phase = "held"
	Superseded Phase = "superseded"
	Absent     Phase = "absent"
	Failed     Phase = "failed"
)

// Phases lists every phase a deployment can be in, in the order it passes them.
func Phases() []Phase {
	return []Phase{Queued, Verifying, Blocked, Preparing, Waiting, Migrating, Starting, Checking,
		Confirming, Switching, Handover, Baking, Retiring, Reverting}
}

// Ends lists the phases that end a deployment.
func Ends() []Phase { return []Phase{Live, Reverted, Held, Superseded, Absent, Failed} }

// idle reports whether p has touched nothing on the host yet.
func (p Phase) idle() bool { return p == Queued || p == Verifying || p == Blocked }

// beforeSwitch reports whether a deployment in p has moved no traffic.
func (p Phase) beforeSwitch() bool {
	switch p {
	case Queued, Verifying, Blocked, Preparing, Waiting, Migrating, Starting, Checking, Confirming:
		return true
	}
	return false
}

// cared reports whether a deployment in p may stand for days, so that what serves is
// looked after meanwhile like that of a settled app.
func (p Phase) cared() bool { return p.idle() || p == Waiting }

// progresses reports whether the progress deadline runs in p: nobody is waited for,
// and p has no deadline of its own.
func (p Phase) progresses() bool {
	switch p {
	case Preparing, Migrating, Starting, Checking:
		return true
	}
	return false
}

// Kind says why a deployment was begun.
type Kind string

const (
	KindRelease  Kind = "release"  // Git wants another target
	KindRollback Kind = "rollback" // an operator ordered an older, proven release
	KindRemoval  Kind = "removal"  // an operator ordered the app off this host
	KindRebake   Kind = "rebake"   // the live release never finished its bake; watch it again
)
