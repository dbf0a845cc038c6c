package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tealops/teal/internal/hostcare"
)

// The agent runs as its own user, to whom the state directory belongs: what root writes
// there must be its to read.
func TestStateBelongsToTheAgent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const agent = 61234
	dir := t.TempDir()
	if err := os.Chown(dir, agent, agent); err != nil {
		t.Fatal(err)
	}
	owners := func(name string) int {
		t.Helper()
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return int(info.Sys().(*syscall.Stat_t).Uid)
	}
	if err := initState(io.Discard, dir, nil, true, false); err != nil {
		t.Fatal(err)
	}
	identity := filepath.Base(hostcare.IdentityPath(dir))
	for _, name := range []string{identity, "fleet.json"} {
		if got := owners(name); got != agent {
			t.Errorf("%s belongs to %d", name, got)
		}
	}
	// A run that was cut off before: the next one says that it is there, and gives it.
	if err := os.Chown(filepath.Join(dir, identity), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := initState(io.Discard, dir, nil, false, false); err == nil || !strings.Contains(err.Error(), "has an identity already") || owners(identity) != agent {
		t.Errorf("%v, it belongs to %d", err, owners(identity))
	}
	// What the agent's user put in its place is not given: another name of a file of root's.
	victim := filepath.Join(t.TempDir(), "shadow")
	data, err := os.ReadFile(filepath.Join(dir, identity))
	if err = errors.Join(err, os.WriteFile(victim, data, 0o600), os.Remove(filepath.Join(dir, identity)), os.Link(victim, filepath.Join(dir, identity))); err != nil {
		t.Fatal(err)
	}
	if err := initState(io.Discard, dir, nil, false, false); err == nil || !strings.Contains(err.Error(), "not a plain file of one name") || owners(identity) != 0 {
		t.Errorf("%v, it belongs to %d", err, owners(identity))
	}
}
