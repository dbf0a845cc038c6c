package main

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/trust"
)

func approvalText(w wanted, s trust.Statement, signer ssh.Signer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s → %s   release %s, sequence %d, commit %.7s\n", s.App, trust.Escape(w.rel.Version), s.Environment, s.Digest.Short(), s.Sequence, w.snap.Commit())
	for _, image := range s.Images {
		fmt.Fprintf(&b, "  image       %s\n", image)
	}
	for _, item := range []struct {
		name  string
		check trust.Check
	}{{"tests", s.Checklist.Tests}, {"scans", s.Checklist.Scans}, {"staging", s.Checklist.Staging}, {"migrations", s.Checklist.Migrations}, {"rollback", s.Checklist.Rollback}} {
		fmt.Fprintf(&b, "  %-11s %s %s\n", item.name, item.check.State, trust.Escape(item.check.Note))
	}
	fmt.Fprintf(&b, "  prepared by %s\n  issued      %s\n", trust.Escape(s.PreparedBy), s.IssuedAt.Format(time.RFC3339))
	fmt.Fprintf(&b, "  expires     %s\n  signing as  %s\n", s.ExpiresAt.Format(time.RFC3339), ssh.FingerprintSHA256(signer.PublicKey()))
	return b.String()
}
