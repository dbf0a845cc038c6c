package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/trust"
)

// maxStagingAge is how long ago a release may have run in staging to vouch for the same
// images in production.
const maxStagingAge = 7 * 24 * time.Hour

// imageHexes are the digests of a release's images in hex.
func imageHexes(w wanted) []string {
	var out []string
	for _, image := range trust.Images(w.rel) {
		_, hex, _ := strings.Cut(image, "@sha256:")
		out = append(out, hex)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// stands reports whether an attestation was understood and its key may now say such a
// thing about the app.
func stands(a trust.Attestation, what string, w wanted, policy *trust.Policy, now time.Time) bool {
	if a.Problem != nil || !policy.MayState(a.Key, what, w.rel.App) {
		return false
	}
	if _, revoked := policy.RevokedKey(a.Key); revoked {
		return false
	}
	code, _ := a.Key.ValidAt(now)
	return code == ""
}

// testsTick asks for a passed test result of every image; one that failed is against it.
func testsTick(e trust.Evidence, w wanted, policy *trust.Policy, now time.Time) (tick, bool) {
	images, by := imageHexes(w), ""
	passed := map[string]bool{}
	for _, a := range e.Attested {
		if a.Tests == nil || !stands(a, trust.StateTests, w, policy, now) {
			continue
		}
		for _, hex := range images {
			if !slices.Contains(a.Subjects, hex) {
				continue
			}
			if !a.Tests.Passed {
				return tick{Against: fmt.Sprintf("%s attested %s for the tests of image %.12s", a.Key.Service, trust.Escape(a.Tests.Result), hex)}, true
			}
			passed[hex], by = true, a.Key.Service
		}
	}
	if len(images) == 0 || len(passed) < len(images) {
		return tick{}, false
	}
	return tick{Verified: true, Note: fmt.Sprintf("attested by %s for %d of %d images", by, len(passed), len(images))}, true
}

// stagingTick asks for a deployment of exactly these images, of the same source commit,
// in another environment, young enough.
func stagingTick(e trust.Evidence, w wanted, policy *trust.Policy, now time.Time) (tick, bool) {
	images := imageHexes(w)
	var newest *trust.Deployment
	var by string
	for _, a := range e.Attested {
		d := a.Deployment
		if d == nil || !stands(a, trust.StateDeployment, w, policy, now) || d.App != w.rel.App || d.Environment == w.rel.Environment || d.Commit != w.rel.Source.Commit {
			continue
		}
		if slices.ContainsFunc(images, func(hex string) bool { return !slices.Contains(a.Subjects, hex) }) {
			continue
		}
		if age := now.Sub(d.FinishedOn); age > maxStagingAge || age < -trust.MaxSkew {
			continue
		}
		if newest == nil || d.FinishedOn.After(newest.FinishedOn) {
			newest, by = d, a.Key.Service
		}
	}
	if newest == nil || len(images) == 0 {
		return tick{}, false
	}
	return tick{Verified: true, Note: fmt.Sprintf("ran in %s for %s on %d hosts, until %s, attested by %s", newest.Environment, newest.Baked, len(newest.Hosts), newest.FinishedOn.UTC().Format(time.RFC3339), by)}, true
}
