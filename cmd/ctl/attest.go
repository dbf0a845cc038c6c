package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/ui"
)

func (t *tool) attest() *cobra.Command {
	c := &cobra.Command{
		Use:   "attest",
		Short: "Sign what a pipeline knows about an image",
		Long: `Sign a statement about an image and put it into the clone of the release repository, as
attestations/sha256/<digest>/<what>-<id>.sigstore.json: a Sigstore bundle that cosign
verify-blob-attestation reads, too. No agent and no registry is asked.

The key is one of a service in trust.yaml: ECDSA P-256 or P-384, or Ed25519, in PEM
without a passphrase. --key env://NAME takes it from an environment variable.`,
	}
	c.AddCommand(t.attestScan(), t.attestTests(), t.attestProvenance())
	return c
}

// attesting is what every attestation needs.
type attesting struct {
	image, key, repo string
	dry              bool
}

func (a *attesting) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&a.image, "image", "", "the image by digest, NAME@sha256:…")
	f.StringVar(&a.key, "key", "", "private key, a PEM file or env://NAME")
	f.StringVar(&a.repo, "repo", ".", "a clone of the release repository")
	f.BoolVar(&a.dry, "dry-run", false, "sign and show, write nothing")
}

// attestedReply is what was written. Findings are counted by severity; they are no
// reason not to sign: the policy judges.
type attestedReply struct {
	api.Meta
	File          string         `json:"file"`
	Image         string         `json:"image"`
	PredicateType string         `json:"predicateType"`
	Key           string         `json:"key"`
	Findings      map[string]int `json:"findings,omitempty"`
	Notes         []string       `json:"notes,omitempty"`
}

var taggedForm = regexp.MustCompile(`:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// subject is the image as statements name it: by digest, without tag.
func (a *attesting) subject() (string, error) {
	name, digest, pinned := strings.Cut(a.image, "@")
	if a.image == "" {
		return "", usage(errors.New("attest needs --image: NAME@sha256:…"))
	}
	if !pinned || !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(digest) {
		return "", usage(fmt.Errorf("%s: --image %s does not name one image for good: write NAME@sha256:… (docker buildx imagetools inspect NAME)", release.ImageNotPinned, trust.Escape(a.image)))
	}
	return taggedForm.ReplaceAllString(name, "") + "@" + digest, nil
}

// sign signs a statement and writes the bundle into the clone.
func (a *attesting) sign(ctx context.Context, t *tool, what, image, predicateType string, statement []byte) (attestedReply, error) {
	if a.key == "" {
		return attestedReply{}, usage(errors.New("attest needs --key: the service's private key"))
	}
	signer, err := attestKey(a.key)
	if err != nil {
		return attestedReply{}, err
	}
	bundle, err := trust.SignEnvelope(signer, statement)
	if err != nil {
		return attestedReply{}, err
	}
	// Named by what is stated: signing again with the same key replaces, and two runs do
	// not collide.
	sum := sha256.Sum256(append([]byte(trust.KeyHint(signer.Public())), statement...))
	_, digest, _ := strings.Cut(image, "@sha256:")
	dir := path.Join("attestations", "sha256", digest)
	file := path.Join(dir, what+"-"+hex.EncodeToString(sum[:4])+".sigstore.json")
	reply := attestedReply{Meta: api.Meta{APIVersion: api.Version, Kind: "Attestation"}, File: file, Image: image, PredicateType: predicateType, Key: trust.KeyHint(signer.Public())}
	if a.dry {
		reply.Notes = []string{"dry run: nothing was written"}
		return reply, nil
	}
	if err := keepAttestation(ctx, a.repo, dir, file, bundle); err != nil {
		return attestedReply{}, err
	}
	fmt.Fprintf(t.err, "next: git add %s && git commit -m 'attest %s of %.12s' && git push\n", file, what, digest)
	return reply, nil
}

// keepAttestation writes into the clone's work tree. Its links were made by whoever could
// push: nothing is written through them.
func keepAttestation(ctx context.Context, repo, dir, file string, data []byte) error {
	top, err := git(ctx, repo, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	tree, err := os.OpenRoot(strings.TrimSpace(top))
	if err != nil {
		return err
	}
	defer tree.Close()
	for at := dir; at != "."; at = path.Dir(at) {
		if info, err := tree.Lstat(at); err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a plain directory; remove it and attest again", at)
		}
	}
	if info, err := tree.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a plain file; remove it and attest again", file)
	}
	if err := tree.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	if err := tree.WriteFile(file, data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// attestKey loads a service's private key.
func attestKey(from string) (crypto.Signer, error) {
	var data []byte
	if name, ok := strings.CutPrefix(from, "env://"); ok {
		if data = []byte(os.Getenv(name)); len(data) == 0 {
			return nil, usage(fmt.Errorf("--key: the environment variable %s is empty", trust.Escape(name)))
		}
	} else {
		var err error
		if data, err = os.ReadFile(from); err != nil {
			var p *fs.PathError
			if errors.As(err, &p) { // never the path by itself: --key may hold the key by mistake
				err = p.Err
			}
			return nil, usage(fmt.Errorf("read the key that --key names: %w", err))
		}
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, usage(errors.New("--key: no PEM block; write one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"))
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		return nil, usage(errors.New("--key: this is cosign's encrypted key; sign with cosign attest-blob --statement, or use a key of its own"))
	default:
		return nil, usage(fmt.Errorf("--key: a PEM block %s; want PRIVATE KEY without a passphrase", trust.Escape(block.Type)))
	}
	if err != nil {
		return nil, usage(errors.New("--key: the private key in the PEM block cannot be read"))
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, usage(errors.New("--key: want an ECDSA P-256 or P-384, or an Ed25519 key"))
}

// refused ends with the code for wrong evidence: nothing was signed.
func refused(err error) error {
	return exitError{exitNotAuthorised, fmt.Errorf("nothing was signed: %w", err)}
}

func attestedText(s ui.Style, r attestedReply) string {
	text := s.Mark(ui.Good, "signed "+r.File) + "\n"
	for _, severity := range []trust.Severity{trust.SeverityCritical, trust.SeverityHigh, trust.SeverityMedium, trust.SeverityLow, trust.SeverityNone, trust.SeverityUnknown} {
		if n := r.Findings[string(severity)]; n > 0 {
			text += fmt.Sprintf("  %-8s %d\n", severity, n)
		}
	}
	for _, note := range r.Notes {
		text += "  " + note + "\n"
	}
	return text
}
