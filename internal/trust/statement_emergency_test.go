package trust

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
)

const testReason = "checkout is down for all customers"

func testEmergency(t testing.TB, r *release.Release) Statement {
	t.Helper()
	s, err := NewStatement(r, testRepo, testNow.Add(-time.Hour), testNow.Add(3*time.Hour), allConfirmed, AsEmergency("INC-2041", testReason, WaiveVulnerability, WaiveApprovals, WaiveApprovals))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEmergencyRoundTrip(t *testing.T) {
	s := testEmergency(t, testRelease())
	data := marshal(t, s)
	golden, err := os.ReadFile("testdata/emergency.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, golden) {
		t.Errorf("the form that people sign has changed\ngot  %s\nwant %s", data, golden)
	}
	got, err := ReadStatement(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"approvals", "vulnerability"}, got.Waives); d != "" {
		t.Error("waives are not sorted and unique", d)
	}
}

// TestEmergencyInvalid is attack 68 as far as the statement itself goes.
func TestEmergencyInvalid(t *testing.T) {
	good := string(marshal(t, testEmergency(t, testRelease())))
	const waives = `"waives":["approvals","vulnerability"]`
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in the statement", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	nothing := swap(waives, `"waives":[]`)
	for name, c := range map[string]struct {
		text string
		want release.Code
	}{
		"control":                   {good, ""},
		"waives nothing":            {nothing, ""},
		"reason of 20 characters":   {swap(testReason, "12345678901234567890"), ""},
		"reason not ASCII":          {swap(testReason, "zahlungen gestört, überall"), ""},
		"no incident":               {swap(`"incident":"INC-2041",`, ""), release.EmergencyInvalid},
		"no reason":                 {swap(`,"reason":"`+testReason+`"`, ""), release.EmergencyInvalid},
		"no waives":                 {swap(`,`+waives, ""), release.EmergencyInvalid},
		"incident empty":            {swap("INC-2041", ""), release.EmergencyInvalid},
		"incident of two words":     {swap("INC-2041", "INC 2041"), release.EmergencyInvalid},
		"incident with a line feed": {swap("INC-2041", `INC-2041\n`), release.EmergencyInvalid},
		"incident Cyrillic":         {swap("INC-2041", `IN\u0421-2041`), release.EmergencyInvalid},
		"incident too long":         {swap("INC-2041", strings.Repeat("x", 201)), release.EmergencyInvalid},
		"reason of 19 characters":   {swap(testReason, "1234567890123456789"), release.EmergencyInvalid},
		"reason blank":              {swap(testReason, strings.Repeat(" ", 40)), release.EmergencyInvalid},
		"reason blank around":       {swap(testReason, strings.Repeat(" ", 20)+"down"+strings.Repeat(`\n`, 20)), release.EmergencyInvalid},
		"reason unprintable":        {swap(testReason, strings.Repeat(`\u0001`, 40)), release.EmergencyInvalid},
		"reason too long":           {swap(testReason, strings.Repeat("x", 2001)), release.EmergencyInvalid},
		"waives signatures":         {swap(waives, `"waives":["signatures"]`), release.EmergencyInvalid},
		"waives secrets":            {swap(waives, `"waives":["secrets"]`), release.EmergencyInvalid},
		"waives quarantine":         {swap(waives, `"waives":["quarantine"]`), release.EmergencyInvalid},
		"waives upper case":         {swap(waives, `"waives":["Approvals"]`), release.EmergencyInvalid},
		"waives twice":              {swap(waives, `"waives":["approvals","approvals"]`), release.EmergencyInvalid},
		"waives unsorted":           {swap(waives, `"waives":["vulnerability","approvals"]`), release.EmergencyInvalid},
		"waives too many":           {swap(waives, `"waives":[`+strings.Repeat(`"approvals",`, 40)+`"window"]`), release.EmergencyInvalid},
		"waives a text":             {swap(waives, `"waives":"approvals"`), release.ApprovalMalformed},
		"waives null":               {swap(waives, `"waives":null`), release.ApprovalMalformed},
		"waives a number":           {swap(waives, `"waives":[1]`), release.ApprovalMalformed},
		"incident a number":         {swap(`"INC-2041"`, `2041`), release.ApprovalMalformed},
		"said to be normal":         {swap(`"kind":"emergency"`, `"kind":"normal"`), release.ApprovalMalformed},
		"kind twice":                {swap(`"kind":"emergency"`, `"kind":"emergency","kind":"normal"`), release.ApprovalMalformed},
		"kind in another case":      {swap(`"kind":"emergency"`, `"kind":"Emergency"`), release.ApprovalMalformed},
		"kind unknown":              {strings.NewReplacer(`"kind":"emergency"`, `"kind":"urgent"`, `"incident":"INC-2041",`, "", `,"reason":"`+testReason+`"`, "", `,`+waives, "").Replace(good), release.ApprovalMalformed},
	} {
		_, err := ReadStatement([]byte(c.text))
		var bad *StatementError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.As(err, &bad) || bad.Code != c.want):
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestNormalCarriesNoEmergency: the members exist if and only if it is one, in what is
// written too.
func TestNormalCarriesNoEmergency(t *testing.T) {
	for name, change := range map[string]func(s *Statement){
		"incident":     func(s *Statement) { s.Incident = "INC-1" },
		"reason":       func(s *Statement) { s.Reason = testReason },
		"waives":       func(s *Statement) { s.Waives = []string{WaiveApprovals} },
		"empty waives": func(s *Statement) { s.Waives = []string{} },
	} {
		s := testStatement(t, testRelease())
		change(&s)
		if data, err := s.Marshal(); err == nil {
			t.Errorf("%s: %s", name, data)
		}
	}
	if strings.Contains(string(marshal(t, testStatement(t, testRelease()))), "incident") {
		t.Error("a normal approval has an incident")
	}
}

// TestKindsAreSignedApart: a signature for one kind never verifies as the other's.
func TestKindsAreSignedApart(t *testing.T) {
	seen := map[string]Kind{}
	for _, kind := range []Kind{KindNormal, KindEmergency} {
		namespace := kind.Namespace()
		if other, taken := seen[namespace]; taken || namespace == "" || namespace == NamespaceReject || namespace == NamespacePolicy {
			t.Errorf("%s is signed in %q, as is %q", kind, namespace, other)
		}
		seen[namespace] = kind
		sig, err := ParseSSHSig(sign(t, "ed25519/ann", namespace, []byte("m")))
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{NamespaceApproval, NamespaceEmergency, NamespaceReject, NamespacePolicy, "git", "file", ""} {
			if err := sig.Verify([]byte("m"), other, sig.Key); (err == nil) != (other == namespace) {
				t.Errorf("signed in %q, verified in %q: %v", namespace, other, err)
			}
		}
	}
	if Kind("urgent").Namespace() != "" {
		t.Error("an unknown kind can be signed")
	}
}

// anyStatement draws a statement that Marshal must accept.
func anyStatement(t *rapid.T) Statement {
	name := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?x`)
	hex := rapid.StringMatching(`[0-9a-f]{64}`)
	note := rapid.StringN(0, 60, -1)
	check := func(label string) Check {
		return Check{State: rapid.SampledFrom([]CheckState{Verified, Confirmed, NotApplicable}).Draw(t, label), Note: note.Draw(t, label+" note")}
	}
	var services []release.Service
	for i, image := range rapid.SliceOfN(hex, 0, 4).Draw(t, "images") {
		services = append(services, release.Service{Name: fmt.Sprint("s", i), Image: "registry.example.com/shop@sha256:" + image})
	}
	r := &release.Release{Environment: name.Draw(t, "env"), App: name.Draw(t, "app"), Digest: release.Digest(hex.Draw(t, "digest")),
		Sequence: rapid.Int64Range(1, maxJSONInteger).Draw(t, "sequence"), Services: services,
		PreparedBy: rapid.SampledFrom([]string{"", "ci-bot", "dave@example.com"}).Draw(t, "preparer")}
	issued := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "issued"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds"))
	valid := time.Duration(rapid.Int64Range(1, 1e7).Draw(t, "valid")) * time.Second
	var options []StatementOption
	if rapid.Bool().Draw(t, "emergency") {
		options = append(options, AsEmergency(rapid.StringMatching(`[!-~]{1,40}`).Draw(t, "incident"),
			rapid.StringMatching(`[!-~]{20}`).Draw(t, "reason")+note.Draw(t, "more"), rapid.SliceOf(rapid.SampledFrom(Waivable())).Draw(t, "waives")...))
	}
	s, err := NewStatement(r, testRepo, issued, issued.Add(valid), Checklist{check("tests"), check("scans"), check("staging"), check("migrations"), check("rollback")}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWhatIsWrittenIsRead: writing and reading a statement changes nothing of it, and
// only one byte string is ever written for it.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyStatement(t)
		data, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadStatement(data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if d := cmp.Diff(s, got); d != "" {
			t.Fatal(d)
		}
		again, err := got.Marshal()
		if err != nil || !bytes.Equal(data, again) {
			t.Fatalf("written again as %s, was %s (%v)", again, data, err)
		}
	})
}
