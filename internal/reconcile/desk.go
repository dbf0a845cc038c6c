package reconcile

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// Desk reads what Git wants and asks trust about it. Parsing is cached by the
// directory's tree id; the verdict is judged anew each time, for it depends on the
// clock.
type Desk struct {
	Env    string
	Host   release.Host
	Key    []byte // of the inputs hash
	Repo   Repository
	Shelf  Shelf
	Inputs Inputs // nil: no release that asks anything of the host can be deployed
	Rotate bool   // other inputs alone swap a release again
	Policy func() (*trust.Policy, release.Code, string)
	Never  []string // host paths that no policy can allow

	// Set by NewRunner: what each app serves here, what the journal knows of one, and
	// whether it lost one that runs.
	live  func() map[string]rollout.Set
	known func(app string) (rollout.State, bool)
	lost  func(app string) bool
	// Parsed keeps what was parsed; nil gives the desk one of its own. Two desks of one
	// host and key may share it.
	Parsed *Parsed

	// Attestor asks registries; nil: only Git is read.
	Attestor Attestor

	mu     sync.Mutex // guards what follows, and Never
	proofs map[string]proof
	asked  map[string]ask // to be read by Read
	unread map[string]error
	wake   chan struct{} // buffered 1
}

// Parsed is a cache of parsed release directories: a file takes about 20 ms to parse.
type Parsed struct {
	mu sync.Mutex // guards of
	of map[string]*parsed

	facts factBook
}

const maxParsed = 256

func (c *Parsed) get(key string) *parsed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[key]
}

func (c *Parsed) put(key string, p *parsed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]*parsed{}
	}
	for old := range c.of { // any of them: it is parsed again when it is needed
		if len(c.of) < maxParsed {
			break
		}
		delete(c.of, old)
	}
	c.of[key] = p
}

// find is any parsed release of the digest.
func (c *Parsed) find(app string, digest release.Digest) *release.Release {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.of {
		if p.digest == digest && p.rel != nil && p.rel.App == app {
			return p.rel
		}
	}
	return nil
}

// parsed is what one release directory says, problems included.
type parsed struct {
	digest   release.Digest
	rel      *release.Release // whole, as people approved it
	problems release.Problems
	// here names the services that run on this host, nil for all; elsewhere says why none
	// does; placed is the release with those alone, nil when there is none.
	here      []string
	elsewhere string
	placed    *release.Release
	only      sync.Map // of here as one text: placed for a set that names other services
	target    release.Target
	specs     []release.SetSpec
	shared    map[string]string
	origin    string // that the specs were made for
}

// Forbid adds a host path that no policy can allow.
func (d *Desk) Forbid(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.Never, path) {
		d.Never = append(slices.Clone(d.Never), path)
	}
}

func (d *Desk) never() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Never
}

func (d *Desk) dir(app string) string { return path.Join("environments", d.Env, app) }

// Want says what Git asks of the app now, and what trust says of that.
func (d *Desk) Want(app string, past rollout.State, now time.Time) rollout.Want {
	from, code, detail := d.chosenOf(app)
	if code != "" {
		return rollout.Want{Unknown: code, Detail: detail}
	}
	commit := from.ref.Commit
	if from.tree == "" {
		return rollout.Want{Absent: true, Commit: commit.ID()}
	}
	p, err := d.wanted(app, from.tree, commit)
	if err != nil {
		return rollout.Want{Unknown: reasonOf(err, release.DirectoryUnreadable), Detail: err.Error(), Commit: commit.ID(), Ref: from.ref.Name}
	}
	former, barred, err := d.former(app, p, past)
	if err != nil {
		return rollout.Want{Unknown: reasonOf(err, release.DirectoryUnreadable), Detail: err.Error(), Commit: commit.ID(), Ref: from.ref.Name}
	}
	origin := originOf(past, former)
	p, missing := d.resolved(p, origin)
	w := rollout.Want{Set: p.set(commit.ID()), Former: former, Barred: barred, Shared: p.shared, Replace: p.replaced(), Commit: commit.ID(), Ref: from.ref.Name, Elsewhere: p.elsewhere, Rotate: d.Rotate}
	if p.placed != nil {
		w.Singletons = p.placed.Singletons()
	}
	w.Verdict, w.Set.Evidence = d.judge(app, p, commit, marks(past, former), now, false)
	if reading(w.Verdict) {
		return rollout.Want{Unknown: release.Working, Detail: errReading.Error(), Commit: commit.ID(), Ref: from.ref.Name}
	}
	if text := from.text(); text != "" {
		w.Verdict.Gates = append(slices.Clone(w.Verdict.Gates), trust.Gate{Name: "refs", State: trust.GatePass, Detail: trust.Escape(text)})
	}
	if missing != nil {
		w.Inputs, w.InputsDetail = missing.Code, trust.Escape(missing.Error())
		w.Verdict = withoutInputs(w.Verdict, missing)
	}
	if w.Verdict.Accepted && p.placed != nil {
		if taken := d.taken(app, p.placed, former); taken != "" {
			w.Verdict = trust.Verdict{At: now, Reasons: []trust.Finding{{Code: release.RouteConflict, Detail: trust.Escape(taken)}},
				Gates: append(w.Verdict.Gates, trust.Gate{Name: "routes", State: trust.GateFail, Detail: trust.Escape(taken)})}
		}
	}
	return w
}

