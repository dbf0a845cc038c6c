package trust

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Names of an approval statement's types; they are signed data and never change.
const (
	StatementType         = "https://in-toto.io/Statement/v1"
	PredicateTypeApproval = "urn:teal:release-approval:v1"
	// StatementFile is the statement's name in the approval directory.
	StatementFile = "approval.json"
)

const (
	maxStatement = 64 << 10 // bytes
	maxImages    = 1000
	maxNote      = 2000 // characters
	// timeForm is the only form of a time: UTC, whole seconds.
	timeForm = "2006-01-02T15:04:05Z"
)

// Statement is approval.json: what every approver of one release signs, as exact
// bytes (DESIGN 5.1). It binds the release's bytes, environment, app, repository,
// sequence, images and lifetime. What a key may do is not in it: the policy says.
type Statement struct {
	Environment string
	App         string
	Digest      release.Digest // of the release directory
	RepoID      string         // uuid, lower case
	Sequence    int64          // 1 to 2^53-1
	Images      []string       // name@sha256:<64 hex>, sorted, unique
	Kind        Kind
	IssuedAt    time.Time // UTC, whole seconds
	ExpiresAt   time.Time // UTC, whole seconds
	PreparedBy  string    // as the manifest says; may be empty
	Checklist   Checklist
}

// Kind is what sort of approval a statement is.
type Kind string

const (
	KindNormal Kind = "normal"
	// KindEmergency is recognised and refused with not_supported_yet.
	KindEmergency Kind = "emergency"
)

// Checklist is what the approvers looked at: every key, always.
type Checklist struct {
	Tests      Check
	Scans      Check
	Staging    Check
	Migrations Check
	Rollback   Check
}

// Check is one line of the checklist. Note is optional, up to 2000 characters.
type Check struct {
	State CheckState
	Note  string
}

// CheckState says how a line of the checklist was settled.
type CheckState string

const (
	Verified      CheckState = "verified"       // teal itself had evidence
	Confirmed     CheckState = "confirmed"      // a person says so
	NotApplicable CheckState = "not_applicable" // does not apply to this release
)

// checks lists the checklist's members with their JSON names.
func (c *Checklist) checks() []struct {
	name  string
	check *Check
} {
	return []struct {
		name  string
		check *Check
	}{{"tests", &c.Tests}, {"scans", &c.Scans}, {"staging", &c.Staging}, {"migrations", &c.Migrations}, {"rollback", &c.Rollback}}
}

// StatementError says why approval.json is not a usable statement. Code is
// approval_malformed, or not_supported_yet for an emergency.
type StatementError struct {
	Code   release.Code
	Detail string // safe to print
}

func (e *StatementError) Error() string { return string(e.Code) + ": " + e.Detail }

var (
	uuidForm  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// nameForm is that of environments and apps (DESIGN 3.1).
	nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// personForm is that of persons and preparers: lower-case ASCII, so that no two
	// of them look alike.
	personForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._+-]{0,62}(@[a-z0-9]([a-z0-9.-]{0,125}[a-z0-9])?)?$`)
	imageForm  = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._:/-]{0,254}@sha256:[0-9a-f]{64}$`)
)

// NewStatement prepares the statement of a release for approvers to sign. Times are
// cut to whole seconds, in UTC.
func NewStatement(r *release.Release, repoID string, issuedAt, expiresAt time.Time, checklist Checklist) (Statement, error) {
	if r == nil {
		return Statement{}, errors.New("prepare approval: no release")
	}
	s := Statement{
		Environment: r.Environment, App: r.App, Digest: r.Digest, RepoID: repoID, Sequence: r.Sequence,
		Images: Images(r), Kind: KindNormal, PreparedBy: r.PreparedBy, Checklist: checklist,
		IssuedAt: issuedAt.UTC().Truncate(time.Second), ExpiresAt: expiresAt.UTC().Truncate(time.Second),
	}
	if err := s.validate(); err != nil {
		return Statement{}, fmt.Errorf("prepare approval: %w", err)
	}
	return s, nil
}

