package trust

import (
	"fmt"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// InToto is an in-toto Statement, v0.1 or v1, as far as every kind of it goes.
// Source: in-toto attestation framework, spec/v1/statement.md and spec/v0.1.0.
type InToto struct {
	Version       string // "v0.1" or "v1"
	Subjects      []Subject
	PredicateType string
	Predicate     []byte // the JSON text of the predicate, inside the payload
}

// Subject is what a statement is about.
type Subject struct {
	Name   string
	SHA256 string // 64 hex digits; empty when the subject has no sha256
}

// About reports whether one of the subjects has that digest.
func (s InToto) About(sha256 string) bool {
	for _, subject := range s.Subjects {
		if subject.SHA256 == sha256 && sha256 != "" {
			return true
		}
	}
	return false
}

// AttestationError says why a signed payload is not usable. Code is
// attestation_malformed, attestation_predicate_type or attestation_incomplete.
type AttestationError struct {
	Code   release.Code
	Detail string // safe to print
}

func (e *AttestationError) Error() string { return string(e.Code) + ": " + e.Detail }

func attestationFault(code release.Code, format string, args ...any) error {
	return &AttestationError{code, fmt.Sprintf(format, args...)}
}

const (
	// maxPayloadDepth bounds the nesting of a statement with a native report inside.
	maxPayloadDepth = 64
	maxSubjects     = 1000
	statementV01    = "https://in-toto.io/Statement/v0.1"
)

// ParseInToto reads a statement's frame strictly. The payload is checked whole, the
// predicate included: duplicate names anywhere in it refuse, for two readers would
// understand them differently. Errors are *AttestationError.
func ParseInToto(payload []byte) (InToto, error) {
	if err := checkJSON(payload, maxPayloadDepth); err != nil {
		return InToto{}, attestationFault(release.AttestationMalformed, "%s", Escape(err.Error()))
	}
	r := frame{cursor: cursor{data: payload}}
	var s InToto
	r.strict("the statement", []string{"_type", "subject", "predicateType", "predicate"}, nil, func(name string) {
		switch name {
		case "_type":
			switch t := r.need("_type"); t {
			case StatementType:
				s.Version = "v1"
			case statementV01:
				s.Version = "v0.1"
			default:
				r.fail("_type \"%s\" is no in-toto statement", Escape(t))
			}
		case "subject":
			r.list("subject", func() { s.Subjects = append(s.Subjects, r.subject()) })
		case "predicateType":
			s.PredicateType = r.need("predicateType")
		case "predicate":
			s.Predicate = r.raw()
		}
	})
	switch {
	case r.err != nil:
		return InToto{}, r.err
	case len(s.Subjects) == 0 || len(s.Subjects) > maxSubjects:
		return InToto{}, attestationFault(release.AttestationMalformed, "%d subjects, want 1 to %d", len(s.Subjects), maxSubjects)
	case len(s.Predicate) == 0 || s.Predicate[0] != '{':
		return InToto{}, attestationFault(release.AttestationMalformed, "predicate: want an object")
	}
	return s, nil
}

// frame reads the parts of a statement that teal gives a meaning to, and keeps the
// first error.
type frame struct {
	cursor
	err error
}

func (r *frame) fail(format string, args ...any) {
	if r.err == nil {
		r.err = attestationFault(release.AttestationMalformed, format, args...)
	}
}

func (r *frame) incomplete(format string, args ...any) {
	if r.err == nil {
		r.err = attestationFault(release.AttestationIncomplete, format, args...)
	}
}

// strict reads an object whose members are all known. f consumes each value.
func (r *frame) strict(where string, required, optional []string, f func(name string)) {
	seen := map[string]bool{}
	if !r.object(func(name string) {
		for _, known := range [][]string{required, optional} {
			for _, k := range known {
				if k == name {
					seen[name] = true
					f(name)
					return
				}
			}
		}
		r.skip()
		r.fail("%s: unknown member \"%s\"", where, Escape(name))
	}) {
		r.fail("%s: want an object", where)
		return
	}
	for _, name := range required {
		if !seen[name] {
			r.fail("%s: member %s is missing", where, name)
		}
	}
}

// open reads an object that other tools define and may extend: f consumes the values of
// the known members, others are skipped. A name that differs from a known one by case
// alone refuses: a reader that folds case would take it for the known one.
func (r *frame) open(where string, known []string, f func(name string)) {
	if !r.object(func(name string) {
		for _, k := range known {
			switch {
			case k == name:
				f(name)
				return
			case strings.EqualFold(k, name):
				r.fail("%s: member \"%s\" looks like %s", where, Escape(name), k)
			}
		}
		r.skip()
	}) {
		r.fail("%s: want an object", where)
	}
}

// list reads an array; f consumes each item.
func (r *frame) list(where string, f func()) {
	if !r.array(f) {
		r.fail("%s: want an array", where)
	}
}

// maybe is a string that may be empty.
func (r *frame) maybe(where string) string {
	s, ok := r.text()
	if !ok {
		r.fail("%s: want a string", where)
	}
	return s
}

// need is a string that is not empty.
func (r *frame) need(where string) string {
	s, ok := r.text()
	if !ok || s == "" {
		r.fail("%s: want a string", where)
	}
	return s
}

// subject reads a ResourceDescriptor as far as name and sha256; its other members are
// the writer's own.
func (r *frame) subject() (s Subject) {
	r.open("subject", []string{"name", "digest"}, func(name string) {
		if name == "name" {
			s.Name = r.maybe("subject.name")
			return
		}
		r.open("subject.digest", []string{"sha256"}, func(string) {
			s.SHA256 = r.need("subject.digest.sha256")
			if !hexDigest.MatchString(s.SHA256) {
				r.fail("subject.digest.sha256 \"%s\" is not 64 lower-case hex digits", Escape(s.SHA256))
			}
		})
	})
	return s
}

// time reads a time of RFC 3339, in UTC or with an offset, fractions of a second allowed.
func (r *frame) time(where string) time.Time {
	text := r.need(where)
	t, err := time.Parse(time.RFC3339Nano, text)
	// The parser alone would take a comma before the fraction, too.
	if err != nil || t.Year() < 1970 || strings.Contains(text, ",") {
		r.fail("%s: \"%s\" is no time of RFC 3339", where, Escape(text))
		return time.Time{}
	}
	return t.UTC()
}