// taken names the first route of rel that another app has: one that serves it on this
// host, or, when neither does yet, the one whose name comes first.
// The app under the former name loses it with its place.
func (d *Desk) taken(app string, rel *release.Release, former *rollout.State) string {
	serving := map[string]rollout.Set{}
	if d.live != nil {
		serving = d.live()
	}
	refs, code, detail := d.Repo.Desired()
	if code != "" {
		return fmt.Sprintf("the apps beside it could not be listed: %s: %s", code, detail)
	}
	others, err := d.apps(refs)
	if err != nil {
		return "the apps beside it could not be listed: " + err.Error()
	}
	others = append(others, slices.Sorted(maps.Keys(serving))...)
	slices.Sort(others)
	mine := d.routes(app, serving[app])
	for _, other := range slices.Compact(others) {
		if other == app || former != nil && other == former.App || d.given(other) {
			continue
		}
		theirs := d.routes(other, serving[other])
		wanted := map[string]bool{}
		if other < app {
			if c, err := d.choose(other, refs); err == nil && c.tree != "" {
				if f, err := d.facts(other, c.tree, c.ref.Commit); err == nil && f.routes != nil {
					wanted = f.routes
				}
			}
		}
		for _, r := range rel.Routes() {
			if key := r.Host + r.Path; theirs[key] || wanted[key] && !mine[key] && d.mayClaim(other, r.Host) {
				return fmt.Sprintf("route %s of service %s belongs to app %s", key, r.Service, other)
			}
		}
	}
	return ""
}

// mayClaim reports whether the policy gives an app a host: a wish that would be refused
// keeps nobody from a route.
func (d *Desk) mayClaim(app, host string) bool {
	policy, _, _ := d.Policy()
	return policy != nil && slices.Contains(policy.HostAccess[app].Routes, host)
}

// routes are the routes of a stored set, host and path as one word.
func (d *Desk) routes(app string, set rollout.Set) map[string]bool {
	if set.ID.Zero() {
		return nil
	}
	p, err := d.stored(cmp.Or(set.App, app), set.ID.Digest)
	if err != nil || p.rel == nil {
		return nil
	}
	rel, err := p.with(set.Here)
	if err != nil {
		return nil
	}
	return routeSet(rel)
}

// with is the release with the services that a set names.
func (p *parsed) with(here []string) (*release.Release, error) {
	if here == nil {
		return p.rel, nil
	}
	key := strings.Join(here, " ")
	if rel, ok := p.only.Load(key); ok {
		return rel.(*release.Release), nil
	}
	rel, err := p.rel.Only(here)
	if err == nil {
		p.only.Store(key, rel)
	}
	return rel, err
}

func routeSet(rel *release.Release) map[string]bool {
	set := map[string]bool{}
	for _, r := range rel.Routes() {
		set[r.Host+r.Path] = true
	}
	return set
}

// Again judges a release that was accepted before by what policy and evidence say now.
func (d *Desk) Again(app string, past rollout.State, now time.Time) *trust.Verdict {
	if past.Deploy == nil || past.Deploy.Kind != rollout.KindRelease {
		return nil
	}
	p, err := d.stored(app, past.Deploy.To.ID.Digest)
	if err != nil {
		return nil // not on the shelf yet, or unreadable: the wanted one is judged
	}
	commit, ok := d.holder(app, p.digest, past.Deploy.To.Commit)
	if !ok {
		return nil
	}
	v, _ := d.judge(app, p, commit, past, now, true)
	if reading(v) {
		return nil
	}
	return &v
}

