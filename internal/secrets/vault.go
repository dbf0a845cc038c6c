package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Config is what a host adds to releases.
type Config struct {
	Key         []byte                       // of the sums, 32 bytes
	Releases    string                       // directory of the stored releases
	Identity    string                       // age identity file; "": none
	Credentials string                       // $CREDENTIALS_DIRECTORY
	Sources     map[string]map[string]Source // app → secret → where the host has it
	Host        string                       // name
	Labels      map[string]string            // of the host
}

// Vault resolves what a host adds to a release, and keeps it with the release.
//
// What was resolved is remembered under its inputs until it is kept: what is written is
// what was hashed, whatever the source holds by then.
type Vault struct {
	Config
	files *Files
	now   func() time.Time

	mu     sync.Mutex          // guards the rest
	pins   map[string][]pinned // app → what was resolved, newest first
	opened map[string]opened   // app → the age files of its release: opening is slow
	last   map[string]Secret   // app/name → what the host's source held last
	busy   map[string]bool     // paths that are being read
}

// pinned is one resolution.
type pinned struct {
	inputs string
	given  release.Given
	values map[string]Secret
}

// opened are age files by place and SHA-256, with what came of opening them. What an app's
// release does not name any more is forgotten with the next look at it.
type opened map[string]unsealed

// unsealed is one age file's value, or why it could not be opened with the identity whose
// sum this is: another identity file is another try.
type unsealed struct {
	value    Secret
	err      error
	identity [sha256.Size]byte
}

const (
	maxPins = 4 // of one app
	// settles is how long a changed file must have been left alone before it counts: who
	// writes a secret in two steps must not have the first one deployed.
	settles = 2 * time.Second
)

// NewVault keeps values beside the stored releases and writes files with f.
func NewVault(c Config, f *Files) *Vault {
	return &Vault{Config: c, files: f, now: time.Now, pins: map[string][]pinned{}, opened: map[string]opened{}, last: map[string]Secret{}, busy: map[string]bool{}}
}

// Item is one thing that a release asks of the host.
type Item struct {
	Name   string
	Kind   string // secret or hostEnv
	Source string // for people: age file, file, credential, label or name
	Sum    string // keyed sum of a secret, the value of a hostEnv variable
	Err    error  // a *rollout.EffectError; nil: it is there

	value Secret
}

// fmt does not ask unexported fields how they want to be printed.

// Format keeps the value out of every fmt verb.
func (i Item) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s %s", i.Kind, i.Name) }

// Format keeps the value out of every fmt verb.
func (u unsealed) Format(f fmt.State, _ rune) { fmt.Fprint(f, u.value) }

// Format keeps the values out of every fmt verb.
func (p pinned) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "inputs %s", p.inputs) }

