package trust

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
)

const (
	// maxSignatures is how many files may lie beside approval.json.
	maxSignatures = 64
	// maxOthers is how many other approvals of the app are looked at, to tell a
	// changed release from one that nobody has approved yet.
	maxOthers = 2048
)

// Evidence is what the evidence commit holds about one release: raw bytes, judged by
// nobody yet. Made by Gather; the zero value is a release without any evidence.
type Evidence struct {
	Environment string
	App         string
	Digest      release.Digest
	// Statement is approval.json, byte for byte; nil when it is absent or unreadable.
	Statement []byte
	// Unreadable says why approval.json is there but was not read (too long, not a
	// plain file); empty otherwise.
	Unreadable string
	// Signatures are the .sig, .dsse.json and .sigstore.json files, by name.
	Signatures []SignatureFile
	// TooMany is set when the directory holds more files than teal reads. Nothing of
	// it is counted then.
	TooMany bool
	// Others are the app's other releases that have a well-formed statement, by
	// digest. Only looked for when this one has none.
	Others []Other
	// Ignored are the files that are no evidence, and why.
	Ignored []Finding
	// Attestations are the envelopes about the release's images, of Git and of the
	// registry.
	Attestations []AttestationFile
	// Attested is what Attest made of them; Attestations is nil then.
	Attested []Attestation
	// Unreachable says why the registry's attestations are not (all) among them; empty
	// when they are, or when no registry is asked.
	Unreachable string
	// TooLarge says what of the attestations was more than teal reads; empty when nothing.
	TooLarge string
	// Images is what the registry says of each image, by its digest in hex. Empty when no
	// registry was asked.
	Images map[string]ImageFacts
	// Heartbeat is trust/heartbeat.json; nil when there is none.
	Heartbeat []byte
	// Changes are the commits that changed the release.
	Changes Changes
}

// AttestationFile is one envelope as it was found. Name and folder say nothing about
// what it attests.
type AttestationFile struct {
	Source string // "git" or "registry"
	Name   string // file name, or the registry's manifest digest
	Image  string // hex digest of the image under which it was found
	Data   []byte
}

// ImageFacts is what an image's manifest says. For an index they are those of the
// host's platform.
type ImageFacts struct {
	Platform string // linux/amd64; empty when the manifest does not say
	Manifest string // hex digest of the platform's manifest; the image's own when it is no index
	Config   string // hex digest of the config, which Trivy calls ImageID
}

// SignatureFile is one detached signature. Its name says nothing about the signer.
type SignatureFile struct {
	Name string
	Data []byte
}

// envelope reports whether the file claims to be a DSSE envelope or a Sigstore bundle.
func (f SignatureFile) envelope() bool {
	return strings.HasSuffix(f.Name, ".dsse.json") || strings.HasSuffix(f.Name, ".sigstore.json")
}

// maxApprovalEnvelope bounds an envelope around approval.json, in bytes.
const maxApprovalEnvelope = 2*maxStatement + 32<<10

// Other is another release of the app that has an approval.
type Other struct {
	Digest   release.Digest
	Sequence int64
}

// ApprovalDir is where a release's approval lies in the repository.
func ApprovalDir(env, app string, digest release.Digest) string {
	return path.Join("approvals", env, app, string(digest))
}

