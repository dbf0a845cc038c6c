package trust

import (
	"errors"
	"fmt"
	"time"

	"github.com/tealops/teal/internal/release"
)

// ReadStatement reads approval.json of either kind strictly: no unknown, missing,
// duplicate or differently spelled member at any depth, one form of each value. Errors
// are *StatementError. Whether the statement is about the right release, and still
// valid, is for Evaluate.
func ReadStatement(data []byte) (Statement, error) {
	s, err := parseStatement(data)
	var known *StatementError
	if err != nil && !errors.As(err, &known) {
		err = &StatementError{release.ApprovalMalformed, err.Error()}
	}
	if err != nil {
		return Statement{}, err
	}
	return s, nil
}

func parseStatement(data []byte) (Statement, error) {
	if len(data) > maxStatement {
		return Statement{}, fmt.Errorf("longer than %d bytes", maxStatement)
	}
	doc, err := strictJSON(data)
	if err != nil {
		return Statement{}, err
	}
	var r jsonReader
	top := r.object(doc, "", []string{"_type", "subject", "predicateType", "predicate"}, nil)
	if r.err != nil {
		return Statement{}, r.err
	}
	if t := r.text(top["_type"], "_type"); t != StatementType {
		r.fail("_type", "\"%s\", want \"%s\"", Escape(t), StatementType)
	}
	if t := r.text(top["predicateType"], "predicateType"); t != PredicateTypeApproval {
		r.fail("predicateType", "\"%s\", want \"%s\"", Escape(t), PredicateTypeApproval)
	}
	var s Statement
	subjects := r.list(top["subject"], "subject")
	if len(subjects) != 1 {
		r.fail("subject", "%d entries, want exactly one", len(subjects))
		return Statement{}, r.err
	}
	subject := r.object(subjects[0], "subject[0]", []string{"name", "digest"}, nil)
	name := r.text(subject["name"], "subject[0].name")
	digest := r.object(subject["digest"], "subject[0].digest", []string{"sha256"}, nil)
	s.Digest = release.Digest(r.text(digest["sha256"], "subject[0].digest.sha256"))

	err = s.readPredicate(&r, top["predicate"])
	if r.err != nil {
		return Statement{}, r.err
	}
	if err != nil {
		return Statement{}, err
	}
	if err := s.validate(); err != nil {
		return Statement{}, err
	}
	if name != s.subject() {
		return Statement{}, fmt.Errorf("subject[0].name: \"%s\", want \"%s\" as the predicate says", Escape(name), s.subject())
	}
	return s, nil
}

func (s *Statement) readPredicate(r *jsonReader, v jsonValue) error {
	// The members of an emergency exist if and only if the kind is emergency, so the
	// kind is read first.
	var optional []string
	required := []string{"app", "environment", "repoId", "sequence", "images", "kind", "issuedAt", "expiresAt", "preparedBy", "checklist"}
	if object, ok := v.(jsonObject); ok {
		for _, m := range object {
			if m.name == "kind" && m.value == jsonValue(string(KindEmergency)) {
				optional = emergencyMembers
			}
		}
	}
	p := r.object(v, "predicate", required, optional)
	if r.err != nil {
		return nil // the caller looks at r.err first
	}
	s.App = r.text(p["app"], "predicate.app")
	s.Environment = r.text(p["environment"], "predicate.environment")
	s.RepoID = r.text(p["repoId"], "predicate.repoId")
	s.Sequence = r.integer(p["sequence"], "predicate.sequence")
	images := r.list(p["images"], "predicate.images")
	if len(images) > maxImages {
		r.fail("predicate.images", "%d entries, at most %d", len(images), maxImages)
		return nil
	}
	s.Images = []string{}
	for i, image := range images {
		s.Images = append(s.Images, r.text(image, fmt.Sprintf("predicate.images[%d]", i)))
	}
	s.Kind = Kind(r.text(p["kind"], "predicate.kind"))
	s.IssuedAt = readTime(r, p["issuedAt"], "predicate.issuedAt")
	s.ExpiresAt = readTime(r, p["expiresAt"], "predicate.expiresAt")
	s.PreparedBy = r.text(p["preparedBy"], "predicate.preparedBy")

	var names []string
	for _, c := range s.Checklist.checks() {
		names = append(names, c.name)
	}
	list := r.object(p["checklist"], "predicate.checklist", names, nil)
	if r.err != nil {
		return nil
	}
	for _, c := range s.Checklist.checks() {
		path := "predicate.checklist." + c.name
		line := r.object(list[c.name], path, []string{"state"}, []string{"note"})
		c.check.State = CheckState(r.text(line["state"], path+".state"))
		if note, ok := line["note"]; ok {
			c.check.Note = r.text(note, path+".note")
		}
	}
	if s.Kind == KindEmergency {
		return s.readEmergency(r, p)
	}
	return nil
}

func readTime(r *jsonReader, v jsonValue, path string) time.Time {
	text := r.text(v, path)
	t, err := parseTime(text)
	if err != nil {
		r.fail(path, "%v", err)
	}
	return t
}

// parseTime reads the one form of a time. time.Parse alone would also take
// fractions of a second.
func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(timeForm, text)
	if err != nil || t.Format(timeForm) != text || t.Year() < 1970 {
		return time.Time{}, fmt.Errorf("\"%s\" is not a time of the form YYYY-MM-DDTHH:MM:SSZ", Escape(text))
	}
	return t, nil
}
