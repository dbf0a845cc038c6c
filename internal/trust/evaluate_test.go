package trust

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

// restate writes the statement anew after a change, as approvers who were shown it
// would have signed it.
func (s *scene) restate(change func(*Statement)) *scene {
	st := testStatement(s.t, s.release)
	change(&st)
	s.statement = marshal(s.t, st)
	return s
}

// enveloped adds an approval as a DSSE envelope.
func (s *scene) enveloped(key string) {
	s.files[strings.ReplaceAll(key, "/", "-")+".dsse.json"] = string(sealed(s.t, "dsse", key, s.statement))
}

// TestAttacks is the table of attacks (research/verification.md 5) within reach of
// approvals, sequences and the policy. Each starts from a scene that is accepted with
// two approvals, which is the control: mend undoes the attack and nothing else.
func TestAttacks(t *testing.T) {
	two := []string{"ed25519/ann", "p256/bob"}
	type attack struct {
		number int
		name   string
		attack func(s *scene)
		want   []release.Code // reasons, in order; nil: accepted
		note   release.Code   // among the observations
	}
	attacks := []attack{
		{0, "two approvals", func(s *scene) { s.approved(two...) }, nil, ""},
		{1, "one approval", func(s *scene) { s.approved("ed25519/ann") }, []release.Code{release.ApprovalThreshold}, ""},
		{1, "no approval", func(s *scene) { s.statement = nil }, []release.Code{release.ApprovalThreshold}, ""},
		{1, "no signature", func(s *scene) {}, []release.Code{release.ApprovalThreshold}, ""},
		{2, "the same file twice", func(s *scene) { s.approved("ed25519/ann"); s.files["copy.sig"] = s.files["ed25519-ann.sig"] }, []release.Code{release.ApprovalThreshold}, ""},
		{3, "two signatures by one key", func(s *scene) {
			s.approved("p256/bob")
			again, err := SignSSH(randomSigner{sshSigner(t, "p256/bob")}, NamespaceApproval, s.statement)
			if err != nil {
				t.Fatal(err)
			}
			s.files["again.sig"] = string(again)
			if s.files["again.sig"] == s.files["p256-bob.sig"] {
				t.Error("ECDSA signed the same twice")
			}
		}, []release.Code{release.ApprovalThreshold}, ""},
		{4, "two keys of one person", func(s *scene) { s.approved("ed25519/ann", "p256/ann") }, []release.Code{release.ApprovalThreshold}, ""},
		{5, "the same key as DSSE", func(s *scene) { s.approved("ed25519/ann"); s.enveloped("ed25519/ann") }, []release.Code{release.ApprovalThreshold}, ""},
		{5, "one as SSH signature, one as DSSE", func(s *scene) { s.approved("ed25519/ann"); s.enveloped("p256/bob") }, nil, ""},
		{5, "two as DSSE", func(s *scene) { s.enveloped("p256/ann"); s.enveloped("p256/bob") }, nil, ""},
		{5, "DSSE over other bytes", func(s *scene) {
			s.approved("ed25519/ann")
			s.files["bob.dsse.json"] = string(sealed(t, "dsse", "p256/bob", []byte(`{"a":1}`)))
		}, []release.Code{release.ApprovalThreshold}, release.SignatureInvalid},
		{5, "DSSE by a stranger", func(s *scene) { s.approved("ed25519/ann"); s.enveloped("p256/stranger") }, []release.Code{release.ApprovalThreshold}, release.UnauthorizedSigner},
		{7, "the release was changed afterwards", func(s *scene) {
			s.approved(two...)
			s.more["approvals/production/shop/"+string(testDigest)+"/approval.json"] = string(s.statement)
			s.release.Digest, s.statement, s.files = otherDigest, nil, nil
			s.marks = Marks{}
		}, []release.Code{release.ApprovalDigestMismatch, release.ApprovalThreshold}, ""},
		{8, "the statement was re-indented", func(s *scene) {
			s.approved(two...)
			s.statement = []byte(strings.Replace(string(s.statement), ",", ", ", 1))
		}, []release.Code{release.ApprovalThreshold}, release.SignatureInvalid},
		{9, "approval for staging", func(s *scene) {
			s.restate(func(st *Statement) { st.Environment = "staging" }).approved(two...)
		}, []release.Code{release.ApprovalEnvMismatch}, ""},
		{9, "release for staging", func(s *scene) {
			s.release.Environment = "staging"
			s.restate(func(*Statement) {}).approved(two...)
		}, []release.Code{release.ReleaseEnvMismatch}, ""},
		{10, "approval for another app", func(s *scene) {
			s.restate(func(st *Statement) { st.App = "shop2" }).approved(two...)
		}, []release.Code{release.ApprovalAppMismatch}, ""},
		{11, "approval for another repository", func(s *scene) {
			s.restate(func(st *Statement) { st.RepoID = strings.Replace(testRepo, "5", "6", 1) }).approved(two...)
		}, []release.Code{release.RepoIDMismatch}, ""},
		{12, "namespace git", func(s *scene) {
			s.approved("ed25519/ann")
			s.files["bob.sig"] = string(sign(t, "p256/bob", "git", s.statement))
		}, []release.Code{release.ApprovalThreshold}, release.WrongNamespace},
		{12, "namespace file", func(s *scene) {
			s.approved("ed25519/ann")
			s.files["bob.sig"] = string(sign(t, "p256/bob", "file", s.statement))
		}, []release.Code{release.ApprovalThreshold}, release.WrongNamespace},
		{12, "namespace of emergencies", func(s *scene) {
			s.approved("ed25519/ann")
			s.files["bob.sig"] = string(sign(t, "p256/bob", "teal-emergency-v1", s.statement))
		}, []release.Code{release.ApprovalThreshold}, release.WrongNamespace},
		{13, "signer without the role", func(s *scene) { s.approved("ed25519/ann", "ed25519/eve") }, []release.Code{release.ApprovalThreshold}, release.UnauthorizedSigner},
		{13, "signer unknown", func(s *scene) { s.approved("ed25519/ann", "ed25519/mallory") }, []release.Code{release.ApprovalThreshold}, release.UnauthorizedSigner},
		{14, "key expired", func(s *scene) { s.approved("ed25519/ann", "ed25519/carol-old") }, []release.Code{release.ApprovalThreshold}, release.KeyExpired},
		{14, "key not yet valid", func(s *scene) { s.approved("ed25519/ann", "ed25519/carol-next") }, []release.Code{release.ApprovalThreshold}, release.KeyNotYetValid},
		{14, "key revoked", func(s *scene) { s.approved("ed25519/ann", "p384") }, []release.Code{release.ApprovalThreshold}, release.KeyRevoked},
		{14, "key revoked, others do", func(s *scene) { s.approved("ed25519/ann", "p256/bob", "p384") }, nil, release.KeyRevoked},
		{15, "expired", func(s *scene) { s.approved(two...); s.now = testNow.Add(24 * time.Hour) }, []release.Code{release.ApprovalExpired}, ""},
		{15, "a second before", func(s *scene) { s.approved(two...); s.now = testNow.Add(24*time.Hour - time.Second) }, nil, ""},
		{16, "issued in the future", func(s *scene) {
			s.restate(func(st *Statement) { st.IssuedAt = testNow.Add(MaxSkew + time.Second) }).approved(two...)
		}, []release.Code{release.ApprovalNotYetValid}, ""},
		{16, "issued within the skew", func(s *scene) {
			s.restate(func(st *Statement) { st.IssuedAt = testNow.Add(MaxSkew) }).approved(two...)
		}, nil, ""},
		{16, "lives too long", func(s *scene) {
			s.restate(func(st *Statement) { st.ExpiresAt = st.IssuedAt.Add(168*time.Hour + time.Second) }).approved(two...)
		}, []release.Code{release.ApprovalTooLong}, ""},
		{16, "lives as long as allowed", func(s *scene) {
			s.restate(func(st *Statement) { st.ExpiresAt = st.IssuedAt.Add(168 * time.Hour) }).approved(two...)
		}, nil, ""},
		{16, "expires before it is issued", func(s *scene) {
			s.statement = []byte(strings.Replace(string(s.statement), `"expiresAt":"2026-11-24`, `"expiresAt":"2026-11-22`, 1))
			s.approved(two...)
		}, []release.Code{release.ApprovalMalformed}, ""},
		{17, "sequence rolled back", func(s *scene) { s.approved(two...); s.marks.Sequence = 43 }, []release.Code{release.SequenceRollback}, ""},
		{17, "the live one again", func(s *scene) { s.approved(two...); s.marks = Marks{Sequence: 42, Digest: testDigest} }, nil, ""},
		{17, "below the floor", func(s *scene) { s.approved(two...); s.swapPolicy("{shop: 7}", "{shop: 43}") }, []release.Code{release.SequenceRollback}, ""},
		{17, "at the floor", func(s *scene) { s.approved(two...); s.swapPolicy("{shop: 7}", "{shop: 42}") }, nil, ""},
		{18, "equivocation", func(s *scene) { s.approved(two...); s.marks = Marks{Sequence: 42, Digest: otherDigest} }, []release.Code{release.SequenceEquivocation}, ""},
		{18, "the same number, mark set by root", func(s *scene) { s.approved(two...); s.marks = Marks{Sequence: 42} }, nil, ""},
		{19, "fast forward", func(s *scene) {
			s.release.Sequence = maxJSONInteger
			s.restate(func(*Statement) {}).approved(two...)
		}, []release.Code{release.SequenceJump}, ""},
		{19, "1001 ahead", func(s *scene) {
			s.release.Sequence = 41 + 1001
			s.restate(func(*Statement) {}).approved(two...)
		}, []release.Code{release.SequenceJump}, ""},
		{19, "1000 ahead", func(s *scene) {
			s.release.Sequence = 41 + 1000
			s.restate(func(*Statement) {}).approved(two...)
		}, nil, ""},
		{19, "a fresh host joins late", func(s *scene) {
			s.release.Sequence, s.marks = 90000, Marks{}
			s.restate(func(*Statement) {}).approved(two...)
		}, nil, ""},
		{19, "sequence beyond 2^53", func(s *scene) { s.approved(two...); s.release.Sequence = maxJSONInteger + 1 }, []release.Code{release.ManifestInvalid}, ""},
		{19, "sequence in the approval a text", func(s *scene) {
			s.statement = []byte(strings.Replace(string(s.statement), `"sequence":42`, `"sequence":"42"`, 1))
			s.approved(two...)
		}, []release.Code{release.ApprovalMalformed}, ""},
		{19, "sequence of the approval differs", func(s *scene) {
			s.restate(func(st *Statement) { st.Sequence = 43 }).approved(two...)
		}, []release.Code{release.ApprovalSequenceMismatch}, ""},
		{20, "the preparer approves", func(s *scene) { s.approved("ed25519/ann", "ed25519/dave") }, []release.Code{release.ApprovalThreshold}, release.SignerPrepared},
		{20, "the preparer and two others", func(s *scene) { s.approved("ed25519/ann", "ed25519/dave", "p256/bob") }, nil, release.SignerPrepared},
		{20, "manifest names another preparer", func(s *scene) {
			s.restate(func(st *Statement) { st.PreparedBy = "ci-bot" }).approved("ed25519/dave", "ed25519/ann", "p256/bob")
		}, []release.Code{release.ApprovalPreparerMismatch}, release.SignerPrepared},
		{20, "no preparer", func(s *scene) {
			s.release.PreparedBy = ""
			s.restate(func(*Statement) {}).approved("ed25519/dave", "ed25519/ann")
		}, []release.Code{release.ApprovalPreparerUnknown}, ""},
		{20, "no preparer, none asked for", func(s *scene) {
			s.release.PreparedBy = ""
			s.swapPolicy("excludePreparer: true", "excludePreparer: false")
			s.restate(func(*Statement) {}).approved("ed25519/dave", "ed25519/ann")
		}, nil, ""},
		{21, "an image more", func(s *scene) {
			s.restate(func(st *Statement) { st.Images = append(st.Images, "z/z@sha256:"+string(testDigest)) }).approved(two...)
		}, []release.Code{release.ApprovalImageMismatch}, ""},
		{21, "an image less", func(s *scene) { s.restate(func(st *Statement) { st.Images = nil }).approved(two...) }, []release.Code{release.ApprovalImageMismatch}, ""},
		{21, "another registry", func(s *scene) {
			s.restate(func(st *Statement) {
				st.Images = []string{strings.Replace(testImage, "registry.", "registry2.", 1)}
			}).approved(two...)
		}, []release.Code{release.ApprovalImageMismatch}, ""},
		{22, "image by tag", func(s *scene) { s.approved(two...); s.release.Services[0].Image = "backend:latest" }, []release.Code{release.ManifestInvalid}, ""},
		{37, "clock before what was seen", func(s *scene) { s.approved(two...); s.marks.Clock = testNow.Add(MaxSkew + time.Second) }, []release.Code{release.ClockUntrusted}, ""},
		{37, "clock a little before", func(s *scene) { s.approved(two...); s.marks.Clock = testNow.Add(MaxSkew) }, nil, ""},
		{37, "clock never set", func(s *scene) {
			s.approved(two...)
			s.now, s.marks.Clock = time.Unix(0, 0), time.Time{}
		}, []release.Code{release.ClockUntrusted, release.ApprovalNotYetValid}, ""},
		{49, "duplicate member", func(s *scene) {
			s.statement = []byte(strings.Replace(string(s.statement), `"sequence":42`, `"sequence":42,"sequence":42`, 1))
			s.approved(two...)
		}, []release.Code{release.ApprovalMalformed}, ""},
		{50, "trailing bytes", func(s *scene) { s.statement = append(s.statement, "{}"...); s.approved(two...) }, []release.Code{release.ApprovalMalformed}, ""},
		{57, "statement of another release in this directory", func(s *scene) {
			s.restate(func(st *Statement) { st.Digest = otherDigest }).approved(two...)
		}, []release.Code{release.ApprovalDigestMismatch}, ""},
		{59, "65 files", func(s *scene) {
			s.approved(two...)
			for i := range 63 {
				s.files[fmt.Sprintf("x%02d.sig", i)] = "x"
			}
		}, []release.Code{release.TooManySignatures}, ""},
		{60, "62 garbage files and two good ones", func(s *scene) {
			s.approved(two...)
			for i := range 62 {
				s.files[fmt.Sprintf("x%02d.sig", i)] = "x"
			}
		}, nil, release.MalformedSignature},
		{61, "a veto", func(s *scene) {
			s.approved(two...)
			s.files["no.sig"] = string(sign(t, "rsa3072", NamespaceReject, s.statement))
		}, []release.Code{release.Vetoed}, ""},
		{61, "a veto by nobody of the role", func(s *scene) {
			s.approved(two...)
			s.files["no.sig"] = string(sign(t, "ed25519/eve", NamespaceReject, s.statement))
		}, nil, release.UnauthorizedSigner},
		{61, "a veto by a stranger", func(s *scene) {
			s.approved(two...)
			s.files["no.sig"] = string(sign(t, "ed25519/stranger", NamespaceReject, s.statement))
		}, nil, release.UnauthorizedSigner},
		{61, "a veto by the preparer", func(s *scene) {
			s.approved(two...)
			s.files["no.sig"] = string(sign(t, "ed25519/dave", NamespaceReject, s.statement))
		}, []release.Code{release.Vetoed}, ""},
		{61, "a veto with a revoked key", func(s *scene) {
			s.approved(two...)
			s.files["no.sig"] = string(sign(t, "p384", NamespaceReject, s.statement))
		}, nil, release.KeyRevoked},
		{68, "an emergency", func(s *scene) {
			s.statement = []byte(strings.NewReplacer(`"kind":"normal"`, `"kind":"emergency"`, `"predicate":{`, `"predicate":{"incident":"INC-1","reason":"all is down, really","waives":["approvals"],`).Replace(string(s.statement)))
			s.files["ann.sig"] = string(sign(t, "ed25519/ann", "teal-emergency-v1", s.statement))
		}, []release.Code{release.EmergencyInvalid, release.ApprovalThreshold}, ""},
		{72, "leading junk", func(s *scene) {
			s.approved(two...)
			s.files["p256-bob.sig"] = "x\n" + s.files["p256-bob.sig"]
		}, []release.Code{release.ApprovalThreshold}, release.MalformedSignature},
		{72, "carriage returns", func(s *scene) {
			s.approved(two...)
			s.files["p256-bob.sig"] = strings.ReplaceAll(s.files["p256-bob.sig"], "\n", "\r\n")
		}, []release.Code{release.ApprovalThreshold}, release.MalformedSignature},
		{0, "minimum of persons over two roles", func(s *scene) {
			s.swapPolicy("members: [eve@example.com]", "members: [ann@example.com]")
			s.swapPolicy("[{role: devops, threshold: 2}]", "[{role: devops, threshold: 1}, {role: audit, threshold: 1}]")
			s.approved("ed25519/ann")
		}, []release.Code{release.ApprovalThreshold}, ""},
		{0, "two roles, two persons", func(s *scene) {
			s.swapPolicy("[{role: devops, threshold: 2}]", "[{role: devops, threshold: 1}, {role: audit, threshold: 1}]")
			s.approved("ed25519/ann", "ed25519/eve")
		}, nil, ""},
	}
	for _, a := range attacks {
		t.Run(fmt.Sprintf("%d %s", a.number, a.name), func(t *testing.T) {
			s := newScene(t)
			a.attack(s)
			v := s.judge()
			if d := cmp.Diff(a.want, codes(v.Reasons)); d != "" {
				t.Errorf("reasons\n%s%s", d, pretty(v))
			}
			if v.Accepted != (len(a.want) == 0) {
				t.Errorf("accepted %v", v.Accepted)
			}
			if a.note != "" && !slices.Contains(codes(v.Observations), a.note) {
				t.Errorf("no observation %s\n%s", a.note, pretty(v))
			}
			checkShape(t, v)
		})
	}
}

