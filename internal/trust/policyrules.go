package trust

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

// Defaults of what an environment asks of scans and emergencies.
const (
	DefaultScanAge        = 24 * time.Hour
	DefaultScanDBAge      = 48 * time.Hour
	DefaultFollowUp       = 72 * time.Hour
	DefaultEmergencyLimit = 2
)

// scanners reads a list of scanner names.
func (b *policyBuilder) scanners(n *yaml.Node, path string) []string {
	names := b.texts(n, path)
	for _, name := range names {
		if !slices.Contains(Scanners(), name) {
			b.wrong(n, "%s: \"%s\" is not one of %s", path, Escape(name), strings.Join(Scanners(), ", "))
		}
	}
	return names
}

func (b *policyBuilder) service(f yamlField) {
	name, path := f.key.Value, "policy.services."+Escape(f.key.Value)
	if !nameForm.MatchString(name) {
		b.wrong(f.key, "%s: not the name of a service", path)
	}
	m := b.mapping(f.value, path, "keys", "scanners", "statements", "apps")
	s := Service{Name: name, Scanners: b.scanners(m["scanners"], path+".scanners"), Statements: b.texts(m["statements"], path+".statements"), Apps: b.texts(m["apps"], path+".apps")}
	for _, kind := range s.Statements {
		if !slices.Contains(StatementKinds(), kind) {
			b.wrong(m["statements"], "%s.statements: \"%s\" is not one of %s", path, Escape(kind), strings.Join(StatementKinds(), ", "))
		}
	}
	if len(s.Scanners) == 0 && len(s.Statements) == 0 {
		b.wrong(f.key, "%s: neither scanners nor statements: it could sign nothing", path)
	}
	if len(s.Apps) == 0 {
		b.wrong(f.key, "%s.apps is missing; write [\"*\"] for every app", path)
	}
	for _, app := range s.Apps {
		if app != "*" && !nameForm.MatchString(app) {
			b.wrong(m["apps"], "%s.apps: \"%s\" is not the name of an app", path, Escape(app))
		}
	}
	for i, item := range b.list(m["keys"], path+".keys") {
		if k, ok := b.key(item, fmt.Sprintf("%s.keys[%d]", path, i), Key{Service: name}, "ssh", "pem"); ok {
			if k.Public == nil && !slices.Equal(s.Statements, []string{StateCommits}) {
				b.wrong(item, "%s.keys[%d]: attestations are signed with ECDSA or Ed25519 keys", path, i)
			}
			s.Keys = append(s.Keys, k)
		}
	}
	if len(s.Keys) == 0 {
		b.wrong(f.key, "%s.keys is missing", path)
	}
	b.p.Services[name] = s
}

// scans reads what each scanner's attestations must be. What minimums.block names
// always blocks.
func (b *policyBuilder) scans(rules *Rules, n *yaml.Node, path string) {
	rules.Scans = map[string]ScanRule{}
	for _, f := range b.fields(n, path) {
		scanner, at := f.key.Value, path+"."+Escape(f.key.Value)
		if !slices.Contains(Scanners(), scanner) {
			b.wrong(f.key, "%s: not one of %s", at, strings.Join(Scanners(), ", "))
			continue
		}
		m := b.mapping(f.value, at, "maxAge", "maxDbAge", "block", "unknownSeverityAs", "honourInSourceSuppressions", "allowNoOS", "allowArgs", "allowSkipped", "blockEndOfLife")
		db := time.Duration(0)
		if scanner == Trivy || scanner == PipAudit {
			db = DefaultScanDBAge
		}
		rule := ScanRule{
			MaxAge: b.duration(m["maxAge"], at+".maxAge", DefaultScanAge), MaxDBAge: b.duration(m["maxDbAge"], at+".maxDbAge", db),
			UnknownSeverityAs: SeverityHigh, HonourSuppressions: b.boolean(m["honourInSourceSuppressions"], at+".honourInSourceSuppressions"),
			AllowNoOS: b.texts(m["allowNoOS"], at+".allowNoOS"), AllowArgs: b.texts(m["allowArgs"], at+".allowArgs"),
			AllowSkipped: b.texts(m["allowSkipped"], at+".allowSkipped"), BlockEndOfLife: b.boolean(m["blockEndOfLife"], at+".blockEndOfLife"),
		}
		if node := m["unknownSeverityAs"]; node != nil {
			rule.UnknownSeverityAs = Severity(b.severity(node, at+".unknownSeverityAs"))
		}
		rule.Block = []Severity{SeverityCritical, SeverityHigh, SeverityUnknown}
		if m["block"] != nil {
			rule.Block = nil
			for _, word := range b.texts(m["block"], at+".block") {
				if word != string(severityAny) && !slices.Contains(severities, word) {
					b.wrong(m["block"], "%s.block: \"%s\" is not one of %s, any", at, Escape(word), strings.Join(severities, ", "))
				}
				rule.Block = append(rule.Block, Severity(word))
			}
			for _, word := range b.p.Minimums.Block {
				if !slices.Contains(rule.Block, Severity(word)) && !slices.Contains(rule.Block, severityAny) {
					b.fail(release.PolicyBelowFloor, m["block"], "block it, or lower minimums.block", "%s.block leaves out %s, minimums.block names it", at, word)
				}
			}
		}
		rules.Scans[scanner] = rule
	}
}

