package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// What a host added to an accepted release lies with it, so that going back needs no key
// and no source:
//
//	<releases>/<digest>/inputs/<inputs>/given.json    sums and host values
//	<releases>/<digest>/inputs/<inputs>/secrets/<name>  0400
//
// It appears whole or not at all, and is checked against its inputs at each reading.

const (
	inputsDir  = "inputs"
	givenFile  = "given.json"
	secretsDir = "secrets"
	maxGiven   = 1 << 20
)

var (
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	inputsForm = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// keptFile is given.json.
type keptFile struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	App        string `json:"app"`
	release.Given
}

func (v *Vault) dir(t release.Target) (string, error) {
	if !digestForm.MatchString(string(t.Digest)) || !inputsForm.MatchString(t.Inputs) {
		return "", fmt.Errorf("%s is no target", clip(string(t.Digest)+" "+t.Inputs))
	}
	return filepath.Join(v.Releases, string(t.Digest), inputsDir, t.Inputs), nil
}

// Keep stores what was resolved under the target's inputs with the stored release. When
// nobody remembers it (the agent was started anew in between) it is resolved again, and
// must come to the same.
func (v *Vault) Keep(rel *release.Release, here []string, target release.Target) error {
	if _, err := v.Kept(target); err == nil {
		v.unpin(rel.App)
		return nil
	}
	p, ok := v.pin(rel.App, target.Inputs)
	if !ok {
		_, inputs, err := v.Resolve(rel, here)
		if err != nil {
			return err
		}
		if p, ok = v.pin(rel.App, target.Inputs); !ok {
			return refuse(release.InputsChanged, fmt.Sprintf("the host's secrets or values are others by now: inputs %s, not %s", inputs, target.Inputs), nil)
		}
	}
	dir, err := v.dir(target)
	if err == nil {
		err = v.keep(dir, rel.App, p)
	}
	if err != nil {
		code := release.FileNotWritten
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			code = release.DiskFull
		}
		return refuse(code, "keep the secrets of "+target.Digest.Short(), err)
	}
	v.unpin(rel.App)
	return nil
}

// unpin forgets what was resolved before the newest: what the app was verified with is
// kept by now, and values of before have no business in memory.
func (v *Vault) unpin(app string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if pins := v.pins[app]; len(pins) > 1 {
		v.pins[app] = slices.Clone(pins[:1])
	}
}

func (v *Vault) pin(app, inputs string) (pinned, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.pins[app] {
		if p.inputs == inputs {
			return p, true
		}
	}
	return pinned{}, false
}

func (v *Vault) keep(dir, app string, p pinned) (err error) {
	data, err := json.MarshalIndent(keptFile{"teal/v1", "Given", app, p.given}, "", "  ")
	if err != nil {
		return err
	}
	above := filepath.Dir(dir)
	if err := makeDirs(filepath.Dir(filepath.Dir(above)), above); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(above, beside) // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // nothing is left of it after the rename
	uid, gid := os.Geteuid(), os.Getegid()
	if len(p.values) > 0 {
		if err := makeDirs(temp, filepath.Join(temp, secretsDir)); err != nil {
			return err
		}
	}
	for name, value := range p.values {
		if err := writeFile(filepath.Join(temp, secretsDir, name), value, uid, gid, 0o400); err != nil {
			return err
		}
	}
	if err := writeFile(filepath.Join(temp, givenFile), append(data, '\n'), uid, gid, 0o400); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // damaged, or it would have been left alone
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return err
	}
	return syncDir(above)
}

// Kept is what the host added to a stored release. An error is a *rollout.EffectError
// inputs_lost that holds: nobody can make it up.
func (v *Vault) Kept(target release.Target) (release.Given, error) {
	k, err := v.kept(target)
	if err != nil {
		return release.Given{}, lost(target, err)
	}
	return k.Given, nil
}

func lost(target release.Target, err error) error {
	return &rollout.EffectError{Fault: rollout.FaultHold, Code: release.InputsLost, Detail: "read what this host added to " + target.Digest.Short(), Err: err}
}

func (v *Vault) kept(target release.Target) (k keptFile, err error) {
	dir, err := v.dir(target)
	if err != nil {
		return k, err
	}
	data, err := readKept(filepath.Join(dir, givenFile), maxGiven)
	if err != nil {
		return k, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return k, fmt.Errorf("read %s: %w", givenFile, err)
	}
	if inputsOf(v.Key, k.Given) != target.Inputs {
		return k, errors.New("it has other inputs than it was kept for")
	}
	for name := range k.Secrets {
		if _, err := v.valueOf(dir, k, name); err != nil {
			return k, err
		}
	}
	return k, nil
}

// value is one kept secret.
func (v *Vault) value(target release.Target, name string) (Secret, error) {
	k, err := v.kept(target)
	if err == nil {
		var dir string
		if dir, err = v.dir(target); err == nil {
			var value Secret
			if value, err = v.valueOf(dir, k, name); err == nil {
				return value, nil
			}
		}
	}
	return nil, lost(target, err)
}

func (v *Vault) valueOf(dir string, k keptFile, name string) (Secret, error) {
	if strings.ContainsAny(name, "/\x00") || name == "" || name == "." || name == ".." {
		return nil, fmt.Errorf("%s is not the name of a secret", clip(name))
	}
	value, err := readKept(filepath.Join(dir, secretsDir, name), MaxSecret)
	if err != nil {
		return nil, err
	}
	if sum(v.Key, k.App, name, value) != k.Secrets[name] {
		return nil, fmt.Errorf("the kept secret %s is damaged", name)
	}
	return value, nil
}

// readKept reads at most most bytes of a plain file.
func readKept(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	return data, err
}

// keptDirs are the directories <releases>/*/inputs/*. The state directory may have any name,
// so that this is no pattern.
func (v *Vault) keptDirs() (found []string, err error) {
	digests, err := os.ReadDir(v.Releases)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var errs []error
	for _, d := range digests {
		above := filepath.Join(v.Releases, d.Name(), inputsDir)
		inputs, err := os.ReadDir(above)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			errs = append(errs, err)
		}
		for _, i := range inputs {
			found = append(found, filepath.Join(above, i.Name()))
		}
	}
	return found, errors.Join(errs...)
}

// Forget removes what was kept for the app's targets but those to keep. What cannot be
// read is left: it may be somebody's.
func (v *Vault) Forget(app string, keep []release.Target) error {
	found, err := v.keptDirs()
	errs := []error{err}
	for _, dir := range found {
		t := release.Target{Digest: release.Digest(filepath.Base(filepath.Dir(filepath.Dir(dir)))), Inputs: filepath.Base(dir)}
		if _, err := v.dir(t); err != nil || slices.Contains(keep, t) {
			continue
		}
		data, err := readKept(filepath.Join(dir, givenFile), maxGiven)
		var k keptFile
		if err != nil || json.Unmarshal(data, &k) != nil || k.App != app {
			continue
		}
		errs = append(errs, os.RemoveAll(dir), syncDir(filepath.Dir(dir)))
	}
	return errors.Join(errs...)
}

// Sweep removes what a crash left beside what was kept. Call it before the first Keep.
func (v *Vault) Sweep() error {
	found, err := v.keptDirs()
	errs := []error{err}
	for _, dir := range found {
		if strings.HasPrefix(filepath.Base(dir), beside) {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(append(errs, v.files.Sweep())...)
}
