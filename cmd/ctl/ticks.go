package main

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/trust"
)

// evidenceTicks says which lines of the checklist evidence settles by itself. Without a
// policy nothing that somebody signed can be believed, so only the release's own bytes
// are left.
func evidenceTicks(ctx context.Context, w wanted, policy *trust.Policy, old *earlier) (map[string]tick, error) {
	ticks := map[string]tick{}
	migrates, err := hasMigrations(w)
	if err != nil {
		return nil, err
	}
	if migrates {
		ticks["migrations"] = tick{Against: "the manifest has migrations; read them"}
	} else {
		ticks["migrations"] = tick{Verified: true, Note: "the manifest has no migrations"}
	}
	if policy == nil {
		return ticks, nil
	}
	switch {
	case old == nil:
	case w.rel.Keep < 1:
		ticks["rollback"] = tick{Against: "keep is 0: hosts keep no older release to go back to"}
	case len(old.persons) > 0:
		ticks["rollback"] = tick{Verified: true, Note: fmt.Sprintf("release %s, sequence %d, was approved before; hosts keep %d", old.statement.Digest.Short(), old.statement.Sequence, w.rel.Keep)}
	}
	now := time.Now().UTC()
	evidence, err := gatherEvidence(ctx, w, policy, sinceOf(old))
	if err != nil {
		return nil, err
	}
	evidence.Attest(policy)
	verdict, err := judge(w, policy, evidence, now)
	if err != nil {
		return nil, err
	}
	if seen, ok := scansTick(verdict); ok {
		ticks["scans"] = seen
	}
	if seen, ok := testsTick(evidence, w, policy, now); ok {
		ticks["tests"] = seen
	}
	if seen, ok := stagingTick(evidence, w, policy, now); ok {
		ticks["staging"] = seen
	}
	return ticks, nil
}

// scansTick is what the verdict's gate for scans says; not ok when the policy asks for no
// scans, or when it is only that they are not there yet.
func scansTick(v trust.Verdict) (tick, bool) {
	for _, g := range v.Gates {
		if g.Name != trust.GateScans {
			continue
		}
		switch g.State {
		case trust.GatePass:
			return tick{Verified: true, Note: plain(g.Detail)}, true
		case trust.GateFail:
			return tick{Against: g.Detail}, true
		}
	}
	return tick{}, false
}

// plain takes a verdict's text, which is escaped, into a note, which is escaped when it is
// shown: what would be escaped twice is left out.
func plain(text string) string { return strings.ReplaceAll(text, `\`, "") }

// hasMigrations looks for x-teal.migrate.
func hasMigrations(w wanted) (bool, error) {
	data, err := fs.ReadFile(w.root, path.Join("environments", w.rel.Environment, w.rel.App, "release.yaml"))
	if err != nil {
		return false, err
	}
	var manifest struct {
		Teal map[string]yaml.Node `yaml:"x-teal"`
	}
	if err := yaml.Unmarshal(data, &manifest); err != nil {
		return false, fmt.Errorf("read the manifest: %w", err)
	}
	_, migrates := manifest.Teal["migrate"]
	return migrates, nil
}
