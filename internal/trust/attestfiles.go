package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Where an attestation was found (AttestationFile.Source).
const (
	SourceGit      = "git"
	SourceRegistry = "registry"
)

// MaxReleaseAttestation bounds the attestations of one release in all, in bytes.
const MaxReleaseAttestation = 64 << 20

// AttestationDir is where the attestations of an image lie in the repository.
func AttestationDir(hex string) string { return path.Join("attestations", "sha256", hex) }

// GatherAttestations reads the attestations of images (64 hex digits each) from the root
// of the evidence commit's tree: attestations/sha256/<hex>/*.dsse.json and
// *.sigstore.json, plain files of at most 16 MiB, 64 an image, 64 MiB in all. tooLarge
// says what was more than that; then nothing can be concluded from what was read. What
// anybody could push is data, not an error.
func GatherAttestations(fsys fs.FS, images []string) (files []AttestationFile, tooLarge string, err error) {
	total := 0
	for _, hex := range images {
		if !hexDigest.MatchString(hex) {
			return nil, "", fmt.Errorf("gather attestations: %q is no image digest", hex)
		}
		dir := AttestationDir(hex)
		entries, more, err := readDir(fsys, dir, maxSignatures)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("gather attestations: %w", err)
		}
		if more {
			return nil, fmt.Sprintf("more than %d files in %s", maxSignatures, dir), nil
		}
		for _, entry := range entries {
			if !(SignatureFile{Name: entry.Name()}).envelope() {
				continue
			}
			name := path.Join(dir, entry.Name())
			data, why, err := readPlain(fsys, name, min(MaxAttestation, MaxReleaseAttestation-total))
			if err != nil {
				return nil, "", fmt.Errorf("gather attestations: %w", err)
			}
			if why == "not a plain file" {
				continue
			}
			if why != "" {
				return nil, fmt.Sprintf("%s: %s", name, why), nil
			}
			total += len(data)
			files = append(files, AttestationFile{Source: SourceGit, Name: name, Image: hex, Data: data})
		}
	}
	return files, "", nil
}
