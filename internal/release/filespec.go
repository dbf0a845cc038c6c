package release

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// FileSpec is a file that must be there before the containers that mount it. Its path
// ends in a sum of what it holds, its owner and its mode, so that a file never changes:
// another content is another path, and with it another specification.
type FileSpec struct {
	Path    string // absolute, on the host
	Kind    FileKind
	Name    string // of the config or secret
	Sum     string // SHA-256 of a config, the host's keyed sum of a secret; 32 hex
	UID     int
	GID     int
	Mode    uint32
	Content string // of a config; a secret's is the host's to know
}

// noSum stands where a host has not resolved a secret: a plan that is only judged.
const noSum = "unresolved"

func configSum(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:16])
}

// file is the file of one use.
func (p plan) file(use FileUse) (FileSpec, error) {
	f := FileSpec{Kind: use.Kind, Name: use.Source, UID: use.UID, GID: use.GID, Mode: use.Mode}
	switch use.Kind {
	case ConfigFile:
		i := slices.IndexFunc(p.Configs, func(c Config) bool { return c.Name == use.Source })
		if i < 0 {
			return f, fmt.Errorf("there is no config %q", use.Source)
		}
		f.Content = p.Configs[i].Content
		f.Sum = configSum(f.Content)
	case SecretFile:
		if f.Sum = p.host.Given.Secrets[use.Source]; f.Sum == "" {
			f.Sum = noSum
		}
	}
	if p.host.Files == "" {
		return f, errors.New("the host has no directory for files")
	}
	f.Path = path.Join(p.host.Files, p.owner(p.colour), string(use.Kind)+"s", fmt.Sprintf("%s-%d-%d-%04o", f.Sum, f.UID, f.GID, f.Mode))
	return f, nil
}

// fileSpecs are the files that the services mount, each once, by path.
func (p plan) fileSpecs(services []Service) ([]FileSpec, error) {
	var out []FileSpec
	for _, s := range services {
		for _, use := range s.Files {
			f, err := p.file(use)
			if err != nil {
				return nil, fmt.Errorf("plan %s: %s: %w", p.App, s.Name, err)
			}
			if !slices.ContainsFunc(out, func(x FileSpec) bool { return x.Path == f.Path }) {
				out = append(out, f)
			}
		}
	}
	slices.SortFunc(out, func(a, b FileSpec) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// MountFile is the type of a mount of one of teal's own files. Nothing in a manifest
// says it: it is a bind that only Plan makes, and needs no leave of the host's policy.
const MountFile = "file"

// fileMounts mount the service's files, read-only.
func (p plan) fileMounts(s Service) ([]Mount, error) {
	var out []Mount
	for _, use := range s.Files {
		f, err := p.file(use)
		if err != nil {
			return nil, err
		}
		out = append(out, Mount{Type: MountFile, Source: f.Path, Target: use.Target, ReadOnly: true})
	}
	return out, nil
}
