package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

const (
	testRepo   = "5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11"
	testDigest = release.Digest("dc70c9392c96eba9604831e29b9fcdbd96c027a65c534b98f4daadb0b0e7cd12")
	testImage  = "registry.example.com/shop/backend@sha256:d2a3c30d35f30512505895a52afc6dec8129fa47bf0ec9732463dc65dbd5f117"
)

var testNow = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

var allConfirmed = Checklist{Tests: Check{State: Confirmed}, Scans: Check{State: Verified, Note: "trivy, 0 findings"}, Staging: Check{State: Confirmed},
	Migrations: Check{State: NotApplicable}, Rollback: Check{State: Confirmed}}

func testRelease() *release.Release {
	return &release.Release{
		Environment: "production", App: "shop", Digest: testDigest, Version: "v1.2.3", Sequence: 42, PreparedBy: "dave@example.com",
		Services: []release.Service{
			{Name: "backend", Image: testImage, Replicas: 1, Route: &release.Route{Host: "api.example.com", Path: "/", Port: 8000}},
			{Name: "worker", Image: testImage, Replicas: 1},
		},
	}
}

func testStatement(t testing.TB, r *release.Release) Statement {
	t.Helper()
	s, err := NewStatement(r, testRepo, testNow.Add(-time.Hour), testNow.Add(24*time.Hour), allConfirmed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func marshal(t testing.TB, s Statement) []byte {
	t.Helper()
	data, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestStatementRoundTrip(t *testing.T) {
	s := testStatement(t, testRelease())
	data := marshal(t, s)
	golden, err := os.ReadFile("testdata/approval.json")
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
}

func TestStatementMayBeWrittenByHand(t *testing.T) {
	var v any
	if err := json.Unmarshal(marshal(t, testStatement(t, testRelease())), &v); err != nil {
		t.Fatal(err)
	}
	indented, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadStatement(indented)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(testStatement(t, testRelease()), got); d != "" {
		t.Error(d)
	}
}

func TestMalformedStatements(t *testing.T) {
	good := string(marshal(t, testStatement(t, testRelease())))
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in the statement", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	emergency := string(marshal(t, testEmergency(t, testRelease())))
	for name, c := range map[string]struct {
		text string
		want release.Code
	}{
		"control":                {good, ""},
		"an emergency":           {emergency, ""},
		"incident but normal":    {swap(`"predicate":{`, `"predicate":{"incident":"INC-1",`), release.ApprovalMalformed},
		"kind other":             {swap(`"kind":"normal"`, `"kind":"Normal"`), release.ApprovalMalformed},
		"other _type":            {swap("Statement/v1", "Statement/v0.1"), release.ApprovalMalformed},
		"a scan":                 {swap("urn:teal:release-approval:v1", "urn:teal:scan:v1"), release.ApprovalMalformed},
		"unknown at the top":     {swap(`{"_type"`, `{"x":1,"_type"`), release.ApprovalMalformed},
		"unknown in predicate":   {swap(`"predicate":{`, `"predicate":{"role":"devops",`), release.ApprovalMalformed},
		"unknown in checklist":   {swap(`"checklist":{`, `"checklist":{"more":{"state":"verified"},`), release.ApprovalMalformed},
		"unknown in a check":     {swap(`"state":"confirmed"`, `"by":"x","state":"confirmed"`), release.ApprovalMalformed},
		"unknown digest":         {swap(`"digest":{`, `"digest":{"md5":"x",`), release.ApprovalMalformed},
		"wrong case":             {swap(`"sequence"`, `"Sequence"`), release.ApprovalMalformed},
		"twice":                  {swap(`"sequence":42`, `"sequence":42,"sequence":42`), release.ApprovalMalformed},
		"missing":                {swap(`,"sequence":42`, ``), release.ApprovalMalformed},
		"sequence text":          {swap(`"sequence":42`, `"sequence":"42"`), release.ApprovalMalformed},
		"sequence fraction":      {swap(`"sequence":42`, `"sequence":42.0`), release.ApprovalMalformed},
		"sequence zero":          {swap(`"sequence":42`, `"sequence":0`), release.ApprovalMalformed},
		"sequence negative":      {swap(`"sequence":42`, `"sequence":-42`), release.ApprovalMalformed},
		"sequence 2^53":          {swap(`"sequence":42`, `"sequence":9007199254740992`), release.ApprovalMalformed},
		"two subjects":           {swap(`"subject":[`, `"subject":[{"digest":{"sha256":"`+string(testDigest)+`"},"name":"x"},`), release.ApprovalMalformed},
		"no subject":             {good[:strings.Index(good, `"subject":[`)] + `"subject":[]}`, release.ApprovalMalformed},
		"subject of another app": {swap(`environments/production/shop"`, `environments/production/shop2"`), release.ApprovalMalformed},
		"subject with a path":    {swap(`environments/production/shop"`, `environments/production/shop/release.yaml"`), release.ApprovalMalformed},
		"digest upper case":      {swap(string(testDigest), strings.ToUpper(string(testDigest))), release.ApprovalMalformed},
		"digest short":           {swap(string(testDigest), string(testDigest)[:63]), release.ApprovalMalformed},
		"repoId":                 {swap(testRepo, strings.ToUpper(testRepo)), release.ApprovalMalformed},
		"time with fraction":     {swap(`"issuedAt":"2026-11-23T13:00:00Z"`, `"issuedAt":"2026-11-23T13:00:00.5Z"`), release.ApprovalMalformed},
		"time with offset":       {swap(`13:00:00Z`, `13:00:00+00:00`), release.ApprovalMalformed},
		"time lower case":        {swap(`2026-11-23T13:00:00Z`, `2026-11-23t13:00:00z`), release.ApprovalMalformed},
		"time impossible":        {swap(`2026-11-23T13`, `2026-02-30T13`), release.ApprovalMalformed},
		"expires first":          {swap(`"expiresAt":"2026-11-24`, `"expiresAt":"2026-11-22`), release.ApprovalMalformed},
		"image by tag":           {swap(testImage, "registry.example.com/shop/backend:v1"), release.ApprovalMalformed},
		"image twice":            {swap(`"`+testImage+`"`, `"`+testImage+`","`+testImage+`"`), release.ApprovalMalformed},
		"images unsorted":        {swap(`"`+testImage+`"`, `"z@sha256:`+string(testDigest)+`","a@sha256:`+string(testDigest)+`"`), release.ApprovalMalformed},
		"images a text":          {swap(`["`+testImage+`"]`, `"`+testImage+`"`), release.ApprovalMalformed},
		"preparer upper case":    {swap(`dave@example.com`, `Dave@example.com`), release.ApprovalMalformed},
		"preparer Cyrillic":      {swap(`dave@example.com`, `d\u0430ve@example.com`), release.ApprovalMalformed},
		"preparer null":          {swap(`"dave@example.com"`, `null`), release.ApprovalMalformed},
		"state unknown":          {swap(`"state":"verified"`, `"state":"ok"`), release.ApprovalMalformed},
		"note too long":          {swap(`trivy, 0 findings`, strings.Repeat("x", 2001)), release.ApprovalMalformed},
		"checklist incomplete":   {swap(`"rollback":{"state":"confirmed"},`, ``), release.ApprovalMalformed},
		"app a colour":           {strings.ReplaceAll(strings.ReplaceAll(good, `"app":"shop"`, `"app":"shop-blue"`), "production/shop", "production/shop-blue"), release.ApprovalMalformed},
		"an array":               {"[" + good + "]", release.ApprovalMalformed},
		"too long":               {good + strings.Repeat(" ", maxStatement), release.ApprovalMalformed},
		"trailing":               {good + "{}", release.ApprovalMalformed},
		"empty":                  {"", release.ApprovalMalformed},
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

func TestNewStatementRefuses(t *testing.T) {
	for name, change := range map[string]func(r *release.Release){
		"preparer as a person writes it": func(r *release.Release) { r.PreparedBy = "Dave <dave@example.com>" },
		"image by tag":                   func(r *release.Release) { r.Services[0].Image = "backend:v1" },
		"no digest":                      func(r *release.Release) { r.Digest = "" },
		"sequence":                       func(r *release.Release) { r.Sequence = 0 },
	} {
		r := testRelease()
		change(r)
		if s, err := NewStatement(r, testRepo, testNow, testNow.Add(time.Hour), allConfirmed); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if _, err := NewStatement(testRelease(), testRepo, testNow, testNow.Add(time.Hour), Checklist{}); err == nil {
		t.Error("an empty checklist")
	}
}

func FuzzReadStatement(f *testing.F) {
	f.Add(marshal(f, testStatement(f, testRelease())))
	f.Add(marshal(f, testEmergency(f, testRelease())))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadStatement(data)
		if err != nil {
			return
		}
		out, err := s.Marshal()
		if err != nil {
			t.Fatalf("accepted what cannot be written: %v", err)
		}
		again, err := ReadStatement(out)
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if d := cmp.Diff(s, again); d != "" {
			t.Fatal(d)
		}
	})
}
