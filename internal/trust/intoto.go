package trust

// InToto is an in-toto Statement, v0.1 or v1, as far as every kind of it goes.
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
