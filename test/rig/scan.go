package rig

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// scannerKey is the pipeline's private key file; it is made when it is first asked for.
func (r *Rig) scannerKey() (file, public string, err error) {
	file = r.Path("keys", "scanner.pem")
	data, err := os.ReadFile(file + ".pub")
	if err == nil {
		return file, string(data), nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", "", err
	}
	public = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return "", "", err
	}
	return file, public, os.WriteFile(file+".pub", []byte(public), 0o644)
}

// RequireScans replaces trust.yaml by one that asks for Trivy and Gitleaks, with waivers
// (YAML flow list) and an emergency path of ann's.
func (r *Rig) RequireScans(waivers string) error {
	_, public, err := r.scannerKey()
	if err != nil {
		return err
	}
	text := r.policy()
	for _, edit := range [][2]string{
		{"  roles: {devops: {members: [ann@example.com, bob@example.com]}}\n",
			fmt.Sprintf("  services: {ci: {keys: [{id: ci-1, pem: \"%s\"}], scanners: [trivy, gitleaks], apps: [\"*\"]}}\n", strings.ReplaceAll(public, "\n", `\n`)) +
				"  roles: {devops: {members: [ann@example.com, bob@example.com]}, emergency: {members: [ann@example.com]}}\n"},
		{"maxApprovalAge: 168h}", "maxApprovalAge: 168h, scans: {trivy: {allowNoOS: [shop]}, gitleaks: {maxAge: 168h}}, waivers: " + waivers +
			", emergency: {role: emergency, threshold: 1, incidentPattern: \"^INC-[0-9]+$\", maxTTL: 2h, mayWaive: [approvals]}}"},
	} {
		if !strings.Contains(text, edit[0]) {
			return fmt.Errorf("the policy has no %q", edit[0])
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	return r.WritePolicy(text)
}

// Attest signs a report about every image of the release with that sequence, as a
// pipeline does, and pushes it.
func (r *Rig) Attest(ctx context.Context, sequence int, scanner, report string) error {
	key, _, err := r.scannerKey()
	if err != nil {
		return err
	}
	for _, name := range []string{"shop/backend", "shop/store"} {
		image, err := r.Image(ctx, name)
		if err != nil {
			return err
		}
		file := r.Path("report.json")
		if err := os.WriteFile(file, []byte(report), 0o644); err != nil {
			return err
		}
		now := time.Now().UTC().Format(time.RFC3339Nano)
		args := []string{"attest", "scan", "--scanner", scanner, "--scanner-version", "1.0", "--image", image, "--report", file, "--repo", r.Work, "--key", key,
			"--started-on", now, "--finished-on", now}
		if scanner == "trivy" {
			args = append(args, "--platform", "linux/"+runtime.GOARCH, "--db-updated-at", now)
		} else {
			args = append(args, "--source-commit", fmt.Sprintf("%040d", sequence))
		}
		if out, errs, code := r.Ctl(ctx, args...); code != 0 {
			return fmt.Errorf("tealctl attest scan: exit %d: %s%s", code, out, errs)
		}
	}
	_, err = r.Commit(ctx, "scan by "+scanner, nil)
	return err
}