// Inspect reads all that the release asks of the host, now.
func (v *Vault) Inspect(rel *release.Release) []Item {
	var items []Item
	var id hostIdentity
	before, now := v.openedOf(rel.App), opened{}
	used := map[string]bool{} // another host's services may use others
	for _, s := range rel.Services {
		for _, f := range s.Files {
			used[f.Source] = used[f.Source] || f.Kind == release.SecretFile
		}
	}
	for _, s := range rel.Secrets {
		if !used[s.Name] {
			continue
		}
		i := Item{Name: s.Name, Kind: "secret", Source: "age file " + s.File}
		if s.External() {
			i.Source = "not configured"
			if source, ok := v.Sources[rel.App][s.Name]; ok {
				i.Source = source.String()
			}
			i.value, i.Err = v.external(rel.App, s.Name)
		} else {
			i.value, i.Err = v.open(Place{rel.Environment, rel.App, s.Name}, s, &id, before, now)
		}
		if i.Err == nil {
			i.Sum = sum(v.Key, rel.App, s.Name, i.value)
		}
		items = append(items, i)
	}
	for _, name := range sorted(rel.HostEnv) {
		i := Item{Name: name, Kind: "hostEnv", Source: rel.HostEnv[name]}
		var ok bool
		if i.Sum, ok = release.HostValue(i.Source, v.Host, v.Labels); !ok {
			i.Err = refuse(release.HostLabelMissing, fmt.Sprintf("host %s has no %s, which hostEnv.%s asks for", v.Host, i.Source, name), nil)
		}
		items = append(items, i)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.opened[rel.App] = now; len(now) == 0 {
		delete(v.opened, rel.App)
	}
	return items
}

func (v *Vault) openedOf(app string) opened {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.opened[app] // never changed once it is there
}

// Resolve reads all that the release asks of the host, now, and gives its inputs. An
// error is a *rollout.EffectError whose code says what is missing.
func (v *Vault) Resolve(rel *release.Release, here []string) (release.Given, string, error) {
	p := pinned{values: map[string]Secret{}, given: release.Given{Services: here}}
	for _, i := range v.Inspect(rel) {
		if i.Err != nil {
			return release.Given{}, "", i.Err
		}
		to := &p.given.Env
		if i.Kind == "secret" {
			to = &p.given.Secrets
			p.values[i.Name] = i.value
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[i.Name] = i.Sum
	}
	p.inputs = inputsOf(v.Key, p.given)
	v.mu.Lock()
	defer v.mu.Unlock()
	pins := slices.DeleteFunc(v.pins[rel.App], func(x pinned) bool { return x.inputs == p.inputs })
	pins = slices.Insert(pins, 0, p)
	v.pins[rel.App] = pins[:min(len(pins), maxPins)]
	return p.given, p.inputs, nil
}

// refuse is an error that a later look may not give.
func refuse(code release.Code, detail string, err error) error {
	return &rollout.EffectError{Fault: rollout.FaultRetry, Code: code, Detail: detail, Err: err}
}

// external reads a secret where agent.yaml says that the host has it.
func (v *Vault) external(app, name string) (Secret, error) {
	what := fmt.Sprintf("secret %s of %s", name, app)
	source, ok := v.Sources[app][name]
	if !ok {
		return nil, refuse(release.SecretMissing, what+": agent.yaml does not say where host "+v.Host+" has it", nil)
	}
	what += ", " + source.String()
	path, err := source.path(v.Credentials)
	if err != nil {
		return nil, refuse(release.SecretMissing, what, err)
	}
	value, modified, err := v.read(path)
	v.mu.Lock()
	defer v.mu.Unlock()
	key := app + "/" + name
	before, had := v.last[key]
	// Somebody is writing it: what it held before still holds.
	fresh := v.now().Sub(modified) < settles && v.now().After(modified)
	if had && (errors.Is(err, errChanging) || fresh && (err == nil || errors.Is(err, ErrEmpty))) {
		return before, nil
	}
	switch {
	case err == nil:
		v.last[key] = value
		return value, nil
	case errors.Is(err, fs.ErrNotExist) && source.Credential != "":
		return nil, refuse(release.SecretMissing, what+": the agent's unit on host "+v.Host+" does not load it; write LoadCredential="+source.Credential+":/path there and start the agent again", nil)
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse(release.SecretMissing, what+": no such file on host "+v.Host, nil)
	case errors.Is(err, ErrEmpty):
		return nil, refuse(release.SecretEmpty, what, err)
	case errors.Is(err, ErrTooLarge):
		return nil, refuse(release.SecretTooLarge, what, err)
	}
	return nil, refuse(release.SecretUnreadable, what, err)
}

// hostIdentity is the host's age identity, read when it is needed first.
type hostIdentity struct {
	read bool
	ids  []age.Identity
	sum  [sha256.Size]byte // of the file
	err  error
}

func (v *Vault) identity(id *hostIdentity) error {
	if !id.read {
		id.read = true
		id.ids, id.sum, id.err = loadIdentity(v.Identity)
	}
	return id.err
}

// open opens a sealed secret, or says what came of it the last time: an age file with many
// recipients costs much to try, and nobody has approved it yet.
func (v *Vault) open(place Place, s release.Secret, id *hostIdentity, before, now opened) (Secret, error) {
	hash := sha256.Sum256(s.Sealed)
	key := place.String() + " " + hex.EncodeToString(hash[:])
	had, known := before[key]
	if known && had.err == nil {
		now[key] = had
		return had.value, nil
	}
	what := fmt.Sprintf("secret %s of %s, %s", s.Name, place.App, clip(s.File))
	if v.Identity == "" {
		return nil, refuse(release.IdentityMissing, what+": agent.yaml names no identity", nil)
	}
	if err := v.identity(id); err != nil {
		return nil, refuse(release.IdentityMissing, what, err)
	}
	if !known || had.identity != id.sum {
		had = unsealed{identity: id.sum}
		had.value, had.err = Open(place, s.Sealed, id.ids)
	}
	now[key] = had
	switch err := had.err; {
	case errors.Is(err, ErrMisplaced):
		return nil, refuse(release.SecretMisplaced, what, err)
	case errors.Is(err, ErrEmpty):
		return nil, refuse(release.SecretEmpty, what, err)
	case errors.Is(err, ErrTooLarge):
		return nil, refuse(release.SecretTooLarge, what, err)
	case err != nil:
		return nil, refuse(release.SecretUnopened, what, err)
	}
	return had.value, nil
}

// Write sees that the files of a target are there, secrets from what was kept with it.
func (v *Vault) Write(target release.Target, files []release.FileSpec) error {
	for _, spec := range files {
		content := Secret(spec.Content)
		if spec.Kind == release.SecretFile {
			var err error
			if content, err = v.value(target, spec.Name); err != nil {
				return err
			}
		}
		if err := written(spec, v.files.write(spec, content)); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes files that nothing mounts any more; gone is fine.
func (v *Vault) Remove(files []release.FileSpec) error { return v.files.Remove(files) }

// Clear removes all files of an app that has no containers any more.
func (v *Vault) Clear(app string) error { return v.files.clear(app) }

// Stamp tells whether the host's sources may have changed since another Stamp: it looks
// at the files and reads none.
func (v *Vault) Stamp() string {
	h := sha256.New()
	for _, app := range sorted(v.Sources) {
		for _, name := range sorted(v.Sources[app]) {
			path, err := v.Sources[app][name].path(v.Credentials)
			if err != nil {
				continue
			}
			info, err := os.Stat(path)
			if err != nil {
				fmt.Fprintf(h, "%s none\n", path)
				continue
			}
			// Settled or not is part of it: a change counts once the file is left alone.
			fmt.Fprintf(h, "%s %d %d %t\n", path, info.Size(), info.ModTime().UnixNano(), v.now().Sub(info.ModTime()) > settles)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
