package sim

import (
	"os"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
)

// Vault is what resolves, keeps and writes the secrets of releases: the real one of
// internal/secrets, on a real directory.
type Vault interface {
	reconcile.Inputs
	reconcile.Files
	Sweep() error
}

// vault makes an edge call of each thing that the vault does to the disk, so that a crash
// can come between any two: what was kept, each file written, each removed.
type vault struct {
	*Agent
	of Vault
}

func (v vault) Resolve(rel *release.Release, here []string) (release.Given, string, error) {
	return v.of.Resolve(rel, here)
}

func (v vault) Kept(target release.Target) (release.Given, error) { return v.of.Kept(target) }

func (v vault) Keep(rel *release.Release, here []string, target release.Target) error {
	return v.edge("fsync", "keep", func() error { return v.of.Keep(rel, here, target) })
}

func (v vault) Write(target release.Target, files []release.FileSpec) error {
	for _, f := range files {
		if err := v.edge("fsync", "file", func() error { return v.of.Write(target, []release.FileSpec{f}) }); err != nil {
			return err
		}
	}
	return nil
}

func (v vault) Remove(files []release.FileSpec) error {
	for _, f := range files {
		if err := v.edge("fsync", "remove_file", func() error { return v.of.Remove([]release.FileSpec{f}) }); err != nil {
			return err
		}
	}
	return nil
}

func (v vault) Forget(app string, keep []release.Target) error {
	return v.edge("fsync", "forget", func() error { return v.of.Forget(app, keep) })
}

func (v vault) Clear(app string) error {
	return v.edge("fsync", "clear", func() error { return v.of.Clear(app) })
}

// takes reports whether a container's program can live with the secrets that it finds;
// one that begins with "bad" it cannot.
func (c *container) takes() bool {
	return !slices.ContainsFunc(c.spec.Mounts, func(m release.Mount) bool {
		if m.Type != release.MountFile {
			return false
		}
		data, err := os.ReadFile(m.Source)
		return err != nil || strings.HasPrefix(string(data), "bad")
	})
}
