package trust

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

const attestedHex = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

// stated is a statement about attestedHex.
func stated(predicateType, predicate string) []byte {
	return fmt.Appendf(nil, `{"_type":"%s","subject":[{"name":"registry.example.test/shop","digest":{"sha256":"%s"}}],"predicateType":"%s","predicate":%s}`,
		StatementType, attestedHex, predicateType, predicate)
}

// attestationCode is the code of an *AttestationError, "" for nil.
func attestationCode(t testing.TB, err error) release.Code {
	t.Helper()
	var bad *AttestationError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &bad):
		t.Fatalf("%T is no *AttestationError: %v", err, err)
	case strings.ContainsAny(bad.Detail, "\x1b\n\r\u202e"):
		t.Fatalf("control characters in the detail: %q", bad.Detail)
	}
	return bad.Code
}

// TestInToto takes both versions of a statement, and what other writers put beside the
// members that teal reads.
func TestInToto(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want InToto
	}{
		"v1": {string(stated("urn:x", `{"a":1}`)),
			InToto{"v1", []Subject{{"registry.example.test/shop", attestedHex}}, "urn:x", []byte(`{"a":1}`)}},
		"v0.1, as cosign writes": {strings.Replace(string(stated("urn:x", "{}")), "Statement/v1", "Statement/v0.1", 1),
			InToto{"v0.1", []Subject{{"registry.example.test/shop", attestedHex}}, "urn:x", []byte("{}")}},
		"the predicate stays as it is written": {string(stated("urn:x", "{ \"a\" : 12345678901234567890,\n\"b\":1e400 }")),
			InToto{"v1", []Subject{{"registry.example.test/shop", attestedHex}}, "urn:x", []byte("{ \"a\" : 12345678901234567890,\n\"b\":1e400 }")}},
		// in-toto attestation go/v1/resource_descriptor_test.go, in little.
		"a whole resource descriptor": {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"urn:x","predicate":{},"subject":[{"name":"n","uri":"http://example.com","digest":{"sha256":"` + attestedHex + `","sha512":"ff"},"content":"Ynl0ZXM=","downloadLocation":"http://example.com","mediaType":"theMediaType","annotations":{"a1":{"k":"v"}}}]}`,
			InToto{"v1", []Subject{{"n", attestedHex}}, "urn:x", []byte("{}")}},
		"a subject without sha256": {strings.Replace(string(stated("urn:x", "{}")), `"sha256"`, `"gitCommit"`, 1),
			InToto{"v1", []Subject{{"registry.example.test/shop", ""}}, "urn:x", []byte("{}")}},
		"names with escapes": {strings.Replace(string(stated("urn:x", "{}")), `"subject"`, `"s\u0075bject"`, 1),
			InToto{"v1", []Subject{{"registry.example.test/shop", attestedHex}}, "urn:x", []byte("{}")}},
	} {
		got, err := ParseInToto([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

func TestInTotoRefusals(t *testing.T) {
	good := string(stated("urn:x", `{"a":{"b":[1,{"c":2}]}}`))
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	subject := good[strings.Index(good, "["):strings.Index(good, `,"predicateType"`)]
	for name, text := range map[string]string{
		"empty":                              "",
		"an envelope":                        `{"payload":"","payloadType":"","signatures":[]}`,
		"other statement":                    swap("Statement/v1", "Statement/v2"),
		"type is a number":                   swap(`"`+StatementType+`"`, "1"),
		"no predicate":                       swap(`"predicate":`, `"predicat":`),
		"predicate is a list":                swap(`{"a":{"b":[1,{"c":2}]}}`, `[]`),
		"predicate is null":                  swap(`{"a":{"b":[1,{"c":2}]}}`, `null`),
		"unknown member":                     swap(`{"_type"`, `{"x":1,"_type"`),
		"subject in capitals":                swap(`{"_type"`, `{"Subject":[],"_type"`),
		"subject twice":                      swap(`{"_type"`, `{"subject":[],"_type"`),
		"subject twice, by an escape":        swap(`{"_type"`, `{"s\u0075bject":[],"_type"`),
		"twice, deep in the predicate":       swap(`{"c":2}`, `{"c":2,"\u0063":2}`),
		"no subject":                         swap(subject, "[]"),
		"subject is an object":               swap(subject, "{}"),
		"too many subjects":                  swap(subject, "["+strings.Repeat("{},", maxSubjects)+"{}]"),
		"digest in capitals":                 swap(attestedHex, strings.ToUpper(attestedHex)),
		"digest cut":                         swap(attestedHex, attestedHex[:63]),
		"digest is a list":                   swap(`{"sha256":"`+attestedHex+`"}`, "[]"),
		"a second digest, by case":           swap(`{"sha256"`, `{"SHA256":"`+strings.Repeat("0", 64)+`","sha256"`),
		"a second digest set, by case":       swap(`"digest":`, `"Digest":{"sha256":"`+strings.Repeat("0", 64)+`"},"digest":`),
		"a second digest, by a long s":       swap(`"sha256":`, `"ſha256":"`+strings.Repeat("0", 64)+`","sha256":`),
		"byte order mark":                    "\ufeff" + good,
		"text after":                         good + "{}",
		"not UTF-8":                          swap("registry", "\xff"),
		"half a pair":                        swap("registry", `\ud800`),
		"not a number":                       swap(`[1,`, "[NaN,"),
		"deep":                               swap(`[1,`, "["+strings.Repeat("[", 1e5)+strings.Repeat("]", 1e5)+","),
		"an escape that would move a cursor": swap("urn:x", "\x1b[2J"),
	} {
		if _, err := ParseInToto([]byte(text)); attestationCode(t, err) != release.AttestationMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAboutNothing: a subject without a digest is about no image.
func TestAboutNothing(t *testing.T) {
	if (InToto{Subjects: []Subject{{Name: "n"}}}).About("") {
		t.Error("a subject without sha256 matches an empty digest")
	}
}

func FuzzInToto(f *testing.F) {
	f.Add(stated(PredicateTypeScan, ownPredicate(`{"Results":[]}`)))
	f.Add([]byte(strings.Replace(string(stated("urn:x", `{"a":[1,"\ud83d\ude00"]}`)), "Statement/v1", "Statement/v0.1", 1)))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{}],"predicateType":"x","predicate":{"a":{},"A":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseInToto(data)
		if attestationCode(t, err) != "" {
			return
		}
		if len(s.Subjects) == 0 || s.PredicateType == "" || s.Version == "" || s.About("") {
			t.Fatalf("accepted %+v", s)
		}
		for _, subject := range s.Subjects {
			if subject.SHA256 != "" && !hexDigest.MatchString(subject.SHA256) {
				t.Fatalf("digest %q", subject.SHA256)
			}
		}
		// The predicate is whole: it can be read by itself, and in a statement again.
		if err := checkJSON(s.Predicate, maxPayloadDepth); err != nil {
			t.Fatalf("predicate: %v", err)
		}
	})
}
