package trust

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
)

// parsed is the evidence's statement: nil when there is none. Errors are
// *StatementError.
func (j *judgement) parsed() (*Statement, error) {
	if !j.read {
		j.read = true
		switch e := j.in.Evidence; {
		case e.Unreadable != "":
			j.signedErr = &StatementError{release.ApprovalMalformed, e.Unreadable}
		case e.Statement != nil:
			s, err := ReadStatement(e.Statement)
			if err != nil {
				j.signedErr = err
			} else {
				j.signed = &s
			}
		}
	}
	return j.signed, j.signedErr
}

// statement compares what the approvers signed with what would run, and with the
// time.
func (j *judgement) statement(now time.Time) gateResult {
	if !j.asks() {
		return skipped("no approval is needed")
	}
	s, err := j.parsed()
	if err != nil {
		var bad *StatementError
		errors.As(err, &bad)
		return refuse(found(bad.Code, StatementFile+": "+bad.Detail, malformedNext(bad.Code)))
	}
	if s == nil {
		return j.withoutStatement()
	}
	var reasons []Finding
	no := func(code release.Code, format string, args ...any) {
		reasons = append(reasons, found(code, fmt.Sprintf(format, args...), ""))
	}
	r := j.in.Release
	if s.Environment != r.Environment {
		no(release.ApprovalEnvMismatch, "the approval is for %s, the release for %s", s.Environment, r.Environment)
	}
	if s.App != r.App {
		no(release.ApprovalAppMismatch, "the approval is for %s, the release is %s", s.App, r.App)
	}
	if s.Digest != r.Digest {
		no(release.ApprovalDigestMismatch, "release %s was approved, this is %s", s.Digest.Short(), r.Digest.Short())
	}
	if s.Sequence != r.Sequence {
		no(release.ApprovalSequenceMismatch, "sequence %d was approved, the manifest says %d", s.Sequence, r.Sequence)
	}
	if images := Images(r); !slices.Equal(s.Images, images) {
		no(release.ApprovalImageMismatch, "%s", imageDifference(s.Images, images))
	}
	if age := j.policy.Rules().MaxApprovalAge; s.ExpiresAt.Sub(s.IssuedAt) > age {
		no(release.ApprovalTooLong, "it holds for %s, at most %s is allowed", s.ExpiresAt.Sub(s.IssuedAt), age)
	}
	if s.IssuedAt.After(now.Add(MaxSkew)) {
		no(release.ApprovalNotYetValid, "issued at %s, in this host's future", s.IssuedAt.Format(timeForm))
	}
	if !now.Before(s.ExpiresAt) {
		no(release.ApprovalExpired, "expired at %s", s.ExpiresAt.Format(timeForm))
	}
	if len(reasons) > 0 {
		return refuse(reasons...)
	}
	return pass("for exactly this release, until %s", s.ExpiresAt.Format(timeForm))
}

func malformedNext(code release.Code) string {
	if code == release.NotSupportedYet {
		return "Approve the release normally with tealctl approve."
	}
	return ""
}

// withoutStatement tells a release that was changed after its approval from one that
// nobody has approved.
func (j *judgement) withoutStatement() gateResult {
	r := j.in.Release
	for _, o := range j.in.Evidence.Others {
		if o.Sequence == r.Sequence && o.Digest != r.Digest {
			return fails(release.ApprovalDigestMismatch, "release %s was approved with sequence %d, this is %s: the release directory was changed afterwards", o.Digest.Short(), r.Sequence, r.Digest.Short())
		}
	}
	return gateResult{state: GateWait, detail: "no " + StatementFile + " yet"}
}

func imageDifference(approved, runs []string) string {
	var parts []string
	for _, i := range runs {
		if !slices.Contains(approved, i) {
			parts = append(parts, "not approved: "+Escape(i))
		}
	}
	for _, i := range approved {
		if !slices.Contains(runs, i) {
			parts = append(parts, "approved but not in the release: "+Escape(i))
		}
	}
	return strings.Join(parts, "; ")
}

// checked is one signature file, verified as far as that does not depend on time.
type checked struct {
	file string
	key  Key      // zero when err is set
	err  *Finding // why it is not counted
	veto bool     // it rejects the release
}

