package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// policyFile is trust.yaml, read again when it changes, and the chain of signed policies
// in Git when it names a policyRoot. A file that does not load leaves the policy that was
// in force; where there was none nothing new starts. What runs keeps running.
type policyFile struct {
	path, env string
	state     string // directory of the chain's mark
	log       *slog.Logger

	mu     sync.Mutex    // guards the rest
	host   *trust.Policy // trust.yaml
	policy *trust.Policy // in force: trust.yaml's own, or the chain's
	code   release.Code  // what is wrong with the newest file or chain
	detail string
	mark   trust.ChainMark
	looked string // evidence commit and trust.yaml that the chain was judged by
}

const maxPolicy = 4 << 20

func newPolicyFile(path, env, state string, log *slog.Logger) (*policyFile, error) {
	f := &policyFile{path: path, env: env, state: state, log: log}
	data, err := os.ReadFile(f.markPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read the accepted policy: %w", err)
	default:
		if err := json.Unmarshal(data, &f.mark); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w; restore it from a backup, or remove it to begin the chain at policyRoot.minVersion", f.markPath(), err)
		}
	}
	f.load()
	return f, nil
}

// markPath is where the newest accepted policy of the chain is kept.
func (f *policyFile) markPath() string { return filepath.Join(f.state, "policy.json") }

// load reads the file. Only root, or the user that runs the agent, may be able to
// write it: it says who may release.
func (f *policyFile) load() {
	policy, err := readPolicy(f.path, f.env)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.code, f.detail = release.PolicyInvalid, err.Error()
		return
	}
	f.code, f.detail = "", ""
	f.host, f.looked = policy, ""
	if policy.Root == nil {
		f.policy = policy
	} else if f.policy == nil || f.policy.Version == 0 || f.policy.RepoID != policy.RepoID {
		f.policy = policy // without a body: everything is refused until the chain gives one
	}
}

// follow goes along the chain of the evidence commit, if trust.yaml names a root. The
// mark is durable before the policy is used.
func (f *policyFile) follow(commit string, root func() (fs.FS, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.host == nil || f.host.Root == nil || f.looked == commit+f.host.Fingerprint() {
		return
	}
	tree, err := root()
	var files trust.ChainFiles
	if err == nil {
		files, err = trust.GatherChain(tree, max(f.mark.Version, f.host.MinVersion()))
	}
	if err != nil {
		f.code, f.detail = release.PolicyInvalid, err.Error()
		return
	}
	policy, mark, why := trust.Advance(f.host, f.mark, files)
	if mark.Version != f.mark.Version {
		data, err := json.Marshal(mark)
		if err == nil {
			err = journal.WriteFile(f.markPath(), data, 0o600)
		}
		if err != nil {
			f.code, f.detail = release.PolicyInvalid, fmt.Sprintf("version %d of the policy could not be kept: %v", mark.Version, err)
			return
		}
		f.log.Info("trust policy accepted", "version", mark.Version, "was", f.mark.Version)
		f.mark = mark
	}
	f.looked = commit + f.host.Fingerprint()
	f.code, f.detail = "", ""
	if why != nil {
		f.code, f.detail = why.Code, why.Detail
		f.log.Warn("trust policy chain", "code", string(why.Code), "detail", why.Detail)
	}
	if policy != nil {
		f.policy = policy
	} else {
		f.policy = f.host
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
	if f.host == nil {
		return ""
	}
	return f.host.RepoID
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
		case code != "" && was != code:
			log.Error("trust policy refused; the one before stays in force", "err", detail)
		case after != nil && (before == nil || before.Fingerprint() != after.Fingerprint()):
			log.Info("trust policy loaded", "fingerprint", after.Fingerprint())
		default:
			continue
		}
		changed()
	}
}
