// Package contract says what an engine does for teal, as tests: the same run against
// the real engine and against the one in memory that the simulator uses, so that
// what is proved on the fake holds on a host. It is about behaviour, never about
// time: what takes time is waited for.
//
// Only tests import it.
package contract

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Containers is what both engines do.
type Containers interface {
	Create(ctx context.Context, set release.SetSpec, restart string) error
	Start(ctx context.Context, set release.SetSpec, services []string) error
	Stop(ctx context.Context, app string, set release.SetID, services []string) error
	SetRestart(ctx context.Context, app string, set release.SetID, services []string, policy string) error
	Remove(ctx context.Context, app string, set release.SetID, services []string) error
	Observe(ctx context.Context, app string) ([]rollout.Container, error)
	RunOnce(ctx context.Context, spec release.ContainerSpec) (exit int, tail string, err error)
	Replace(ctx context.Context, set release.SetSpec) error
}

// World is one engine with what the tests need around it. All of it is required.
type World struct {
	Containers
	Host release.Host
	// Labels stand on every object beside teal's own.
	Labels map[string]string
	// Program is an image and command of a container that behaves so.
	Program func(Behaviour) (image string, command []string)
	// Address is the n-th address of the edge network that the test may use, from 1.
	Address func(n int) netip.Addr
	// Answers is the host name of the container that answers at an address, or "".
	Answers func(netip.Addr) string
	// Kill ends a container's program from outside: exit code 137.
	Kill func(name string)
	// Vanish removes a container behind teal's back.
	Vanish func(name string)
}

// Behaviour is what a program does.
type Behaviour struct {
	// Exits: it ends at once with Code. Otherwise it serves until it is stopped.
	Exits bool
	Code  int
	// Deaf: it does not react to the stop signal.
	Deaf bool
}

const (
	no     = "no"
	always = "unless-stopped"
)

// Run runs the whole contract; each case opens a world of its own. Worlds may share
// an engine: every case uses another app.
func Run(t *testing.T, open func(t *testing.T) World) {
	RunIn(t, func(t *testing.T, test func(*testing.T)) { test(t) }, open)
}

// RunIn is Run with each case inside a bubble, which an engine in memory may want:
// RunIn(t, synctest.Test, open) costs no time.
func RunIn(t *testing.T, bubble func(*testing.T, func(*testing.T)), open func(t *testing.T) World) {
	cases := []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"created containers do not run", created},
		{"create is already so", createTwice},
		{"start is already so", startTwice},
		{"create touches nothing that runs", createOverRunning},
		{"stop ends and stays", stop},
		{"stop ends what does not listen", stopDeaf},
		{"services are chosen by name", services},
		{"the restart policy is visible", restartPolicy},
		{"exit codes are seen", exitCodes},
		{"what completes runs once", completes},
		{"what does not complete stops the rest", incomplete},
		{"a one-off run happens once", once},
		{"what was not created is not started", notCreated},
		{"what dies stays dead until it is switched", killed},
		{"what dies after it was switched comes back", restarted},
		{"addresses stay through restarts in any order", addresses},
		{"two sets of one colour do not touch each other", twoSets},
		{"colours and apps do not touch each other", others},
		{"a stopped container of another specification is replaced", replaced},
		{"a running container of another specification is in use", inUse},
		{"what vanished is put back, the rest is left alone", vanished},
		{"what is gone is removed and stopped", gone},
		{"a shared service stays through releases", shared},
		{"a shared service is replaced, stopped first", replacedShared},
		{"states come in order", order},
	}
	for i, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c.test(t, &bench{World: open(t), t: t, app: fmt.Sprintf("contract%d", i+1)})
			})
		})
	}
}

// bench is one case's world and app.
type bench struct {
	World
	t   *testing.T
	app string
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// id is a set of the bench's app; content stands for the release.
func id(colour release.Colour, content string) release.SetID {
	sum := sha256.Sum256([]byte(content))
	return release.SetID{Colour: colour, Target: release.Target{Digest: release.Digest(hex.EncodeToString(sum[:])), Inputs: "0011"}}
}

// service is one container to be: its name, behaviour and edge address (0: none).
type service struct {
	name    string
	does    Behaviour
	address int
	class   release.Class
	spec    string // stands for everything else that can differ
	after   string // the service that must complete first
}

// set is the specification of a set, as release.Plan would make one.
func (b *bench) set(id release.SetID, services ...service) release.SetSpec {
	project := b.Host.Prefix + b.app
	if id.Colour != release.Shared {
		project += "-" + string(id.Colour)
	}
	labels := func(more map[string]string) map[string]string {
		l := maps.Clone(b.Labels)
		if l == nil {
			l = map[string]string{}
		}
		l[release.LabelInstance], l[release.LabelApp] = b.Host.Instance, b.app
		if id.Colour != release.Shared {
			l[release.LabelColour] = string(id.Colour)
		}
		maps.Copy(l, more)
		return l
	}
	set := release.SetSpec{App: b.app, ID: id, Project: project,
		Networks: []release.NetworkSpec{{Name: project + "_default", Driver: "bridge", Labels: labels(nil)}}}
	for _, s := range services {
		c := release.ContainerSpec{Name: fmt.Sprintf("%s-%s-1", project, s.name), Service: s.name, Class: s.class,
			Hostname: s.name, StopGrace: time.Second,
			Endpoints: []release.Endpoint{{Network: project + "_default", Aliases: []string{s.name}}}}
		if id.Colour != release.Shared {
			c.Name += "-" + string(id.Digest[:8])
		}
		c.Image, c.Command = b.Program(s.does)
		if s.after != "" {
			c.DependsOn = []release.Dependency{{Service: s.after, Condition: "completed", Required: true}}
		}
		if s.address > 0 {
			c.Endpoints = append(c.Endpoints, release.Endpoint{Network: b.Host.EdgeNetwork, IPv4: b.Address(s.address)})
		}
		sum := sha256.Sum256(fmt.Append(nil, c.Image, c.Command, s.address, s.spec))
		c.Labels = labels(map[string]string{
			release.LabelRelease: string(id.Digest), release.LabelInputs: id.Inputs,
			release.LabelService: s.name, release.LabelSpec: hex.EncodeToString(sum[:]),
		})
		set.Containers = append(set.Containers, c)
	}
	return set
}

// seen is the app's containers by name.
func (b *bench) seen() map[string]rollout.Container {
	b.t.Helper()
	list, err := b.Observe(b.t.Context(), b.app)
	b.must(err)
	if !slices.IsSortedFunc(list, func(x, y rollout.Container) int { return strings.Compare(x.Name, y.Name) }) {
		b.t.Errorf("containers are not sorted by name: %+v", list)
	}
	byName := map[string]rollout.Container{}
	for _, c := range list {
		byName[c.Name] = c
	}
	return byName
}

// one is the container of the set's n-th specification; the test fails without it.
func (b *bench) one(set release.SetSpec, n int) rollout.Container {
	b.t.Helper()
	c, ok := b.seen()[set.Containers[n].Name]
	if !ok {
		b.t.Fatalf("%s is not there", set.Containers[n].Name)
	}
	return c
}

// eventually waits up to 20 s for something to become true.
func (b *bench) eventually(what string, is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("never: %s; containers: %+v", what, b.seen())
		}
	}
}

// fault checks that an error is classified so.
func (b *bench) fault(err error, fault rollout.Fault, code release.Code) {
	b.t.Helper()
	var e *rollout.EffectError
	if !errors.As(err, &e) || e.Fault != fault || e.Code != code {
		b.t.Errorf("got error %v, want %s %s", err, fault, code)
	}
}