// checkShape: what holds for every verdict.
func checkShape(t *testing.T, v Verdict) {
	t.Helper()
	var names []string
	bad := 0
	for _, g := range v.Gates {
		names = append(names, g.Name)
		if g.State == GateFail || g.State == GateWait {
			bad++
		}
	}
	want := slices.Concat([]string{GateManifest}, gatesAfterManifest)
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	if v.Accepted != (bad == 0) || v.Accepted != (len(v.Reasons) == 0) {
		t.Errorf("gates, reasons and answer disagree\n%s", pretty(v))
	}
	for _, f := range append(slices.Clone(v.Reasons), v.Observations...) {
		if _, ok := release.Lookup(f.Code); !ok {
			t.Errorf("%s is not in the table of reasons", f.Code)
		}
		if f.Detail == "" || f.Next == "" {
			t.Errorf("%s says too little: %+v", f.Code, f)
		}
		if strings.ContainsAny(f.Detail+f.Next, "\n\r\x1b\u202e") {
			t.Errorf("%s carries a control character: %+q", f.Code, f.Detail+f.Next)
		}
	}
	if !v.Until.IsZero() && !v.Until.After(v.At) {
		t.Errorf("until %s is not after %s", v.Until, v.At)
	}
}

func pretty(v Verdict) string {
	out, _ := json.MarshalIndent(v, "", "  ")
	return string(out)
}

