package gitops

import (
	"bytes"
	"errors"
	"io"
	"io/fs"

	yaml "go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

// IdentityFile is the file at the root of a repository that says what it is.
const IdentityFile = "teal.yaml"

type identity struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	RepoID     string `yaml:"repoId"`
}

const identityMax = 64 << 10

// RepoID reads repoId of teal.yaml at the snapshot's root. Errors are *Error with
// code repo_id_mismatch, or whatever reading the tree gave.
func (s Snapshot) RepoID() (string, error) {
	if s.objs == nil {
		return "", refuse(release.RepoIDMismatch, "there is no commit yet")
	}
	limits := s.parents()
	limits.File = identityMax
	data, err := newTreeFS(s.objs, s.tree, ".", limits).ReadFile(IdentityFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", refuse(release.RepoIDMismatch, "%s is missing at the root of commit %s", IdentityFile, s.Commit())
	}
	if err != nil {
		return "", err
	}
	var id identity
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err = dec.Decode(&id)
	if err == nil {
		if more := dec.Decode(new(yaml.Node)); !errors.Is(more, io.EOF) {
			err = errors.New("it holds more than one document")
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", refuse(release.RepoIDMismatch, "%s at commit %s does not parse: %s", IdentityFile, s.Commit(), escape(err.Error(), 200))
	}
	if id.APIVersion != "teal/v1" || id.Kind != "Repository" || !uuid.MatchString(id.RepoID) {
		return "", refuse(release.RepoIDMismatch, "%s at commit %s must hold apiVersion: teal/v1, kind: Repository and a lower-case UUID as repoId", IdentityFile, s.Commit())
	}
	return id.RepoID, nil
}

// checkIdentity compares the snapshot's repoId with the pinned one.
func checkIdentity(s Snapshot, want string) error {
	id, err := s.RepoID()
	if err != nil {
		return err
	}
	if id != want {
		return refuse(release.RepoIDMismatch, "%s at commit %s says repoId %s, this host pins %s", IdentityFile, s.Commit(), id, want)
	}
	return nil
}
