package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/hostcare"
	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/release"
)

// isRoot is a variable so that its absence can be tested by root.
var isRoot = func() bool { return os.Getuid() == 0 }

// initState writes the identity of a host, or raises the floors of one that is there.
func initState(out io.Writer, dir string, floors map[string]int64, newFleet, dry bool) error {
	if !isRoot() {
		return exitError{exitNotAuthorised, errors.New("state init is for root: it decides what may start on this host")}
	}
	id, err := hostcare.LoadIdentity(dir)
	switch {
	case errors.Is(err, hostcare.ErrNoIdentity):
		id = hostcare.NewIdentity()
	case err != nil:
		return err
	case len(floors) == 0 && !newFleet:
		if err := giveToOwner(dir, hostcare.IdentityPath(dir)); err != nil { // a run before this one was cut off
			return err
		}
		return fmt.Errorf("%s has an identity already (instance %s); nothing was changed", dir, id.Instance)
	}
	if id.Floors == nil {
		id.Floors = map[string]int64{}
	}
	for app, floor := range floors {
		id.Floors[app] = max(id.Floors[app], floor)
	}
	if dry {
		fmt.Fprintf(out, "would write the identity of instance %s into %s\n", id.Instance, dir)
		return nil
	}
	data, err := id.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	if err := journal.WriteFile(hostcare.IdentityPath(dir), data, 0o600); err != nil {
		return fmt.Errorf("write the identity: %w", err)
	}
	if err := giveToOwner(dir, hostcare.IdentityPath(dir)); err != nil {
		return err
	}
	if newFleet {
		if err := beginFleet(dir); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "instance %s, state in %s\n", id.Instance, dir)
	for app := range maps.Keys(floors) {
		fmt.Fprintf(out, "nothing of %s at or below sequence %d will start\n", app, id.Floors[app])
	}
	fmt.Fprintln(out, "next: systemctl start teal-agent")
	return nil
}

// beginFleet writes the state of a fleet that knows nothing, where there is none.
func beginFleet(dir string) error {
	file := filepath.Join(dir, "fleet.json")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there; nothing was changed", file)
	}
	if err := journal.WriteFile(file, []byte("{\"feature\":1,\"index\":0}\n"), 0o600); err != nil {
		return fmt.Errorf("write the fleet's state: %w", err)
	}
	return giveToOwner(dir, file)
}

// giveToOwner gives a file that root wrote to whom the state directory belongs: the agent
// runs as its own user there. That user may have put another file in its place: a link, or
// another name of a file elsewhere, is not given away.
func giveToOwner(dir, file string) error {
	owner, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("give the state to its user: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("give the state to its user: %w", err)
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("give the state to its user: %w", err)
	}
	to, have := owner.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || have.Nlink != 1 {
		return fmt.Errorf("%s is not a plain file of one name; look who put it there", file)
	}
	if err := f.Chown(int(to.Uid), int(to.Gid)); err != nil {
		return fmt.Errorf("give the state to its user: %w", err)
	}
	return nil
}

func noAddress(string, int) netip.Addr { return netip.Addr{} }

func (t *tool) state() *cobra.Command {
	c := &cobra.Command{Use: "state", Short: "The agent's identity and marks on this host (root, offline)"}
	var dir string
	var sequences []string
	var newFleet, dry bool
	initialise := &cobra.Command{
		Use:   "init",
		Short: "Give a new host its identity, or set floors after its state was lost",
		Long: `Give this host's agent an identity. Without one it starts nothing.

When the state was lost although containers of this agent still run, name the floor of
each app: the highest sequence that was ever accepted here. Nothing at or below it can
start again, except what is live.`,
		Example: "  tealctl state init\n  tealctl state init --sequence shop=41",
		Args:    cobra.NoArgs, Annotations: writes(fromFiles, exitNotAuthorised),
		RunE: func(*cobra.Command, []string) error {
			floors := map[string]int64{}
			for _, s := range sequences {
				app, n, ok := strings.Cut(s, "=")
				var v int64
				if _, err := fmt.Sscanf(n, "%d", &v); !ok || err != nil || v < 0 || !release.ValidName(app) {
					return usage(fmt.Errorf("--sequence %q: write APP=N", s))
				}
				floors[app] = v
			}
			return initState(t.err, dir, floors, newFleet, dry)
		},
	}
	initialise.Flags().StringVar(&dir, "state", "/var/lib/teal", "the agent's state directory")
	initialise.Flags().StringArrayVar(&sequences, "sequence", nil, "APP=N: nothing of the app at or below N may start (repeatable)")
	initialise.Flags().BoolVar(&newFleet, "new-fleet", false, "begin without the quarantines and freezes of a lost fleet.json")
	initialise.Flags().BoolVar(&dry, "dry-run", false, "say what would be written, write nothing")
	c.AddCommand(initialise)
	return c
}