// Images lists what a release runs: name@sha256:…, sorted, each once. It is never
// nil, as the statement always has the list.
func Images(r *release.Release) []string {
	images := []string{}
	for _, s := range r.Services {
		images = append(images, s.Image)
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// Marshal writes the statement as `tealctl approve` does: RFC 8785 and one line feed.
func (s Statement) Marshal() ([]byte, error) {
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("write approval: %w", err)
	}
	images := []any{}
	for _, image := range s.Images {
		images = append(images, image)
	}
	checklist := map[string]any{}
	for _, c := range s.Checklist.checks() {
		line := map[string]any{"state": string(c.check.State)}
		if c.check.Note != "" {
			line["note"] = c.check.Note
		}
		checklist[c.name] = line
	}
	out, err := canonicalJSON(map[string]any{
		"_type":         StatementType,
		"predicateType": PredicateTypeApproval,
		"subject":       []any{map[string]any{"name": s.subject(), "digest": map[string]any{"sha256": string(s.Digest)}}},
		"predicate": map[string]any{
			"app": s.App, "environment": s.Environment, "repoId": s.RepoID, "sequence": s.Sequence, "images": images,
			"kind": string(s.Kind), "issuedAt": s.IssuedAt.Format(timeForm), "expiresAt": s.ExpiresAt.Format(timeForm),
			"preparedBy": s.PreparedBy, "checklist": checklist,
		},
	})
	if err != nil {
		return nil, err
	}
	if out = append(out, '\n'); len(out) > maxStatement {
		return nil, fmt.Errorf("write approval: %d bytes, at most %d", len(out), maxStatement)
	}
	return out, nil
}

func (s Statement) subject() string { return "environments/" + s.Environment + "/" + s.App }

// ParseStatement reads approval.json strictly: no unknown, missing, duplicate or
// differently spelled member at any depth, one form of each value. Errors are
// *StatementError. Whether the statement is about the right release, and still
// valid, is for Evaluate.
func ParseStatement(data []byte) (Statement, error) {
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

	s.readPredicate(&r, top["predicate"])
	if r.err != nil {
		return Statement{}, r.err
	}
	if s.Kind == KindEmergency {
		return Statement{}, &StatementError{release.NotSupportedYet, "kind emergency: emergency approvals are not carried out by this version"}
	}
	if err := s.validate(); err != nil {
		return Statement{}, err
	}
	if name != s.subject() {
		return Statement{}, fmt.Errorf("subject[0].name: \"%s\", want \"%s\" as the predicate says", Escape(name), s.subject())
	}
	return s, nil
}

func (s *Statement) readPredicate(r *jsonReader, v jsonValue) {
	// The members of an emergency exist if and only if the kind is emergency, so the
	// kind is read first.
	required := []string{"app", "environment", "repoId", "sequence", "images", "kind", "issuedAt", "expiresAt", "preparedBy", "checklist"}
	if object, ok := v.(jsonObject); ok {
		for _, m := range object {
			if m.name == "kind" && m.value == jsonValue(string(KindEmergency)) {
				required = append(required, "incident", "reason", "waives")
			}
		}
	}
	p := r.object(v, "predicate", required, nil)
	if r.err != nil {
		return
	}
	s.App = r.text(p["app"], "predicate.app")
	s.Environment = r.text(p["environment"], "predicate.environment")
	s.RepoID = r.text(p["repoId"], "predicate.repoId")
	s.Sequence = r.integer(p["sequence"], "predicate.sequence")
	images := r.list(p["images"], "predicate.images")
	if len(images) > maxImages {
		r.fail("predicate.images", "%d entries, at most %d", len(images), maxImages)
		return
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
		return
	}
	for _, c := range s.Checklist.checks() {
		path := "predicate.checklist." + c.name
		line := r.object(list[c.name], path, []string{"state"}, []string{"note"})
		c.check.State = CheckState(r.text(line["state"], path+".state"))
		if note, ok := line["note"]; ok {
			c.check.Note = r.text(note, path+".note")
		}
	}
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

// validate checks every value by itself.
func (s Statement) validate() error {
	switch {
	case !nameForm.MatchString(s.Environment):
		return fmt.Errorf("environment \"%s\" is not a name", Escape(s.Environment))
	case !nameForm.MatchString(s.App) || strings.HasSuffix(s.App, "-blue") || strings.HasSuffix(s.App, "-green"):
		return fmt.Errorf("app \"%s\" is not a name", Escape(s.App))
	case !hexDigest.MatchString(string(s.Digest)):
		return fmt.Errorf("release digest \"%s\" is not 64 lower-case hex digits", Escape(string(s.Digest)))
	case !uuidForm.MatchString(s.RepoID):
		return fmt.Errorf("repoId \"%s\" is not a lower-case uuid", Escape(s.RepoID))
	case s.Sequence < 1 || s.Sequence > maxJSONInteger:
		return fmt.Errorf("sequence %d is not from 1 to 2^53-1", s.Sequence)
	case s.Kind != KindNormal:
		return fmt.Errorf("kind \"%s\", want normal", Escape(string(s.Kind)))
	case s.PreparedBy != "" && !personForm.MatchString(s.PreparedBy):
		return fmt.Errorf("preparedBy \"%s\" is not a lower-case ASCII person or service", Escape(s.PreparedBy))
	case s.IssuedAt.Year() < 1970 || s.ExpiresAt.Year() > 9999:
		return errors.New("issuedAt or expiresAt is missing or out of range")
	case !s.ExpiresAt.After(s.IssuedAt):
		return fmt.Errorf("expiresAt %s is not after issuedAt %s", s.ExpiresAt.Format(timeForm), s.IssuedAt.Format(timeForm))
	case len(s.Images) > maxImages:
		return fmt.Errorf("%d images, at most %d", len(s.Images), maxImages)
	}
	for i, image := range s.Images {
		if !imageForm.MatchString(image) {
			return fmt.Errorf("images[%d] \"%s\" is not name@sha256:<64 hex> without tag", i, Escape(image))
		}
		if i > 0 && s.Images[i-1] >= image {
			return errors.New("images are not sorted and unique")
		}
	}
	for _, c := range s.Checklist.checks() {
		switch c.check.State {
		case Verified, Confirmed, NotApplicable:
		default:
			return fmt.Errorf("checklist.%s.state \"%s\", want verified, confirmed or not_applicable", c.name, Escape(string(c.check.State)))
		}
		if len([]rune(c.check.Note)) > maxNote {
			return fmt.Errorf("checklist.%s.note is longer than %d characters", c.name, maxNote)
		}
	}
	return nil
}
