package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// policyFile is trust.yaml, read again when it changes. A file that does not load
// leaves no policy: nothing new starts, what runs keeps running.
type policyFile struct {
	path, env string

	mu     sync.Mutex // guards the rest
	policy *trust.Policy
	code   release.Code
	detail string
}

const maxPolicy = 4 << 20

func newPolicyFile(path, env string) *policyFile {
	f := &policyFile{path: path, env: env}
	f.load()
	return f
}

// load reads the file. Only root, or the user that runs the agent, may be able to
// write it: it says who may release.
func (f *policyFile) load() {
	policy, err := readPolicy(f.path, f.env)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policy, f.code, f.detail = policy, "", ""
	if err != nil {
		f.policy, f.code, f.detail = nil, release.PolicyInvalid, err.Error()
	}
}

func readPolicy(path, env string) (*trust.Policy, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the trust policy: %w; examples/trust has one to start from", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s can be written by others (mode %04o); run chmod 644 %s", path, info.Mode().Perm(), path)
	}
	if uid := owner(info); uid != 0 && uid != os.Getuid() {
		return nil, fmt.Errorf("%s belongs to uid %d; it must belong to root", path, uid)
	}
	if info.Size() > maxPolicy {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxPolicy)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the trust policy: %w", err)
	}
	policy, err := trust.ParsePolicy(path, data)
	if err != nil {
		return nil, err
	}
	if policy.Environment != env {
		return nil, fmt.Errorf("%s is for environment %s, this host is in %s", path, policy.Environment, env)
	}
	return policy, nil
}

func (f *policyFile) current() (*trust.Policy, release.Code, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.policy, f.code, f.detail
}

func (f *policyFile) repoID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.policy == nil {
		return ""
	}
	return f.policy.RepoID
}

// watch loads the file again when it changes, and once a minute in case a change was
// not announced.
func (f *policyFile) watch(ctx context.Context, log *slog.Logger, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the trust policy: %w", err)
	}
	defer w.Close()
	if err := w.Add(filepath.Dir(f.path)); err != nil { // the directory: editors replace files
		return fmt.Errorf("watch the trust policy: %w", err)
	}
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if filepath.Clean(e.Name) != filepath.Clean(f.path) {
				continue
			}
		case err := <-w.Errors:
			log.Warn("watch of the trust policy", "err", err)
			continue
		case <-tick.C:
		}
		before, was, _ := f.current()
		f.load()
		after, code, detail := f.current()
		switch {
		case after == nil && was != code:
			log.Error("trust policy refused; nothing new starts", "err", detail)
		case after != nil && (before == nil || before.Fingerprint() != after.Fingerprint()):
			log.Info("trust policy loaded", "fingerprint", after.Fingerprint())
		default:
			continue
		}
		changed()
	}
}