// holder is the commit that a release is judged by again: of the refs that hold it still,
// or of that which wins now.
func (d *Desk) holder(app string, digest release.Digest, commit string) (Commit, bool) {
	refs, code, _ := d.Repo.Desired()
	if code != "" {
		return nil, false
	}
	if len(refs) == 1 {
		return refs[0].Commit, true
	}
	for _, ref := range refs {
		if ref.Commit.ID() == commit {
			return ref.Commit, true
		}
		if tree, ok := ref.Commit.Tree(d.dir(app)); ok {
			if f, err := d.facts(app, tree, ref.Commit); err == nil && f.digest == digest {
				return ref.Commit, true
			}
		}
	}
	c, err := d.choose(app, refs)
	return c.ref.Commit, err == nil
}

// apps are the apps of all refs, sorted. One ref that cannot be listed whole hides no
// app of another; the error is told beside what was found.
func (d *Desk) apps(refs []Ref) ([]string, error) {
	var all []string
	var problems []error
	missing := 0
	for _, ref := range refs {
		apps, err := ref.Commit.Apps(d.Env)
		all = append(all, apps...)
		if errors.Is(err, fs.ErrNotExist) {
			if missing++; missing < len(refs) {
				continue
			}
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", ref.Name, err))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), errors.Join(problems...)
}

// stored parses a release from the shelf.
func (d *Desk) stored(app string, digest release.Digest) (*parsed, error) {
	return d.parse(app, "shelf:"+string(digest), func() (fs.FS, error) { return d.Shelf.Dir(digest) })
}

func (d *Desk) parse(app, key string, open func() (fs.FS, error)) (*parsed, error) {
	accepted := strings.HasPrefix(key, "shelf:") // once, so that a problem now is a fault of the disk
	key = app + "/" + key + d.labels()
	p := d.Parsed.get(key)
	if p != nil {
		return p, nil
	}
	dir, err := open()
	if err != nil {
		return nil, fmt.Errorf("read the release directory of %s: %w", app, err)
	}
	p = &parsed{}
	p.digest, err = release.DigestOf(dir)
	var unread *fs.PathError
	if errors.As(err, &unread) { // not what the bytes say: they could not be read this time
		return nil, fmt.Errorf("read the release directory of %s: %w", app, err)
	}
	if err != nil {
		// Not a digest, so nothing can be approved; the problem is named as such.
		p.problems = release.Problems{{File: d.dir(app), Code: release.ManifestInvalid, Message: err.Error()}}
		sum := sha256.Sum256([]byte(key))
		p.digest = release.Digest(hex.EncodeToString(sum[:]))
	} else {
		p.rel, p.problems = release.Parse(dir, d.Env, app)
	}
	sound := p.rel != nil && len(p.problems) == 0
	if sound {
		p.here, p.elsewhere = p.rel.Here(d.Host)
	}
	p.target = release.Target{Digest: p.digest, Inputs: d.inputs(p.here)}
	if sound && p.elsewhere == "" {
		if err := p.resolve(d.Host); err != nil {
			p.problems = release.Problems{{File: path.Join(d.dir(app), "release.yaml"), Code: release.ManifestInvalid, Message: err.Error()}}
		}
	}
	if len(p.problems) > 0 && (accepted || slices.ContainsFunc(p.problems, func(x release.Problem) bool { return x.Code == release.DirectoryUnreadable })) {
		return p, nil // may read better the next time
	}
	if !accepted {
		d.Parsed.facts.put(app+"/"+strings.TrimPrefix(key, app+"/tree:"), p.facts())
	}
	d.Parsed.put(key, p)
	return p, nil
}

// labels are the host's, as one text: what a release is here depends on them.
func (d *Desk) labels() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.Host.Labels)) {
		b.WriteString("\n" + name + "=" + d.Host.Labels[name])
	}
	return b.String()
}

// inputs is the keyed hash of what the host adds to the release: which of its services
// run here, when not all do; secrets and host values come
// on top (resolved).
func (d *Desk) inputs(here []string) string {
	mac := hmac.New(sha256.New, d.Key)
	mac.Write([]byte("teal-inputs-v1\n"))
	for _, service := range here {
		mac.Write([]byte("service " + service + "\n"))
	}
	return hex.EncodeToString(mac.Sum(nil))[:16]
}

// resolve makes the specifications that host access is judged on.
func (p *parsed) resolve(host release.Host) error {
	rel, err := p.with(p.here)
	if err != nil {
		return err
	}
	shared, err := release.PlanShared(rel, host, p.target)
	if err != nil {
		return err
	}
	swapped, err := release.Plan(rel, host, release.Blue, p.target, "", func(string, int) netip.Addr { return netip.Addr{} })
	if err != nil {
		return err
	}
	p.placed, p.specs, p.origin = rel, []release.SetSpec{swapped, shared}, host.Origin
	p.shared = map[string]string{}
	for _, c := range shared.Containers {
		p.shared[c.Service] = c.Labels[release.LabelSpec]
	}
	return nil
}

