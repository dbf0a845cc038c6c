package gitops

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

const (
	acceptedFile    = "accepted.json"
	acceptedVersion = 1
	acceptedMax     = 1 << 20
)

// accepted is <Dir>/accepted.json: what was accepted last, for each branch that was
// ever followed here. It is the only memory of how far history has moved.
type accepted struct {
	Version  int               `json:"version"`
	RepoID   string            `json:"repoId"`
	Branches map[string]record `json:"branches"`
	// Sum is the SHA-256 (hex) of this object's JSON with Sum empty: a bit that flips on
	// the disk must not turn into another commit.
	Sum string `json:"sum"`
}

// record is one branch's last accepted commit.
type record struct {
	Commit string    `json:"commit"` // 40 hex
	At     time.Time `json:"at"`
	// Refused is a head that did not descend from Commit, until one does.
	Refused string `json:"refused,omitempty"`
}

var (
	errStateDamaged = errors.New("accepted.json is damaged")
	commitHex       = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// loadAccepted reads the record. Nothing there is fs.ErrNotExist; whatever does not
// read back exactly as it was written is errStateDamaged.
func loadAccepted(dir string) (accepted, error) {
	f, err := os.Open(filepath.Join(dir, acceptedFile))
	if err != nil {
		return accepted{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, acceptedMax+1))
	if err != nil {
		return accepted{}, fmt.Errorf("%w: %w", errStateDamaged, err)
	}
	if len(data) > acceptedMax {
		return accepted{}, fmt.Errorf("%w: larger than %d bytes", errStateDamaged, acceptedMax)
	}
	var a accepted
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		return accepted{}, fmt.Errorf("%w: %w", errStateDamaged, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return accepted{}, fmt.Errorf("%w: something follows it", errStateDamaged)
	}
	if a.Version != acceptedVersion {
		return accepted{}, fmt.Errorf("%w: version %d is not one that this teal reads", errStateDamaged, a.Version)
	}
	sum, err := a.sum()
	if err != nil {
		return accepted{}, err
	}
	if sum != a.Sum {
		return accepted{}, fmt.Errorf("%w: its checksum is wrong", errStateDamaged)
	}
	for _, r := range a.Branches {
		if !commitHex.MatchString(r.Commit) {
			return accepted{}, fmt.Errorf("%w: it holds a commit that is none", errStateDamaged)
		}
	}
	return a, nil
}

func (a accepted) sum() (string, error) {
	a.Sum = ""
	data, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", acceptedFile, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// save replaces the record durably.
func (a accepted) save(dir string) error {
	a.Version = acceptedVersion
	sum, err := a.sum()
	if err != nil {
		return err
	}
	a.Sum = sum
	data, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", acceptedFile, err)
	}
	return replaceFile(filepath.Join(dir, acceptedFile), append(data, '\n'))
}

// replaceFile writes a file so that after a crash either the old or the new content
// is there: temp, fsync, rename, fsync of the directory.
func replaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
