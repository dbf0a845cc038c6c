package trust

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// maxWaiver is how far ahead a waiver's expiry may lie. One that lasts longer counts
// from the day on which it does not.
const maxWaiver = 90 * 24 * time.Hour

// lets reports whether the waiver lets the finding pass at a time. Ids are compared byte
// for byte: an id that only looks the same waives nothing.
func (w Waiver) lets(f ScanFinding, app string, at time.Time) bool {
	switch {
	case f.Kind == FindingSecret || w.ID == "":
		return false
	case !at.Before(w.ExpiresAt) || w.ExpiresAt.Sub(at) > maxWaiver:
		return false
	case w.Scanner != "" && w.Scanner != f.Scanner, w.App != "" && w.App != app, w.Package != "" && w.Package != f.Package:
		return false
	}
	return w.ID == f.ID || slices.Contains(f.Aliases, w.ID)
}

// maxVEXStatements bounds an OpenVEX document.
const maxVEXStatements = 10_000

// VEXWaivers are the findings that an OpenVEX document says do not matter for the
// images: status not_affected with a justification, or fixed. Each holds for 90 days
// from the document's time. Whatever else the document says waives nothing.
// Source: openvex/spec OPENVEX-SPEC.md v0.2.0.
func VEXWaivers(document []byte, signer string, images []string) []Waiver {
	type product struct {
		ID          string            `json:"@id"`
		Identifiers map[string]string `json:"identifiers"`
		Hashes      map[string]string `json:"hashes"`
	}
	var doc struct {
		Timestamp  time.Time `json:"timestamp"`
		Statements []struct {
			Vulnerability struct {
				Name    string   `json:"name"`
				Aliases []string `json:"aliases"`
			} `json:"vulnerability"`
			Timestamp       time.Time `json:"timestamp"`
			Products        []product `json:"products"`
			Status          string    `json:"status"`
			Justification   string    `json:"justification"`
			ImpactStatement string    `json:"impact_statement"`
		} `json:"statements"`
	}
	// The text passed checkJSON as a part of its payload: no duplicate names.
	if json.Unmarshal(document, &doc) != nil || len(doc.Statements) > maxVEXStatements {
		return nil
	}
	ours := func(p product) bool {
		return slices.ContainsFunc(images, func(hex string) bool {
			return p.Hashes["sha-256"] == hex || strings.HasSuffix(p.ID, "@sha256:"+hex) || strings.Contains(p.Identifiers["purl"], "@sha256:"+hex) ||
				strings.Contains(p.ID, "@sha256%3A"+hex) || strings.Contains(p.Identifiers["purl"], "@sha256%3A"+hex)
		})
	}
	var out []Waiver
	for _, s := range doc.Statements {
		settled := s.Status == "fixed" || s.Status == "not_affected" && s.Justification != ""
		if !settled || s.Vulnerability.Name == "" || !slices.ContainsFunc(s.Products, ours) {
			continue
		}
		at := s.Timestamp
		if at.IsZero() {
			at = doc.Timestamp
		}
		if at.IsZero() {
			continue
		}
		reason := strings.TrimSpace(s.Status + " " + s.Justification)
		out = append(out, Waiver{ID: s.Vulnerability.Name, Reason: "OpenVEX: " + reason, ApprovedBy: signer, ExpiresAt: at.Add(maxWaiver).UTC()})
	}
	return out
}