// replaced names the shared services that the release may replace.
func (p *parsed) replaced() []string {
	if p.rel == nil {
		return nil
	}
	var names []string
	for _, s := range p.rel.Services {
		if s.Shared && s.Replace {
			names = append(names, s.Name)
		}
	}
	return names
}

// others names the services that do not run on this host.
func (p *parsed) others() []string {
	var out []string
	for _, s := range p.rel.Services {
		if p.placed == nil || p.here != nil && !slices.Contains(p.here, s.Name) {
			out = append(out, s.Name)
		}
	}
	return out
}

// defaultGrace is what a container gets between SIGTERM and SIGKILL when the manifest
// does not say (release.ContainerSpec.StopGrace).
const defaultGrace = 10 * time.Second

// set is the release as the planner knows it, without colour.
func (p *parsed) set(commit string) rollout.Set {
	s := rollout.Set{ID: release.SetID{Target: p.target}, Commit: commit}
	if p.rel == nil {
		return s
	}
	s.Version, s.Sequence, s.Content, s.Here = p.rel.Version, p.rel.Sequence, p.rel.Content, p.here
	s.Absent, s.Purge = p.rel.Absent, p.rel.Purge
	if p.placed == nil {
		return s
	}
	s.Content = p.placed.Content
	s.Bake, s.Drain, s.Keep = p.rel.Bake, p.rel.Drain, p.rel.Keep
	s.Crash, s.Grace = map[string]int{}, defaultGrace
	for _, service := range p.placed.Services {
		switch service.Class() {
		case release.ClassRouted:
			s.Routed = append(s.Routed, service.Name)
		case release.ClassHandover:
			s.Workers = append(s.Workers, service.Name)
		case release.ClassOverlap:
			s.Routed, s.Overlap = append(s.Routed, service.Name), append(s.Overlap, service.Name)
		case release.ClassOnce:
			s.Once = append(s.Once, service.Name)
		}
		s.Crash[service.Name] = service.CrashLimit
		if g := service.Config.StopGracePeriod; g != nil {
			s.Grace = max(s.Grace, time.Duration(*g))
		}
	}
	for _, j := range p.placed.Jobs {
		s.Jobs = append(s.Jobs, rollout.Job{Name: j.Name, When: j.When, Timeout: j.Timeout})
	}
	slices.Sort(s.Routed)
	slices.Sort(s.Workers)
	slices.Sort(s.Overlap)
	slices.Sort(s.Once)
	return s
}

// judge asks trust. A release that does not parse is refused with its problems.
func (d *Desk) judge(app string, p *parsed, desired Commit, past rollout.State, now time.Time, begun bool) (trust.Verdict, string) {
	if len(p.problems) > 0 {
		v := trust.Verdict{At: now}
		for _, problem := range p.problems {
			v.Reasons = append(v.Reasons, trust.Finding{Code: problem.Code, Detail: trust.Escape(problem.String()), Next: problem.Next})
		}
		v.Gates = []trust.Gate{{Name: "manifest", State: trust.GateFail, Detail: v.Reasons[0].Detail}}
		return v, ""
	}
	refuse := func(code release.Code, detail string) trust.Verdict {
		return trust.Verdict{At: now, Reasons: []trust.Finding{{Code: code, Detail: detail}}}
	}
	policy, code, detail := d.Policy()
	if policy == nil {
		return refuse(code, detail), ""
	}
	evidence, commit, code, detail := d.evidence(app, p, desired, policy, past)
	if code != "" {
		return refuse(code, detail), commit
	}
	in := trust.Input{
		Policy: policy, Release: p.rel, Sets: p.specs, Elsewhere: p.others(), Evidence: evidence, Never: d.never(), Edge: d.Host.EdgeNetwork, Now: now,
		Marks: trust.Marks{Sequence: past.Accepted.Sequence, Digest: past.Accepted.Digest, Clock: past.Accepted.At,
			Scans: past.Scans, Emergencies: past.Emergencies},
		Begun: begun, Platform: d.Host.Platform, Origin: p.origin,
	}
	v := trust.Evaluate(in)
	if !v.Accepted && renews(p, past) {
		// Other secrets are no other release: what was fresh when it was accepted is fresh
		// enough. Signatures, revocation and host access are judged as they are now.
		in.Now = past.Accepted.FreshAt()
		in.Marks.Clock = in.Now
		if then := trust.Evaluate(in); then.Accepted {
			then.At, then.Until = now, time.Time{}
			return then, commit
		}
	}
	return v, commit
}