func TestStagingNeedsNoApproval(t *testing.T) {
	s := newScene(t)
	s.policy = strings.NewReplacer("environment: production", "environment: staging", "minimums: {approvals: 2,", "minimums: {").Replace(s.policy)
	s.release.Environment, s.release.PreparedBy = "staging", ""
	for name, statement := range map[string][]byte{"none": nil, "garbage": []byte("{"), "another's": newScene(t).statement} {
		s.statement = statement
		v := s.judge()
		if !v.Accepted || !v.Until.IsZero() {
			t.Errorf("%s: %s", name, pretty(v))
		}
		checkShape(t, v)
	}
	// What protects the host itself is judged there too.
	s.marks.Sequence = 43
	s.swapPolicy("routes: [api.example.com]", "routes: []")
	if got := codes(s.judge().Reasons); !slices.Equal(got, []release.Code{release.SequenceRollback, release.HostAccessDenied}) {
		t.Errorf("%v", got)
	}
}

func TestNothingToJudge(t *testing.T) {
	in := newScene(t).approved("ed25519/ann", "p256/bob").input()
	for name, c := range map[string]struct {
		change func(*Input)
		want   release.Code
	}{
		"no policy":               {func(in *Input) { in.Policy = nil }, release.PolicyInvalid},
		"no release":              {func(in *Input) { in.Release = nil }, release.ManifestInvalid},
		"no sets":                 {func(in *Input) { in.Sets = nil }, release.ManifestInvalid},
		"only the shared set":     {func(in *Input) { in.Sets = in.Sets[1:] }, release.ManifestInvalid},
		"sets of another release": {func(in *Input) { in.Sets[0].ID.Digest = otherDigest }, release.ManifestInvalid},
		"sets of another app":     {func(in *Input) { in.Sets[0].App = "other" }, release.ManifestInvalid},
		"another image is run":    {func(in *Input) { in.Sets[0].Containers[0].Image = "evil@sha256:" + string(testDigest) }, release.ManifestInvalid},
		"nothing at all":          {func(in *Input) { *in = Input{} }, release.PolicyInvalid},
	} {
		changed := in
		changed.Sets = testSets(in.Release)
		c.change(&changed)
		v := Evaluate(changed)
		if v.Accepted || v.Reason().Code != c.want || v.Waits() {
			t.Errorf("%s: %s", name, pretty(v))
		}
		checkShape(t, v)
	}
}