// check verifies every signature file once, in the order of the names.
func (j *judgement) check() []checked {
	if j.verified {
		return j.signatures
	}
	j.verified = true
	if j.in.Evidence.TooMany || j.in.Evidence.Statement == nil {
		return nil
	}
	files := slices.Clone(j.in.Evidence.Signatures)
	slices.SortFunc(files, func(a, b SignatureFile) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range files {
		j.signatures = append(j.signatures, j.checkOne(f))
	}
	return j.signatures
}

func (j *judgement) checkOne(f SignatureFile) checked {
	not := func(code release.Code, detail string) checked {
		finding := found(code, Escape(f.Name)+": "+detail+", not counted", "")
		return checked{file: f.Name, err: &finding}
	}
	if f.envelope() {
		key, err := j.checkEnvelope(f.Data)
		if err != nil {
			return not(faultOf(err, release.MalformedSignature))
		}
		return checked{file: f.Name, key: key}
	}
	namespace := j.namespace()
	sig, err := ParseSSHSig(f.Data)
	if err != nil {
		return not(faultOf(err, release.MalformedSignature))
	}
	veto := sig.Namespace == NamespaceReject
	key, known := j.policy.KeyOf(sig.Key)
	switch {
	case veto:
		namespace = NamespaceReject
	case !known && sig.Namespace != namespace:
		return not(release.WrongNamespace, fmt.Sprintf("made for namespace \"%s\"", Escape(sig.Namespace)))
	}
	if !known || key.Person == "" {
		return not(release.UnauthorizedSigner, "key "+ssh.FingerprintSHA256(sig.Key)+" is nobody's in the policy")
	}
	// The key of the policy, or the same raw key that it lists in another encoding.
	if err := sig.Verify(j.in.Evidence.Statement, namespace, sig.Key); err != nil {
		return not(faultOf(err, release.MalformedSignature))
	}
	return checked{file: f.Name, key: key, veto: veto}
}

// namespace is the one that signatures of the statement's kind are made for.
func (j *judgement) namespace() string {
	if s, err := j.parsed(); err == nil && s != nil && s.Kind == KindEmergency {
		return NamespaceEmergency
	}
	return NamespaceApproval
}

// checkEnvelope verifies the second form of an approval: a DSSE envelope over exactly
// the bytes of approval.json, by a key of a person.
func (j *judgement) checkEnvelope(data []byte) (Key, error) {
	env, err := ParseEnvelope(data)
	if err != nil {
		return Key{}, err
	}
	if !bytes.Equal(env.Payload, j.in.Evidence.Statement) {
		return Key{}, &SignatureError{release.SignatureInvalid, "signs other bytes than approval.json"}
	}
	key, err := signerOf(env, j.policy.PersonKeys())
	if err == nil {
		return key, nil
	}
	code, detail := faultOf(err, release.MalformedSignature)
	if code == release.AttestationUntrusted {
		code, detail = release.UnauthorizedSigner, "signed by no key of a person in the policy"
	}
	return Key{}, &SignatureError{code, detail}
}

// tally is who agreed, at one time.
type tally struct {
	persons      []string // counted, sorted, each once
	vetoes       []string // persons who reject the release, sorted
	signers      []Signer
	observations []Finding
}

// count turns signatures into persons. not are the persons who changed the release.
func (j *judgement) count(now time.Time, not []string) tally {
	var t tally
	s, err := j.parsed()
	if err != nil || s == nil {
		s = &Statement{}
	}
	for _, c := range j.check() {
		if c.err != nil {
			t.observations = append(t.observations, *c.err)
			continue
		}
		signer := Signer{Person: c.key.Person, Key: c.key.ID, Fingerprint: c.key.Fingerprint(), File: Escape(c.file), Roles: j.rolesHere(c.key.Person), Veto: c.veto}
		why, detail := j.notCounted(c.key, signer.Roles, s, now)
		if c.veto && why == release.SignerPrepared { // whoever prepared a release may well reject it
			why = ""
		}
		if why == "" && !c.veto && slices.Contains(not, c.key.Person) {
			why, detail = release.SignerCommitted, c.key.Person+" signed a commit that changed the release"
		}
		if why != "" {
			signer.Why = why
			t.observations = append(t.observations, found(why, fmt.Sprintf("%s: %s, not counted", Escape(c.file), detail), ""))
		} else {
			signer.Counted = true
			if c.veto {
				t.vetoes = append(t.vetoes, c.key.Person)
			} else if !slices.Contains(t.persons, c.key.Person) {
				t.persons = append(t.persons, c.key.Person)
			}
		}
		t.signers = append(t.signers, signer)
	}
	slices.Sort(t.persons)
	slices.Sort(t.vetoes)
	t.vetoes = slices.Compact(t.vetoes)
	return t
}

// rolesHere are the person's roles that count in this environment: those of its rules,
// and the emergency role for an emergency.
func (j *judgement) rolesHere(person string) []string {
	roles := j.policy.rolesOf(person)
	if e := j.policy.Rules().Emergency; e != nil && j.namespace() == NamespaceEmergency && j.policy.HasRole(person, e.Role) && !slices.Contains(roles, e.Role) {
		roles = append(roles, e.Role)
		slices.Sort(roles)
	}
	return roles
}

// notCounted says why a good signature does not count now.
func (j *judgement) notCounted(key Key, roles []string, s *Statement, now time.Time) (release.Code, string) {
	who := fmt.Sprintf("key %s of %s", key.ID, key.Person)
	rules := j.policy.Rules()
	if reason, yes := j.policy.RevokedKey(key); yes {
		return release.KeyRevoked, fmt.Sprintf("%s is revoked (%s)", who, Escape(reason))
	}
	if code, detail := key.ValidAt(now); code != "" {
		return code, detail
	}
	switch {
	case len(roles) == 0 && len(rules.Approvals) > 0:
		return release.UnauthorizedSigner, fmt.Sprintf("%s has none of the roles that count", key.Person)
	case rules.ExcludePreparer && (key.Person == j.in.Release.PreparedBy || key.Person == s.PreparedBy):
		return release.SignerPrepared, fmt.Sprintf("%s prepared the release", key.Person)
	}
	return "", ""
}

// approvals counts persons against every rule and against the minimum.
func (j *judgement) approvals(count tally, e emergency) gateResult {
	if !j.asks() {
		return skipped("no approval is needed")
	}
	if len(count.vetoes) > 0 {
		g := fails(release.Vetoed, "rejected by %s", strings.Join(count.vetoes, ", "))
		g.who = count.vetoes
		return g
	}
	if j.in.Evidence.TooMany {
		return fails(release.TooManySignatures, "more than %d files in %s", maxSignatures, ApprovalDir(j.in.Release.Environment, j.in.Release.App, j.in.Release.Digest))
	}
	if e.waives(WaiveApprovals) {
		return skipped("waived by emergency " + Escape(e.statement.Incident))
	}
	if e.statement != nil && !e.valid {
		return skipped("the emergency approval is refused")
	}
	var reasons []Finding
	var met []string
	for _, rule := range j.policy.Rules().Approvals {
		members := j.policy.Members(rule.Role)
		var have []string
		for _, person := range count.persons {
			if slices.Contains(members, person) {
				have = append(have, person)
			}
		}
		line := fmt.Sprintf("%d of %d of role %s%s", len(have), rule.Threshold, rule.Role, inBrackets(have))
		if len(have) >= rule.Threshold {
			met = append(met, line)
			continue
		}
		reasons = append(reasons, found(release.ApprovalThreshold, line+j.couldApprove(members, have), j.approveNext()))
	}
	if need := j.policy.Minimums.Approvals; len(reasons) == 0 && len(count.persons) < need {
		reasons = append(reasons, found(release.ApprovalThreshold,
			fmt.Sprintf("%d persons%s, minimums.approvals asks for %d different ones", len(count.persons), inBrackets(count.persons), need), j.approveNext()))
	}
	if len(reasons) > 0 {
		g := refuse(reasons...)
		g.who = count.persons
		return g
	}
	g := pass("%s", strings.Join(met, "; "))
	g.who = count.persons
	return g
}

func (j *judgement) approveNext() string {
	return fmt.Sprintf("Someone of the role runs: tealctl approve %s --env %s", j.in.Release.App, j.in.Release.Environment)
}

// couldApprove names who is left to ask.
func (j *judgement) couldApprove(members, have []string) string {
	var left []string
	for _, person := range members {
		if slices.Contains(have, person) || j.policy.Rules().ExcludePreparer && person == j.in.Release.PreparedBy {
			continue
		}
		left = append(left, person)
	}
	if len(left) == 0 {
		return "; nobody is left who could approve"
	}
	if len(left) > 5 {
		left = append(left[:5:5], "…")
	}
	return "; could approve: " + strings.Join(left, ", ")
}

func inBrackets(persons []string) string {
	if len(persons) == 0 {
		return ""
	}
	return " (" + strings.Join(persons, ", ") + ")"
}

// preparer checks that the preparer, whom the policy does not count, is known: that
// manifest and approval name the same one.
func (j *judgement) preparer(count tally) gateResult {
	r := j.in.Release
	if r.PreparedBy == "" {
		return fails(release.ApprovalPreparerUnknown, "x-teal.preparedBy is missing")
	}
	if s, err := j.parsed(); err == nil && s != nil && s.PreparedBy != r.PreparedBy {
		return fails(release.ApprovalPreparerMismatch, "the manifest says \"%s\", the approval \"%s\"", Escape(r.PreparedBy), Escape(s.PreparedBy))
	}
	if !personForm.MatchString(r.PreparedBy) {
		return fails(release.ApprovalPreparerUnknown, "x-teal.preparedBy \"%s\" is not a lower-case ASCII name", Escape(r.PreparedBy))
	}
	for _, signer := range count.signers {
		if signer.Why == release.SignerPrepared {
			return pass("%s prepared the release and was not counted", Escape(r.PreparedBy))
		}
	}
	return pass("%s prepared the release and is not among the approvers", Escape(r.PreparedBy))
}