func (b *policyBuilder) severity(n *yaml.Node, path string) string {
	word := b.text(n, path)
	if !slices.Contains(severities, word) {
		b.wrong(n, "%s: \"%s\" is not one of %s", path, Escape(word), strings.Join(severities, ", "))
	}
	return word
}

func (b *policyBuilder) waivers(rules *Rules, n *yaml.Node, path string) {
	for i, item := range b.list(n, path) {
		at := fmt.Sprintf("%s[%d]", path, i)
		m := b.mapping(item, at, "id", "scanner", "app", "package", "reason", "ticket", "approvedBy", "expiresAt")
		for _, need := range []string{"id", "scanner", "reason", "expiresAt"} {
			b.present(item, m[need], at+"."+need)
		}
		w := Waiver{ID: b.maybe(m["id"], at+".id"), Scanner: b.maybe(m["scanner"], at+".scanner"), App: b.maybe(m["app"], at+".app"), Package: b.maybe(m["package"], at+".package"),
			Reason: b.maybe(m["reason"], at+".reason"), Ticket: b.maybe(m["ticket"], at+".ticket"), ApprovedBy: b.maybe(m["approvedBy"], at+".approvedBy"), ExpiresAt: b.time(m["expiresAt"], at+".expiresAt")}
		switch {
		case w.Scanner == Gitleaks:
			b.wrong(m["scanner"], "%s.scanner: secrets are never waived", at)
		case w.Scanner != "" && !slices.Contains(Scanners(), w.Scanner):
			b.wrong(m["scanner"], "%s.scanner: \"%s\" is not one of %s", at, Escape(w.Scanner), strings.Join(Scanners(), ", "))
		}
		if w.App != "" && !nameForm.MatchString(w.App) {
			b.wrong(m["app"], "%s.app: \"%s\" is not the name of an app", at, Escape(w.App))
		}
		if _, known := b.p.people[w.ApprovedBy]; w.ApprovedBy != "" && !known {
			b.wrong(m["approvedBy"], "%s.approvedBy: \"%s\" is not listed under policy.people", at, Escape(w.ApprovedBy))
		}
		rules.Waivers = append(rules.Waivers, w)
	}
}

func (b *policyBuilder) windows(rules *Rules, n *yaml.Node, path string) {
	for i, item := range b.list(n, path) {
		at := fmt.Sprintf("%s[%d]", path, i)
		m := b.mapping(item, at, "cron", "zone", "for")
		if !b.present(item, m["cron"], at+".cron") || !b.present(item, m["for"], at+".for") {
			continue
		}
		zone := "UTC"
		if m["zone"] != nil {
			zone = b.text(m["zone"], at+".zone")
		}
		w, err := NewWindow(b.text(m["cron"], at+".cron"), zone, b.duration(m["for"], at+".for", 0))
		if err != nil {
			b.wrong(item, "%s: %s", at, Escape(err.Error()))
			continue
		}
		rules.Windows = append(rules.Windows, w)
	}
}

func (b *policyBuilder) emergency(rules *Rules, n *yaml.Node, path string) {
	m := b.mapping(n, path, "role", "threshold", "incidentPattern", "maxTTL", "mayWaive", "maxPer24h", "followUpWithin")
	rule, ok := b.rule(n, path, m)
	if !ok || !b.present(n, m["incidentPattern"], path+".incidentPattern") {
		return
	}
	e := EmergencyRule{Role: rule.Role, Threshold: rule.Threshold, IncidentPattern: b.text(m["incidentPattern"], path+".incidentPattern"),
		MaxTTL: b.duration(m["maxTTL"], path+".maxTTL", min(DefaultEmergencyTTL, b.p.Minimums.EmergencyTTL)), MayWaive: b.texts(m["mayWaive"], path+".mayWaive"),
		MaxPer24h: DefaultEmergencyLimit, FollowUpWithin: b.duration(m["followUpWithin"], path+".followUpWithin", DefaultFollowUp)}
	if node := m["maxPer24h"]; node != nil {
		if e.MaxPer24h = int(min(b.integer(node, path+".maxPer24h"), 1000)); e.MaxPer24h < 1 {
			b.wrong(node, "%s.maxPer24h: want at least 1", path)
		}
	}
	if _, err := regexp.Compile(e.IncidentPattern); err != nil || !strings.HasPrefix(e.IncidentPattern, "^") || !strings.HasSuffix(e.IncidentPattern, "$") {
		b.wrong(m["incidentPattern"], "%s.incidentPattern: want a regular expression from ^ to $", path)
	}
	for _, what := range e.MayWaive {
		if !slices.Contains(Waivable(), what) {
			b.wrong(m["mayWaive"], "%s.mayWaive: \"%s\" is not one of %s", path, Escape(what), strings.Join(Waivable(), ", "))
		}
	}
	rules.Emergency = &e
}