// TestReasonsComeInTheOrderOfTheGates: everything wrong at once, all of it reported.
func TestReasonsComeInTheOrderOfTheGates(t *testing.T) {
	s := newScene(t)
	s.swapPolicy("routes: [api.example.com]", "routes: []")
	s.marks = Marks{Sequence: 43, Clock: testNow.Add(time.Hour)}
	s.restate(func(st *Statement) {
		st.RepoID, st.Environment, st.App = strings.Replace(testRepo, "5", "6", 1), "staging", "other"
		st.Digest, st.Sequence, st.Images, st.PreparedBy = otherDigest, 1, nil, "ci-bot"
		st.IssuedAt, st.ExpiresAt = testNow.Add(-400*time.Hour), testNow.Add(-time.Hour)
	})
	want := []release.Code{release.RepoIDMismatch, release.SequenceRollback, release.HostAccessDenied, release.ClockUntrusted, release.ApprovalEnvMismatch,
		release.ApprovalAppMismatch, release.ApprovalDigestMismatch, release.ApprovalSequenceMismatch, release.ApprovalImageMismatch, release.ApprovalTooLong,
		release.ApprovalExpired, release.ApprovalThreshold, release.ApprovalPreparerMismatch}
	v := s.judge()
	if d := cmp.Diff(want, codes(v.Reasons)); d != "" {
		t.Error(d)
	}
	checkShape(t, v)
}

