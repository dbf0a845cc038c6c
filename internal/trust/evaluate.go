package trust

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

const (
	// MaxSkew is how far clocks of honest machines may differ.
	MaxSkew = 5 * time.Minute
	// maxSequenceJump is how far a release may be ahead of the newest accepted one.
	maxSequenceJump = 1000
)

// earliest is before every teal release: a clock that says less was never set.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Input is all that Evaluate looks at.
type Input struct {
	// Policy is the host's. nil refuses with policy_invalid.
	Policy *Policy
	// Release is what Git wants.
	Release *release.Release
	// Sets are the release resolved for this host: the shared set, if any, and the
	// set of one colour. Host access is judged on them.
	Sets []release.SetSpec
	// Elsewhere names the services that run on other hosts only: they have no containers
	// in Sets, and what they ask of a host is judged there.
	Elsewhere []string
	Evidence  Evidence
	Marks     Marks
	Now       time.Time
	// Never are host paths that no policy can open, besides DefaultNever: this agent's
	// config, state and run directories, the engine's socket and data root, as
	// configured.
	Never []string
	// Edge is the name of teal's edge network on this host, which routed containers
	// join by teal's own doing (release.Host.EdgeNetwork). Empty: no such network.
	Edge string
	// Origin is the name that the app had on this host when its volumes and shared services
	// were made, which keep it; "" for its own.
	Origin string
	// Begun: the release was accepted before and is being deployed; a window that has
	// closed meanwhile does not stop it.
	Begun bool
	// Platform is the host's, for example linux/amd64: scans of another one do not count.
	Platform string
}

// Marks are what the host remembers of an app against going back in time.
type Marks struct {
	// Sequence is the highest accepted one; 0 when none was.
	Sequence int64 `json:"sequence"`
	// Digest is the release that held it; empty when root set the mark by hand.
	Digest release.Digest `json:"digest,omitempty"`
	// Clock is the newest time that the host has seen.
	Clock time.Time `json:"clock,omitzero"`
	// Scans is the newest finishedOn ever seen, trusted, by "<image hex>/<scanner>".
	Scans map[string]time.Time `json:"scans,omitempty"`
	// Emergencies are those that this host accepted for the app in the last 24 hours or
	// that are still a debt, oldest first.
	Emergencies []EmergencyMark `json:"emergencies,omitempty"`
}

// EmergencyMark remembers one emergency that was accepted.
type EmergencyMark struct {
	Digest   release.Digest `json:"digest"`
	Incident string         `json:"incident"`
	At       time.Time      `json:"at"`
	// Settled is when a normal approval of the same digest followed; zero: a debt.
	Settled time.Time `json:"settled,omitzero"`
	// FollowUpBy is when a normal approval is overdue; zero: the policy sets no time.
	FollowUpBy time.Time `json:"followUpBy,omitzero"`
}

// Evaluate judges one release with the evidence at hand, at one time. It is pure,
// fails closed, and reports every reason it finds, in the order of the gates. It
// answers whether the release may be activated; an accepted release that runs keeps
// running when its approval expires.
func Evaluate(in Input) Verdict {
	j := judgement{in: in, policy: in.Policy, fixed: map[string]gateResult{}}
	v := j.at(in.Now)
	for _, t := range j.turningPoints() {
		if t.After(in.Now) {
			if later := j.at(t); later.Accepted != v.Accepted || !reflect.DeepEqual(codes(later.Reasons), codes(v.Reasons)) {
				v.Until = t
				break
			}
		}
	}
	return v
}

// judgement evaluates one input at several times; what does not depend on time is
// done once.
type judgement struct {
	in     Input
	policy *Policy
	fixed  map[string]gateResult
	// signatures are the files of the evidence, verified against the policy's keys.
	signatures []checked
	verified   bool
	// signed is the statement, once read.
	signed    *Statement
	signedErr error
	read      bool
	commits   map[string]commitSigner // by id
	// opens is when the next window opens, as the last look found.
	opens time.Time
	// waived are the waivers of the policy and of signed OpenVEX, once gathered.
	waived   []Waiver
	gathered bool
}

