package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// TestStatementAttacks are rows 16, 19, 49 and 50 of the catalogue of attacks as far as
// the statement's own bytes go; both kinds of statement are read by the same rules.
func TestStatementAttacks(t *testing.T) {
	for _, kind := range []Kind{KindNormal, KindEmergency} {
		s := testStatement(t, testRelease())
		if kind == KindEmergency {
			s = testEmergency(t, testRelease())
		}
		good := string(marshal(t, s))
		swap := func(old, new string) string {
			if !strings.Contains(good, old) {
				t.Fatalf("no %s in the statement", old)
			}
			return strings.Replace(good, old, new, 1)
		}
		at := func(member string, value time.Time) string {
			return `"` + member + `":"` + value.Format(timeForm) + `"`
		}
		issued, expires := at("issuedAt", s.IssuedAt), at("expiresAt", s.ExpiresAt)
		for _, c := range []struct {
			row  int
			what string
			text string
		}{
			{16, "expires before it is issued", swap(expires, at("expiresAt", s.IssuedAt.Add(-time.Second)))},
			{16, "expires as it is issued", swap(expires, at("expiresAt", s.IssuedAt))},
			{16, "issued before the epoch", swap(issued, `"issuedAt":"1969-12-31T23:59:59Z"`)},
			{16, "a leap second", swap(issued, `"issuedAt":"2026-11-23T13:59:60Z"`)},
			{16, "a time of five digits of year", swap(expires, `"expiresAt":"12026-11-23T14:00:00Z"`)},
			{19, "sequence 2^53", swap(`"sequence":42`, `"sequence":9007199254740992`)},
			{19, "sequence of 400 digits", swap(`"sequence":42`, `"sequence":`+strings.Repeat("9", 400))},
			{19, "sequence negative", swap(`"sequence":42`, `"sequence":-1`)},
			{19, "sequence minus nought", swap(`"sequence":42`, `"sequence":-0`)},
			{19, "sequence a float", swap(`"sequence":42`, `"sequence":42.0`)},
			{19, "sequence with exponent", swap(`"sequence":42`, `"sequence":42e0`)},
			{19, "sequence with leading nought", swap(`"sequence":42`, `"sequence":042`)},
			{19, "sequence text", swap(`"sequence":42`, `"sequence":"42"`)},
			{19, "sequence null", swap(`"sequence":42`, `"sequence":null`)},
			{19, "sequence a list", swap(`"sequence":42`, `"sequence":[42]`)},
			{49, "the predicate twice", swap(`"predicateType"`, `"predicate":{},"predicateType"`)},
			{49, "the sequence twice", swap(`"sequence":42`, `"sequence":42,"sequence":43`)},
			{49, "the sequence twice, once escaped", swap(`"sequence":42`, `"sequence":42,"\u0073equence":43`)},
			{49, "the sequence twice, in two cases", swap(`"sequence":42`, `"Sequence":43,"sequence":42`)},
			{49, "a state twice", swap(`"state":"confirmed"`, `"state":"confirmed","state":"verified"`)},
			{49, "a digest twice", swap(`"sha256":"`, `"sha256":"`+strings.Repeat("0", 64)+`","sha256":"`)},
			{50, "a byte order mark", "\ufeff" + good},
			{50, "a second value", good + good},
			{50, "a byte behind it", good + "\x00"},
			{50, "not UTF-8", swap(`dave@`, "d\xffve@")},
			{50, "half a surrogate pair", swap(`dave@`, `d\ud800ve@`)},
			{50, "NaN", swap(`"sequence":42`, `"sequence":NaN`)},
			{50, "a comment", swap(`"sequence":42`, `/* */"sequence":42`)},
			{50, "a comma at the end", swap(`"sequence":42`, `"sequence":42,`)},
			{50, "100000 brackets", strings.Repeat("[", 100000)},
			{50, "17 deep", swap(`"sequence":42`, `"sequence":`+strings.Repeat("[", 17)+strings.Repeat("]", 17))},
			{50, "longer than 64 KiB", good + strings.Repeat("\n", maxStatement)},
			{50, "a note of megabytes", swap(`trivy, 0 findings`, strings.Repeat("x", 4<<20))},
			{50, "1001 images", swap(`"`+testImage+`"`, manyImages(1001))},
		} {
			_, err := ReadStatement([]byte(c.text))
			var bad *StatementError
			if !errors.As(err, &bad) || bad.Code != release.ApprovalMalformed {
				t.Errorf("%d %s (%s): %v, want approval_malformed", c.row, c.what, kind, err)
			} else if len(bad.Detail) > 5*maxShown || strings.ContainsFunc(bad.Detail, func(r rune) bool { return r < ' ' || r == '\ufeff' }) {
				t.Errorf("%d %s (%s): detail is not fit to print: %.200q", c.row, c.what, kind, bad.Detail)
			}
		}
	}
}

// manyImages lists n images, sorted, without the outer brackets. Only the limit is
// wrong with it.
func manyImages(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"a%04d@sha256:%064d"`, i, i))
	}
	return strings.Join(list, ",")
}

// TestIndentedIsOtherBytes is row 8: a statement that was indented anew says the same,
// and no signature over the old bytes verifies over the new ones.
func TestIndentedIsOtherBytes(t *testing.T) {
	for _, s := range []Statement{testStatement(t, testRelease()), testEmergency(t, testRelease())} {
		data := marshal(t, s)
		sig, err := ParseSSHSig(sign(t, "ed25519/ann", s.Kind.Namespace(), data))
		if err != nil {
			t.Fatal(err)
		}
		if err := sig.Verify(data, s.Kind.Namespace(), sig.Key); err != nil { // the control
			t.Fatal(err)
		}
		indented, err := json.MarshalIndent(json.RawMessage(data), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadStatement(indented); err != nil {
			t.Errorf("%s, indented: %v", s.Kind, err)
		}
		for what, other := range map[string][]byte{"indented": indented, "CRLF": []byte(strings.ReplaceAll(string(data), "\n", "\r\n")), "no line feed": data[:len(data)-1]} {
			if err := sig.Verify(other, s.Kind.Namespace(), sig.Key); codeOf(err) != release.SignatureInvalid {
				t.Errorf("%s, %s: %v", s.Kind, what, err)
			}
		}
	}
}