// Gather reads the evidence of one release from the root of the evidence commit's
// tree. Every read is bounded: 64 files beside approval.json, 64 KiB of statement,
// 16 KiB a signature. What anybody could push (garbage, links, unknown files) is
// data, not an error: an error means that the tree could not be read.
func Gather(fsys fs.FS, env, app string, digest release.Digest) (Evidence, error) {
	e := Evidence{Environment: env, App: app, Digest: digest}
	if !nameForm.MatchString(env) || !nameForm.MatchString(app) || !hexDigest.MatchString(string(digest)) {
		return e, fmt.Errorf("gather evidence: %q, %q, %q do not name a release", env, app, digest)
	}
	dir := ApprovalDir(env, app, digest)
	entries, more, err := readDir(fsys, dir, maxSignatures+1)
	if err != nil {
		return e, fmt.Errorf("gather evidence: %w", err)
	}
	e.TooMany = more
	e.Heartbeat = readHeartbeat(fsys)
	for _, entry := range entries {
		if entry.Name() == StatementFile || e.TooMany {
			continue
		}
		if err := e.addFile(fsys, dir, entry); err != nil {
			return e, err
		}
	}
	if err := e.readStatement(fsys, dir); err != nil {
		return e, err
	}
	if len(e.Signatures)+len(e.Ignored) > maxSignatures {
		e.TooMany = true
	}
	if e.TooMany {
		e.Signatures, e.Ignored = nil, nil
	}
	if e.Statement == nil && e.Unreadable == "" {
		if err := e.lookForOthers(fsys); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (e *Evidence) readStatement(fsys fs.FS, dir string) error {
	data, why, err := readPlain(fsys, path.Join(dir, StatementFile), maxStatement)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("gather evidence: %w", err)
	}
	e.Statement, e.Unreadable = data, why
	return nil
}

// addFile sorts one file of the approval directory.
func (e *Evidence) addFile(fsys fs.FS, dir string, entry fs.DirEntry) error {
	name := entry.Name()
	ignore := func(code release.Code, why string) {
		e.Ignored = append(e.Ignored, found(code, Escape(name)+": "+why, ""))
	}
	switch {
	case !strings.HasSuffix(name, ".sig") && !SignatureFile{Name: name}.envelope():
		ignore(release.EvidenceIgnored, "not a signature file, ignored")
	default:
		limit := maxSSHSig
		if (SignatureFile{Name: name}).envelope() {
			limit = maxApprovalEnvelope
		}
		data, why, err := readPlain(fsys, path.Join(dir, name), limit)
		if err != nil {
			return fmt.Errorf("gather evidence: %w", err)
		}
		if why != "" {
			ignore(release.MalformedSignature, why)
			return nil
		}
		e.Signatures = append(e.Signatures, SignatureFile{Name: name, Data: data})
	}
	return nil
}

// lookForOthers reads the sequences of the app's other approvals.
func (e *Evidence) lookForOthers(fsys fs.FS) error {
	parent := path.Join("approvals", e.Environment, e.App)
	entries, _, err := readDir(fsys, parent, maxOthers)
	if err != nil {
		return fmt.Errorf("gather evidence: %w", err)
	}
	for _, entry := range entries {
		digest := release.Digest(entry.Name())
		if digest == e.Digest || !hexDigest.MatchString(entry.Name()) || !entry.IsDir() {
			continue
		}
		data, why, err := readPlain(fsys, path.Join(parent, entry.Name(), StatementFile), maxStatement)
		if errors.Is(err, fs.ErrNotExist) || why != "" {
			continue
		}
		if err != nil {
			return fmt.Errorf("gather evidence: %w", err)
		}
		s, err := ReadStatement(data)
		if err == nil && s.Digest == digest && s.App == e.App && s.Environment == e.Environment {
			e.Others = append(e.Others, Other{Digest: digest, Sequence: s.Sequence})
		}
	}
	return nil
}

// readDir lists at most limit entries, sorted by name, and says whether there are
// more. An absent directory is empty, and so is a name that is no directory.
func readDir(fsys fs.FS, dir string, limit int) (entries []fs.DirEntry, more bool, err error) {
	info, err := fs.Stat(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	f, err := fsys.Open(dir)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	list, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, false, fmt.Errorf("list %s: not listable", dir)
	}
	entries, err = list.ReadDir(limit + 1)
	if err != nil && err != io.EOF {
		return nil, false, fmt.Errorf("list %s: %w", dir, err)
	}
	more = len(entries) > limit
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	if more {
		entries = entries[:limit]
	}
	return entries, more, nil
}

// readPlain reads a plain file of at most limit bytes. why is set when it is there
// but must not or cannot be read whole.
func readPlain(fsys fs.FS, name string, limit int) (data []byte, why string, err error) {
	defer func() {
		// What the repository holds there is data, not a failure of reading it.
		switch reasonOf(err) {
		case release.EntryTooLarge:
			data, why, err = nil, fmt.Sprintf("longer than %d bytes", limit), nil
		case release.UnsafeEntry:
			data, why, err = nil, "not a plain file", nil
		}
	}()
	if plain, err := isPlain(fsys, name); err != nil {
		return nil, "", err
	} else if !plain {
		return nil, "not a plain file", nil
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > limit {
		return nil, fmt.Sprintf("longer than %d bytes", limit), nil
	}
	return data, "", nil
}

// reasonOf is the reason code that an error of the tree carries; "" when it has none.
func reasonOf(err error) release.Code {
	var coded interface{ ReasonCode() release.Code }
	if errors.As(err, &coded) {
		return coded.ReasonCode()
	}
	return ""
}

// isPlain looks at the entry itself, never at what a link points to.
func isPlain(fsys fs.FS, name string) (bool, error) {
	info, err := fs.Lstat(fsys, name)
	if err != nil {
		return false, err
	}
	return info.Mode().IsRegular(), nil
}
