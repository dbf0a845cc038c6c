package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// stateVersion is the version of the state's form. A newer one is not read.
const stateVersion = 1

const maxState = 64 << 20

// saved is the state as it stands on disk.
type saved struct {
	Seq  uint64         `json:"seq"` // of the last event when it was written
	Apps map[string]App `json:"apps"`

	newer bool // it was written by a newer version
}

// envelope protects it: a changed byte shows.
type envelope struct {
	Version int             `json:"version"`
	SHA256  string          `json:"sha256"` // of the state's bytes
	State   json.RawMessage `json:"state"`
}

// store is the state directory: the state, and the good one before it.
type store struct {
	dir   string
	write func(file string, data []byte) error
	good  bool // state.json is one that was read or written whole
}

func newStore(dir string) *store { return &store{dir: dir, write: writeSynced} }

func (s *store) path() string { return filepath.Join(s.dir, "state.json") }
func (s *store) last() string { return filepath.Join(s.dir, "state.json.last") }

var errNewer = errors.New("it was written by a newer version")

// load reads the state, or else the good copy before it, and says so in note. No state
// at all is an empty one: the first start. One that is there and cannot be read is an
// error, never an empty one.
func (s *store) load() (st saved, note string, err error) {
	st, err = s.read(s.path())
	if err == nil {
		s.good = true
		return st, "", nil
	}
	before, berr := s.read(s.last())
	switch {
	case berr == nil:
		return before, fmt.Sprintf("the state %s is unreadable (%v): serving the good copy before it, which may be one switch behind", s.path(), err), nil
	case errors.Is(err, fs.ErrNotExist) && errors.Is(berr, fs.ErrNotExist):
		return saved{}, "", nil
	}
	newer := errors.Is(err, errNewer) || errors.Is(berr, errNewer)
	next := "restore one of them from a backup, or start once with -accept-empty: unknown hosts are then answered 503 until the agent has put each app again"
	if newer {
		next = "start the version that wrote it"
	}
	return saved{newer: newer}, "", fmt.Errorf("the state cannot be read: %s: %w; %s: %w; %s", s.path(), err, s.last(), berr, next)
}

func (s *store) read(file string) (saved, error) {
	f, err := os.Open(file)
	if err != nil {
		return saved{}, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return saved{}, err
	}
	if info.Size() > maxState {
		return saved{}, errors.New("it is too large")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return saved{}, err
	}
	return decodeState(data)
}

func decodeState(data []byte) (st saved, err error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return st, fmt.Errorf("it is not a state: %w", err)
	}
	if version.Version > stateVersion {
		return st, fmt.Errorf("%w (%d, this one reads up to %d)", errNewer, version.Version, stateVersion)
	}
	var e envelope
	if err := strict(data, &e); err != nil {
		return st, fmt.Errorf("it is not a state: %w", err)
	}
	if e.Version != stateVersion {
		return st, fmt.Errorf("it has the version %d", e.Version)
	}
	if sum := sha256.Sum256(e.State); hex.EncodeToString(sum[:]) != e.SHA256 {
		return st, errors.New("its checksum is wrong")
	}
	if err := strict(e.State, &st); err != nil {
		return saved{}, fmt.Errorf("it is not a state: %w", err)
	}
	if len(st.Apps) > maxApps {
		return saved{}, errors.New("it has too many apps")
	}
	for name, app := range st.Apps {
		app = app.normal()
		if err := app.validate(name); err != nil {
			return saved{}, fmt.Errorf("app %q: %w", short(name), err)
		}
		st.Apps[name] = app
	}
	apps := map[string]*generation{}
	for name, app := range st.Apps {
		apps[name] = &generation{app: name, config: app}
	}
	_, err = newTable(apps)
	return st, err
}

// strict decodes one JSON value and nothing else.
func strict(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the value")
	}
	return nil
}

func encodeState(st saved) ([]byte, error) {
	state, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(state)
	data, err := json.Marshal(envelope{Version: stateVersion, SHA256: hex.EncodeToString(sum[:]), State: state})
	return append(data, '\n'), err
}

// save replaces the state. The good one is kept under its other name first, so that at
// no instant there is none.
func (s *store) save(st saved) error {
	data, err := encodeState(st)
	if err != nil {
		return err
	}
	if len(data) > maxState {
		return fmt.Errorf("the state has %d bytes, more than a start would read", len(data))
	}
	next := filepath.Join(s.dir, "state.json.new")
	if err := s.write(next, data); err != nil {
		return err
	}
	if s.good {
		spare := filepath.Join(s.dir, "state.json.spare")
		if err := os.Remove(spare); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Link(s.path(), spare); err != nil {
			return err
		}
		if err := os.Rename(spare, s.last()); err != nil {
			return err
		}
	}
	if err := os.Rename(next, s.path()); err != nil {
		return err
	}
	s.good = true
	return syncDir(s.dir)
}

// setAside keeps unreadable states under another name, for whoever looks into it.
func (s *store) setAside(now time.Time) error {
	var errs []error
	for _, file := range []string{s.path(), s.last()} {
		err := os.Rename(file, file+".unreadable-"+now.UTC().Format("20060102T150405Z"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, syncDir(s.dir))...)
}

func writeSynced(file string, data []byte) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// save writes the table's state down, under p.mu. A failure does not stop a switch:
// going back must work on a full disk. It is said, and tried again.
func (p *Proxy) save(t *table) {
	st := saved{Seq: p.events.last(), Apps: map[string]App{}}
	for name, g := range t.apps {
		st.Apps[name] = g.config
	}
	was := p.durable
	err := p.store.save(st)
	p.durable = err == nil
	switch {
	case err != nil:
		if was {
			p.log.Error("state not written", "err", err)
			p.alarm("", fmt.Sprintf("the state is not on disk, a restart would serve an older one: %v", err))
		}
	case !was:
		p.log.Info("state written again")
	}
}

const saveAgain = 5 * time.Second

// keep tries to write the state down for as long as it is not, until ctx ends, and then
// once more.
func (p *Proxy) keep(ctx context.Context) {
	tick := time.NewTicker(saveAgain)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		p.mu.Lock()
		if !p.durable {
			p.save(p.table.Load())
		}
		p.mu.Unlock()
	}
}

// Problems is what a person should know now, empty when all is well.
func (p *Proxy) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	if !p.durable {
		out = append(out, "the state is not on disk")
	}
	if p.incomplete {
		out = append(out, "started without its state: unknown hosts are answered 503 until the next start")
	}
	return slices.Clip(out)
}
