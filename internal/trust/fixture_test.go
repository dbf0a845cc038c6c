package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// testSets resolves a release the way release.Plan does, in little.
func testSets(r *release.Release) []release.SetSpec {
	id := release.SetID{Colour: release.Green, Target: release.Target{Digest: r.Digest}}
	set := release.SetSpec{App: r.App, ID: id, Project: "t1-" + r.App + "-green",
		Networks: []release.NetworkSpec{{Name: "t1-" + r.App + "-green_default"}},
		Volumes:  []release.VolumeSpec{{Name: "t1-" + r.App + "_data"}}}
	shared := release.SetSpec{App: r.App, ID: release.SetID{Target: id.Target}, Project: "t1-" + r.App,
		Networks: []release.NetworkSpec{{Name: "t1-" + r.App + "_default"}}}
	for _, s := range r.Services {
		c := release.ContainerSpec{Name: "t1-" + r.App + "-green-" + s.Name + "-1-abcdef01", Service: s.Name, Class: s.Class(), Image: s.Image, Route: s.Route,
			SecurityOpt: []string{"no-new-privileges:true"}, Tmpfs: map[string]string{"/tmp": ""}, Log: release.LogSpec{Driver: "json-file", Options: map[string]string{"max-size": "10m"}},
			ExtraHosts: []string{"host.docker.internal:host-gateway"}, Ulimits: []release.Ulimit{{Name: "nofile", Soft: 1, Hard: 1}}, CapDrop: []string{"ALL"},
			Mounts:    []release.Mount{{Type: "volume", Source: "t1-" + r.App + "_data", Target: "/data"}, {Type: "tmpfs", Target: "/cache"}},
			Endpoints: []release.Endpoint{{Network: "t1-" + r.App + "-green_default"}, {Network: "t1-" + r.App + "_default"}}}
		if s.Shared {
			c.Endpoints = c.Endpoints[1:]
			shared.Containers = append(shared.Containers, c)
			continue
		}
		if s.Route != nil {
			c.Endpoints = append(c.Endpoints, release.Endpoint{Network: "t1-teal-edge"})
		}
		set.Containers = append(set.Containers, c)
	}
	return []release.SetSpec{set, shared}
}

// scene is one input to Evaluate in the making: what people committed.
type scene struct {
	t         testing.TB
	policy    string
	release   *release.Release
	statement []byte
	files     map[string]string // beside the statement
	more      map[string]string // elsewhere in the evidence commit
	marks     Marks
	now       time.Time
	sets      func([]release.SetSpec)
	evidence  func(*Evidence)
}

func newScene(t testing.TB) *scene {
	s := &scene{t: t, policy: production(t), release: testRelease(), files: map[string]string{}, more: map[string]string{}, now: testNow,
		marks: Marks{Sequence: 41, Digest: otherDigest, Clock: testNow.Add(-time.Minute)}}
	s.statement = marshal(t, testStatement(t, s.release))
	return s
}

// approved adds signatures by the named keys.
func (s *scene) approved(names ...string) *scene {
	for _, name := range names {
		s.files[strings.ReplaceAll(name, "/", "-")+".sig"] = string(sign(s.t, name, NamespaceApproval, s.statement))
	}
	return s
}

func (s *scene) input() Input {
	s.t.Helper()
	dir := ApprovalDir(s.release.Environment, s.release.App, s.release.Digest) + "/"
	files := map[string]string{}
	if s.statement != nil {
		files[dir+StatementFile] = string(s.statement)
	}
	for name, text := range s.files {
		files[dir+name] = text
	}
	for name, text := range s.more {
		files[name] = text
	}
	e, err := Gather(tree(files), s.release.Environment, s.release.App, s.release.Digest)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.evidence != nil {
		s.evidence(&e)
	}
	sets := testSets(s.release)
	if s.sets != nil {
		s.sets(sets)
	}
	return Input{Policy: parsePolicy(s.t, s.policy), Release: s.release, Sets: sets, Evidence: e, Marks: s.marks, Now: s.now, Edge: "t1-teal-edge"}
}

func (s *scene) judge() Verdict {
	s.t.Helper()
	return Evaluate(s.input())
}

func (s *scene) swapPolicy(old, new string) {
	s.t.Helper()
	if !strings.Contains(s.policy, old) {
		s.t.Fatalf("no %q in the policy", old)
	}
	s.policy = strings.Replace(s.policy, old, new, 1)
}