func TestVerdictSaysWhoAndWhatIsMissing(t *testing.T) {
	v := newScene(t).approved("ed25519/ann", "ed25519/dave").judge()
	if !v.Waits() {
		t.Errorf("only a person is missing: %s", pretty(v))
	}
	want := Finding{Code: release.ApprovalThreshold, Waits: true,
		Detail: "1 of 2 of role devops (ann@example.com); could approve: bob@example.com, carol@example.com, frank@example.com",
		Next:   "Someone of the role runs: tealctl approve shop --env production"}
	if d := cmp.Diff(want, v.Reason()); d != "" {
		t.Error(d)
	}
	var signers []string
	for _, s := range v.Signers {
		signers = append(signers, fmt.Sprintf("%s %s %v %s", s.Person, s.Key, s.Counted, s.Why))
	}
	if d := cmp.Diff([]string{"ann@example.com ann-1 true ", "dave@example.com dave-1 false signer_prepared"}, signers); d != "" {
		t.Error(d)
	}
	v = newScene(t).approved("ed25519/ann", "p256/bob").judge()
	for _, g := range v.Gates {
		if g.Name == GateApprovals && !slices.Equal(g.Who, []string{"ann@example.com", "bob@example.com"}) {
			t.Errorf("%+v", g)
		}
	}
}

