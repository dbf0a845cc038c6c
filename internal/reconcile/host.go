package reconcile

import (
	"context"
	"io/fs"
	"net/netip"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// Observer sees containers by label.
type Observer interface {
	Observe(ctx context.Context, app string) ([]rollout.Container, error)
}

// Images brings images to the host by digest.
type Images interface {
	// Pull is "already there" without asking the registry when the image is local.
	Pull(ctx context.Context, image string, progress func(done, total int64)) error
}

// Sets makes, starts, stops and removes sets of containers. Every call can be
// repeated: "already so" is success.
type Sets interface {
	Create(ctx context.Context, set release.SetSpec, restart string) error
	Start(ctx context.Context, set release.SetSpec, services []string) error
	Stop(ctx context.Context, app string, set release.SetID, services []string) error
	SetRestart(ctx context.Context, app string, set release.SetID, services []string, policy string) error
	Remove(ctx context.Context, app string, set release.SetID, services []string) error
	// Replace stops what has the name of each container and starts the one specified in
	// its place. One that does not come up is taken away again, and the one before runs.
	Replace(ctx context.Context, set release.SetSpec) error
	// Purge removes volumes with their data, by the names under which the app's manifest
	// declared them: those that this instance made for the app, never an external one.
	Purge(ctx context.Context, app string, volumes []string) error
}

// Containers is the engine, whole.
type Containers interface {
	Observer
	Images
	Sets
	Jobs
}

// Restart policies of DESIGN 4.5.
const (
	RestartNo     = "no"
	RestartAlways = "unless-stopped"
)

// Switch is the proxy's control side.
type Switch interface {
	// Put swaps all routes of the app at once and returns when it is durable.
	Put(ctx context.Context, app string, c SwitchConfig) (Switched, error)
	// Withdraw takes the app's routes away; what runs on them goes on.
	Withdraw(ctx context.Context, app string) error
	// View is what it serves for the app, and what it has counted.
	View(ctx context.Context, app string) (SwitchState, error)
	// Drain waits until the colour has nothing in flight, then cuts what is left.
	Drain(ctx context.Context, app string, colour release.Colour, d release.Drain) (cut int, err error)
}

// SwitchConfig is all that the proxy needs to know of an app.
type SwitchConfig struct {
	Generation uint64
	Live       release.Colour
	Targets    map[release.Colour]map[string][]netip.AddrPort // colour → service → replicas
	Routes     []release.RouteOf                              // without port: each target has its own
	Releases   map[release.Colour]string                      // version
	Burst      release.Burst
	Baseline   float64
	// Instead names apps whose routes this one has from now on: they are gone with the same
	// swap.
	Instead []string
}

// Switched is the proxy's answer to a Put.
type Switched struct {
	At         time.Time
	Unfinished int
	Durable    bool
}

// SwitchState is what the proxy serves for an app now.
type SwitchState struct {
	Known   bool
	Config  SwitchConfig
	Traffic map[release.Colour]rollout.Traffic
}

// Turn is the fleet's permission to deploy and its memory of bad releases.
type Turn interface {
	AskTurn(ctx context.Context, app string, set rollout.Set) (rollout.Token, error)
	ConfirmTurn(ctx context.Context, app string, token rollout.Token, request string) error
	EndTurn(ctx context.Context, app string, token rollout.Token) error
	Report(ctx context.Context, app string, set rollout.Set, good bool, why release.Code, detail string) error
}

// Fleet is what the fleet says.
type Fleet interface {
	View() rollout.FleetView
	Orders(app string) []rollout.Order
	Changed() <-chan struct{}
}

// Journal makes records durable. Back marks records that going back needs: they may
// use the reserve.
type Journal interface {
	Append(app string, r rollout.Record, back bool) (at time.Time, err error)
}

// Shelf keeps accepted releases whole, so that going back reads nothing else.
type Shelf interface {
	// Put stores the release directory and its verdict; a release that is there is left alone.
	Put(digest release.Digest, dir fs.FS, verdict trust.Verdict) error
	// Dir is the stored release directory.
	Dir(digest release.Digest) (fs.FS, error)
}

// Inputs is what the host adds to releases: secrets and host values. No secret passes
// here, only keyed sums.
type Inputs interface {
	// Resolve reads all that the release asks of the host now, and gives its inputs. An
	// error is an *rollout.EffectError whose code says what is missing.
	// rel has the services that run here, and here names them when those are not all.
	Resolve(rel *release.Release, here []string) (release.Given, string, error)
	// Keep stores what was resolved under the target's inputs with the stored release.
	Keep(rel *release.Release, here []string, target release.Target) error
	// Kept is what was kept with a stored release.
	Kept(target release.Target) (release.Given, error)
}

// Files writes what containers mount besides volumes: configs and secrets.
type Files interface {
	// Write sees that a target's files are there; what is there is left alone.
	Write(target release.Target, files []release.FileSpec) error
	// Forget removes what was kept for the app's targets but those to keep.
	Forget(app string, keep []release.Target) error
	// Remove removes files that nothing mounts any more; gone is fine.
	Remove(files []release.FileSpec) error
	// Clear removes all files of an app that has no containers any more.
	Clear(app string) error
}

// Target is one replica's address with its probe.
type Target struct {
	Service string
	Address netip.AddrPort
	Probe   release.Probe
}

// Health measures.
type Health interface {
	// Await probes until every target has passed as often in a row as its probe asks.
	Await(ctx context.Context, targets []Target) error
	Probe(ctx context.Context, t Target) (rollout.ProbeResult, string)
	// Smoke makes one request to address; the zero address is the front door.
	Smoke(ctx context.Context, s release.Smoke, address netip.AddrPort) (rollout.ProbeResult, string)
}

// Repository is what Git says, as accepted commits.
type Repository interface {
	// Desired are the last accepted commits of the followed refs, in the order of the
	// host's configuration, one at least; Evidence is the one that approvals are read
	// from. Code is why there is none.
	Desired() (refs []Ref, code release.Code, detail string)
	Evidence() (c Commit, code release.Code, detail string)
	Changed() <-chan struct{}
}

// Ref is one followed ref with its accepted commit.
type Ref struct {
	Name   string // full: refs/heads/main
	Commit Commit
	// Seen orders refs by when each was first seen with the release directory that it holds
	// of an app now: smaller is earlier. nil: all at once.
	Seen func(app string) uint64
}

// Commit is one commit's tree, read-only.
type Commit interface {
	ID() string
	// Sub is the tree of a directory; fs.ErrNotExist when there is none.
	Sub(dir string) (fs.FS, error)
	// Tree is the directory's object id, for caches.
	Tree(dir string) (string, bool)
	// Apps lists the apps of an environment.
	Apps(env string) ([]string, error)
	// Changes are the commits that touched the directory since the commit since; "" is the
	// whole history. What is not known for sure is said there.
	// The error is of objects that could not be read; it may be gone the next time.
	Changes(ctx context.Context, dir, since string) (trust.Changes, error)
}

// Reserve is room on the engine's filesystem that only going back may use.
type Reserve interface {
	Free() error
}

// Preflight says whether the host has room to go forward.
type Preflight interface {
	Room(ctx context.Context) error
}