// gateResult is what one gate has to say.
type gateResult struct {
	state   GateState
	detail  string
	who     []string
	reasons []Finding
}

func pass(format string, args ...any) gateResult {
	return gateResult{state: GatePass, detail: fmt.Sprintf(format, args...)}
}

func skipped(detail string) gateResult { return gateResult{state: GateSkipped, detail: detail} }

// refuse makes a gate of reasons: it waits when all of them do, else it fails.
func refuse(reasons ...Finding) gateResult {
	g := gateResult{state: GateWait, detail: reasons[0].Detail, reasons: reasons}
	for _, r := range reasons {
		if !r.Waits {
			g.state = GateFail
		}
	}
	return g
}

func fails(code release.Code, format string, args ...any) gateResult {
	return refuse(found(code, fmt.Sprintf(format, args...), ""))
}

// at judges as if it were now.
func (j *judgement) at(now time.Time) Verdict {
	v := Verdict{At: now}
	add := func(name string, g gateResult) {
		v.Gates = append(v.Gates, Gate{Name: name, State: g.state, Detail: g.detail, Who: g.who})
		v.Reasons = append(v.Reasons, g.reasons...)
	}
	manifest := j.once(GateManifest, j.manifest)
	add(GateManifest, manifest)
	if j.policy != nil {
		v.Policy = j.policy.Fingerprint()
	}
	if manifest.state != GatePass {
		for _, name := range gatesAfterManifest {
			add(name, skipped("not judged: the manifest is refused"))
		}
		return v
	}
	add(GateRepository, j.once(GateRepository, j.repository))
	add(GateSequence, j.once(GateSequence, j.sequence))
	add(GateHostAccess, j.once(GateHostAccess, j.hostAccess))
	add(GatePolicy, j.expired(now))
	add(GateClock, j.clock(now))
	add(GateStatement, j.statement(now))
	who := j.authors(now)
	count := j.count(now, who.persons)
	e, urgent := j.emergency(count, now)
	add(GateEmergency, urgent)
	add(GateApprovals, j.approvals(count, e))
	if e.waives(WaiveApprovals) {
		add(GateDuties, skipped("waived by emergency "+Escape(e.statement.Incident)))
	} else {
		add(GateDuties, j.duties(count, who))
	}
	scans, notes := j.scans(now, e.waives)
	add(GateScans, scans)
	add(GateProvenance, j.provenance(now))
	window, opens := j.windows(now, e)
	add(GateWindow, window)
	v.Observations = slices.Concat(count.observations, j.in.Evidence.Ignored, notes)
	if stale := j.heartbeat(now); stale != nil {
		v.Observations = append(v.Observations, *stale)
	}
	if chain := j.policy.Chain; chain != nil {
		v.Observations = append(v.Observations, *chain)
	}
	v.Signers = count.signers
	v.Seen = j.newest(now)
	v.Accepted = len(v.Reasons) == 0
	if v.Accepted {
		v.Emergency = e.use(urgent, now)
	}
	j.opens = opens
	return v
}

var gatesAfterManifest = []string{GateRepository, GateSequence, GateHostAccess, GatePolicy, GateClock, GateStatement,
	GateEmergency, GateApprovals, GateDuties, GateScans, GateProvenance, GateWindow}

func (j *judgement) once(name string, gate func() gateResult) gateResult {
	g, ok := j.fixed[name]
	if !ok {
		g = gate()
		j.fixed[name] = g
	}
	return g
}