func TestVerdictIsStoredAndReadBack(t *testing.T) {
	for _, names := range [][]string{{"ed25519/ann"}, {"ed25519/ann", "p256/bob"}} {
		v := newScene(t).approved(names...).judge()
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got Verdict
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(v, got); d != "" {
			t.Error(d)
		}
	}
}

func TestUntil(t *testing.T) {
	july := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		make  func(s *scene)
		until time.Time
	}{
		{"accepted until it expires", func(s *scene) { s.approved("ed25519/ann", "p256/bob") }, testNow.Add(24 * time.Hour)},
		{"accepted until a key expires", func(s *scene) {
			s.now, s.marks.Clock = july.Add(-40*24*time.Hour), time.Time{}
			s.restate(func(st *Statement) { st.IssuedAt, st.ExpiresAt = s.now, s.now.Add(168*time.Hour) })
			s.swapPolicy("notAfter: 2026-06-01T00:00:00Z", "notAfter: 2026-05-25T00:00:00Z")
			s.approved("ed25519/ann", "ed25519/carol-old")
		}, time.Date(2026, 5, 25, 0, 0, 0, 0, time.UTC)},
		{"accepted beyond a key that is not needed", func(s *scene) {
			s.now, s.marks.Clock = july.Add(-40*24*time.Hour), time.Time{}
			s.restate(func(st *Statement) { st.IssuedAt, st.ExpiresAt = s.now, s.now.Add(168*time.Hour) })
			s.swapPolicy("notAfter: 2026-06-01T00:00:00Z", "notAfter: 2026-05-25T00:00:00Z")
			s.approved("ed25519/ann", "p256/bob", "ed25519/carol-old")
		}, july.Add(-33 * 24 * time.Hour)},
		{"refused until it is valid", func(s *scene) {
			s.restate(func(st *Statement) { st.IssuedAt = testNow.Add(time.Hour) }).approved("ed25519/ann", "p256/bob")
		}, testNow.Add(time.Hour - MaxSkew)},
		{"refused until a key is valid", func(s *scene) {
			s.swapPolicy("notBefore: 2027-01-01T00:00:00Z", "notBefore: 2026-11-23T15:00:00Z")
			s.approved("ed25519/ann", "ed25519/carol-next")
		}, testNow.Add(time.Hour)},
		{"refused until the clock has caught up", func(s *scene) {
			s.marks.Clock = testNow.Add(time.Hour)
			s.approved("ed25519/ann", "p256/bob")
		}, testNow.Add(time.Hour - MaxSkew)},
		{"waiting for a person until it expires", func(s *scene) { s.approved("ed25519/ann") }, testNow.Add(24 * time.Hour)},
		{"waiting for a person, no statement", func(s *scene) { s.statement = nil }, time.Time{}},
		{"expired for good", func(s *scene) { s.approved("ed25519/ann", "p256/bob"); s.now = testNow.Add(48 * time.Hour) }, time.Time{}},
		{"rolled back for good", func(s *scene) { s.statement = nil; s.marks.Sequence = 43 }, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			c.make(s)
			v := s.judge()
			if !v.Until.Equal(c.until) {
				t.Fatalf("until %s, want %s\n%s", v.Until, c.until, pretty(v))
			}
			if c.until.IsZero() {
				return
			}
			s.now = c.until.Add(-time.Second)
			before := s.judge()
			s.now = c.until
			after := s.judge()
			if !slices.Equal(codes(before.Reasons), codes(v.Reasons)) || slices.Equal(codes(after.Reasons), codes(v.Reasons)) {
				t.Errorf("changes from %v over %v to %v", codes(v.Reasons), codes(before.Reasons), codes(after.Reasons))
			}
		})
	}
}
