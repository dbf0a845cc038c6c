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
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	acceptedFile = "accepted.json"
	// acceptedMax bounds the file: 64 refs with 1,000 apps each that changed.
	acceptedMax = 8 << 20
)

// accepted is <Dir>/accepted.json: what was accepted last, for each ref that was ever
// followed here. It is the only memory of how far history has moved.
//
// There are two versions of the file. Version 1 knows branches by name and a commit for
// each. Version 2 knows refs by full name, with what several of them need. Both are
// read; version 1 is written as long as it can hold what there is, so that an agent that
// knows nothing else still opens it.
type accepted struct {
	RepoID string
	Refs   map[string]record // by full name
	// Look counts the looks that changed this record while several refs were followed.
	Look uint64
}

// record is one ref's last accepted commit.
type record struct {
	Commit string    `json:"commit"` // 40 hex
	At     time.Time `json:"at"`
	// Refused is a head that did not descend from Commit, until one does.
	Refused string `json:"refused,omitempty"`
	// Gone: the repository has no such ref any more. Should it come back, it has to
	// descend from Commit all the same.
	Gone bool `json:"gone,omitempty"`
	// First is the look that accepted the ref first, and Apps the look that last changed
	// the directory of an app after that. Zero comes before all looks.
	First uint64            `json:"first,omitempty"`
	Apps  map[string]uint64 `json:"apps,omitempty"`
}

func (r record) equal(o record) bool {
	return r.Commit == o.Commit && r.At.Equal(o.At) && r.Refused == o.Refused && r.Gone == o.Gone && r.First == o.First && maps.Equal(r.Apps, o.Apps)
}

func (a accepted) equal(o accepted) bool {
	return a.RepoID == o.RepoID && maps.EqualFunc(a.Refs, o.Refs, record.equal)
}

// Sum in each version is the SHA-256 (hex) of the object's JSON with Sum empty: a bit
// that flips on the disk must not turn into another commit.
type acceptedV1 struct {
	Version  int                 `json:"version"`
	RepoID   string              `json:"repoId"`
	Branches map[string]recordV1 `json:"branches"`
	Sum      string              `json:"sum"`
}

type recordV1 struct {
	Commit  string    `json:"commit"`
	At      time.Time `json:"at"`
	Refused string    `json:"refused,omitempty"`
}

type acceptedV2 struct {
	Version int               `json:"version"`
	RepoID  string            `json:"repoId"`
	Refs    map[string]record `json:"refs"`
	Look    uint64            `json:"look,omitempty"`
	Sum     string            `json:"sum"`
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
	a, err := decodeAccepted(data)
	if err != nil {
		return accepted{}, err
	}
	for _, r := range a.Refs {
		if !commitHex.MatchString(r.Commit) {
			return accepted{}, fmt.Errorf("%w: it holds a commit that is none", errStateDamaged)
		}
	}
	return a, nil
}

func decodeAccepted(data []byte) (accepted, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return accepted{}, fmt.Errorf("%w: %w", errStateDamaged, err)
	}
	switch head.Version {
	case 1:
		var v acceptedV1
		if err := decodeStrictly(data, &v, &v.Sum); err != nil {
			return accepted{}, err
		}
		a := accepted{RepoID: v.RepoID, Refs: make(map[string]record)}
		for name, b := range v.Branches {
			a.Refs[branchRef(name)] = record{Commit: b.Commit, At: b.At, Refused: b.Refused}
		}
		return a, nil
	case 2:
		var v acceptedV2
		if err := decodeStrictly(data, &v, &v.Sum); err != nil {
			return accepted{}, err
		}
		if v.Refs == nil {
			v.Refs = make(map[string]record)
		}
		return accepted{RepoID: v.RepoID, Refs: v.Refs, Look: v.Look}, nil
	}
	return accepted{}, fmt.Errorf("%w: version %d is not one that this teal reads", errStateDamaged, head.Version)
}

// decodeStrictly fills v, whose sum is compared with what the rest of it gives.
func decodeStrictly(data []byte, v any, sum *string) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", errStateDamaged, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows it", errStateDamaged)
	}
	have := *sum
	*sum = ""
	want, err := sumOf(v)
	*sum = have
	if err != nil {
		return err
	}
	if have != want {
		return fmt.Errorf("%w: its checksum is wrong", errStateDamaged)
	}
	return nil
}

func sumOf(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", acceptedFile, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// old gives the record as version 1; ok is false when that cannot hold it.
func (a accepted) old() (v acceptedV1, ok bool) {
	v = acceptedV1{Version: 1, RepoID: a.RepoID, Branches: make(map[string]recordV1)}
	for full, r := range a.Refs {
		name, branch := strings.CutPrefix(full, branchPrefix)
		if !branch || r.Gone || r.First != 0 || len(r.Apps) > 0 {
			return v, false
		}
		v.Branches[name] = recordV1{r.Commit, r.At, r.Refused}
	}
	return v, a.Look == 0
}

// save replaces the record durably.
func (a accepted) save(dir string) error {
	var file any
	if v, ok := a.old(); ok {
		sum, err := sumOf(v)
		if err != nil {
			return err
		}
		v.Sum = sum
		file = v
	} else {
		v := acceptedV2{Version: 2, RepoID: a.RepoID, Refs: a.Refs, Look: a.Look}
		sum, err := sumOf(v)
		if err != nil {
			return err
		}
		v.Sum = sum
		file = v
	}
	data, err := json.MarshalIndent(file, "", "  ")
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