// manifest checks that what was handed in fits together: the release is this host's,
// and the sets are this release, wholly.
func (j *judgement) manifest() gateResult {
	r := j.in.Release
	switch {
	case j.policy == nil:
		return fails(release.PolicyInvalid, "no trust policy is loaded")
	case r == nil:
		return fails(release.ManifestInvalid, "no release to judge")
	case !hexDigest.MatchString(string(r.Digest)):
		return fails(release.ManifestInvalid, "release digest \"%s\" is not 64 hex digits", Escape(string(r.Digest)))
	case r.Environment != j.policy.Environment:
		return fails(release.ReleaseEnvMismatch, "the release is for %s, this host is %s", Escape(r.Environment), j.policy.Environment)
	case !nameForm.MatchString(r.App):
		return fails(release.ManifestInvalid, "\"%s\" is not the name of an app", Escape(r.App))
	case r.Sequence < 1 || r.Sequence > maxJSONInteger:
		return fails(release.ManifestInvalid, "sequence %d is not from 1 to 2^53-1", r.Sequence)
	}
	images, missing := map[string]bool{}, map[string]bool{}
	for _, s := range r.Services {
		if !imageForm.MatchString(s.Image) {
			return fails(release.ManifestInvalid, "service %s: image \"%s\" is not pinned by digest", Escape(s.Name), Escape(s.Image))
		}
		images[s.Name+" "+s.Image] = true
		if s.Replicas > 0 && !slices.Contains(j.in.Elsewhere, s.Name) {
			missing[s.Name] = true
		}
	}
	for _, set := range j.in.Sets {
		if set.App != j.owner(set) || set.ID.Digest != r.Digest {
			return fails(release.ManifestInvalid, "containers of %s %s were handed in for %s %s", Escape(set.App), Escape(set.ID.Digest.Short()), r.App, r.Digest.Short())
		}
		for _, c := range set.Containers {
			if !images[c.Service+" "+c.Image] {
				return fails(release.ManifestInvalid, "container %s would run %s, which the release does not", Escape(c.Name), Escape(c.Image))
			}
			delete(missing, c.Service)
		}
	}
	if len(missing) > 0 {
		return fails(release.ManifestInvalid, "no containers were resolved for %s, so host access cannot be judged", Escape(strings.Join(slices.Sorted(maps.Keys(missing)), ", ")))
	}
	return pass("%s %s of %s, sequence %d", r.App, Escape(r.Version), r.Environment, r.Sequence)
}

// owner is the app that the objects of a set must be of.
func (j *judgement) owner(set release.SetSpec) string {
	if set.ID.Colour == release.Shared && j.in.Origin != "" {
		return j.in.Origin
	}
	return j.in.Release.App
}

// repository compares the repository that the approvers named. teal.yaml itself is
// compared when the commit is read.
func (j *judgement) repository() gateResult {
	s, err := j.parsed()
	if err != nil || s == nil {
		return skipped("no approval names a repository; teal.yaml is compared when the commit is read")
	}
	if s.RepoID != j.policy.RepoID {
		if !j.asks() {
			return skipped("no approval is needed")
		}
		return refuse(found(release.RepoIDMismatch, fmt.Sprintf("the approval is for repository %s, this host takes releases from %s", s.RepoID, j.policy.RepoID),
			"Approve the release in the repository that this host follows; compare repoId in teal.yaml and in /etc/teal/trust.yaml."))
	}
	return pass("%s", s.RepoID)
}

// sequence refuses what is older than what this host has accepted.
func (j *judgement) sequence() gateResult {
	r, m := j.in.Release, j.in.Marks
	floor := j.policy.Minimums.Sequence[r.App]
	if r.Formerly != "" { // a name left behind leaves no floor behind
		floor = max(floor, j.policy.Minimums.Sequence[r.Formerly])
	}
	switch {
	case r.Sequence < m.Sequence:
		return fails(release.SequenceRollback, "sequence %d, but %d was already accepted", r.Sequence, m.Sequence)
	case r.Sequence < floor:
		return fails(release.SequenceRollback, "sequence %d, but minimums.sequence asks for at least %d", r.Sequence, floor)
	case m.Sequence > 0 && r.Sequence == m.Sequence && m.Digest != "" && m.Digest != r.Digest:
		return fails(release.SequenceEquivocation, "sequence %d is release %s here, now it is %s", r.Sequence, Escape(m.Digest.Short()), r.Digest.Short())
	case m.Sequence > 0 && r.Sequence-m.Sequence > maxSequenceJump:
		return fails(release.SequenceJump, "sequence %d after %d; at most %d ahead", r.Sequence, m.Sequence, maxSequenceJump)
	case m.Sequence == 0:
		return pass("%d, the first on this host", r.Sequence)
	default:
		return pass("%d, newest accepted %d", r.Sequence, m.Sequence)
	}
}

