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

	// Incident, Reason and Waives are those of an emergency; all empty when normal.
	Incident string   // 1 to 200 ASCII characters; the policy has a pattern for it
	Reason   string   // 20 to 2000 characters; not escaped
	Waives   []string // of Waivable, sorted, unique; empty but not nil in an emergency
}

// Kind is what sort of approval a statement is.
type Kind string

const (
	KindNormal    Kind = "normal"
	KindEmergency Kind = "emergency" // DESIGN 5.3
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
// approval_malformed, or emergency_invalid for what only an emergency has.
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
// cut to whole seconds, in UTC. Without options it is a normal approval.
func NewStatement(r *release.Release, repoID string, issuedAt, expiresAt time.Time, checklist Checklist, options ...StatementOption) (Statement, error) {
	if r == nil {
		return Statement{}, errors.New("prepare approval: no release")
	}
	s := Statement{
		Environment: r.Environment, App: r.App, Digest: r.Digest, RepoID: repoID, Sequence: r.Sequence,
		Images: Images(r), Kind: KindNormal, PreparedBy: r.PreparedBy, Checklist: checklist,
		IssuedAt: issuedAt.UTC().Truncate(time.Second), ExpiresAt: expiresAt.UTC().Truncate(time.Second),
	}
	for _, option := range options {
		option(&s)
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
	predicate := map[string]any{
		"app": s.App, "environment": s.Environment, "repoId": s.RepoID, "sequence": s.Sequence, "images": images,
		"kind": string(s.Kind), "issuedAt": s.IssuedAt.Format(timeForm), "expiresAt": s.ExpiresAt.Format(timeForm),
		"preparedBy": s.PreparedBy, "checklist": checklist,
	}
	if s.Kind == KindEmergency {
		waives := []any{}
		for _, word := range s.Waives {
			waives = append(waives, word)
		}
		predicate["incident"], predicate["reason"], predicate["waives"] = s.Incident, s.Reason, waives
	}
	out, err := canonicalJSON(map[string]any{
		"_type":         StatementType,
		"predicateType": PredicateTypeApproval,
		"subject":       []any{map[string]any{"name": s.subject(), "digest": map[string]any{"sha256": string(s.Digest)}}},
		"predicate":     predicate,
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
	case s.Kind != KindNormal && s.Kind != KindEmergency:
		return fmt.Errorf("kind \"%s\", want normal or emergency", Escape(string(s.Kind)))
	case s.Kind == KindNormal && (s.Incident != "" || s.Reason != "" || s.Waives != nil):
		return errors.New("incident, reason and waives belong to an emergency")
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
	if s.Kind == KindEmergency {
		return s.validateEmergency()
	}
	return nil
}