func (j *judgement) hostAccess() gateResult {
	if denied := judgeHost(j.in); len(denied) > 0 {
		return refuse(denied...)
	}
	return pass("asks for nothing that the policy does not allow")
}

// asks reports whether the policy asks for any approval.
func (j *judgement) asks() bool { return len(j.policy.Rules().Approvals) > 0 }

// clock refuses to judge expiry with a clock that went back.
func (j *judgement) clock(now time.Time) gateResult {
	switch clock := j.in.Marks.Clock; {
	case !j.timed():
		return skipped("nothing that expires is asked for")
	case now.Before(earliest):
		return fails(release.ClockUntrusted, "the clock says %s", now.UTC().Format(timeForm))
	case now.Before(clock.Add(-MaxSkew)):
		return fails(release.ClockUntrusted, "the clock says %s, but %s has been seen", now.UTC().Format(timeForm), clock.UTC().Format(timeForm))
	default:
		return pass("%s", now.UTC().Format(timeForm))
	}
}

// turningPoints are the times at which the verdict may change, in order.
func (j *judgement) turningPoints() []time.Time {
	if j.once(GateManifest, j.manifest).state != GatePass || !j.timed() {
		return nil // nothing of it depends on time
	}
	rules := j.policy.Rules()
	points := []time.Time{earliest, j.in.Marks.Clock.Add(-MaxSkew), j.policy.ExpiresAt, j.opens}
	key := func(k Key) { points = append(points, k.NotBefore, k.NotAfter) }
	if s, err := j.parsed(); err == nil && s != nil {
		points = append(points, s.IssuedAt.Add(-MaxSkew), s.ExpiresAt)
	}
	for _, c := range j.check() {
		key(c.key)
	}
	for _, c := range j.commits {
		key(c.key)
	}
	for _, a := range j.attested() {
		key(a.Key)
		if a.Scan != nil {
			points = append(points, a.Scan.FinishedOn.Add(-MaxSkew), a.Scan.DBUpdatedAt.Add(-MaxSkew), a.Scan.FinishedOn.Add(rules.Scans[a.Scan.Scanner].MaxAge))
		}
	}
	for _, w := range j.waivers(j.in.Now) {
		points = append(points, w.ExpiresAt)
	}
	for _, m := range j.in.Marks.Emergencies {
		points = append(points, m.At.Add(24*time.Hour))
	}
	for _, w := range rules.Windows {
		points = append(points, w.Closes(j.in.Now))
	}
	slices.SortFunc(points, time.Time.Compare)
	return slices.CompactFunc(points, time.Time.Equal)
}

// timed reports whether the policy asks for anything that time can change.
func (j *judgement) timed() bool {
	rules := j.policy.Rules()
	return j.asks() || len(rules.Scans) > 0 || len(rules.Windows) > 0 || rules.RequireProvenance || !j.policy.ExpiresAt.IsZero()
}

// waivers are those of the policy, and those that the security role signed as OpenVEX.
func (j *judgement) waivers(now time.Time) []Waiver {
	if j.gathered {
		return j.waived
	}
	j.gathered = true
	j.waived = slices.Clone(j.policy.Rules().Waivers)
	for _, a := range j.attested() {
		if a.VEX == nil || !j.policy.HasRole(a.Key.Person, SecurityRole) {
			continue
		}
		if _, gone := j.policy.RevokedKey(a.Key); gone {
			continue
		}
		if code, _ := a.Key.ValidAt(now); code != "" {
			continue
		}
		j.waived = append(j.waived, VEXWaivers(a.VEX, a.Key.Person, j.images())...)
	}
	return j.waived
}

// SecurityRole is the role whose members may sign OpenVEX documents that waive findings.
const SecurityRole = "security"

func codes(findings []Finding) []release.Code {
	var out []release.Code
	for _, f := range findings {
		out = append(out, f.Code)
	}
	return out
}
