package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/ui"
)

// lintReply is what lint found.
type lintReply struct {
	api.Meta
	Releases []lintedRelease `json:"releases"`
	Problems int             `json:"problems"`
}

type lintedRelease struct {
	Environment string            `json:"environment"`
	App         string            `json:"app"`
	Version     string            `json:"version,omitempty"`
	Digest      release.Digest    `json:"digest,omitempty"`
	Problems    []release.Problem `json:"problems,omitempty"`
}

func (t *tool) lint() *cobra.Command {
	var rev, env string
	c := &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Check the release manifests of a repository, with file and line",
		Long: `Check every release directory of a repository. By default the files of the work
tree are read, as they would be committed; --rev reads a commit instead.`,
		Example:     "  tealctl lint\n  tealctl lint --rev HEAD --env production -o json",
		Args:        cobra.MaximumNArgs(1),
		Annotations: named(reads(fromFiles)),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			var root fs.FS = os.DirFS(dir)
			if rev != "" {
				snap, err := commitOf(dir, rev)
				if err != nil {
					return err
				}
				if root, err = snap.Sub("."); err != nil {
					return err
				}
			}
			reply, err := lintTree(root, env)
			if err != nil {
				return err
			}
			if err := t.print(reply, func(s ui.Style) string { return lintText(s, reply) }); err != nil {
				return err
			}
			if reply.Problems > 0 {
				return exitError{code: exitFailed}
			}
			return nil
		},
	}
	c.Flags().StringVar(&rev, "rev", "", "read this commit instead of the work tree")
	c.Flags().StringVar(&env, "env", "", "only this environment")
	return c
}

// lintTree parses every environments/<env>/<app> of a tree.
func lintTree(root fs.FS, env string) (lintReply, error) {
	reply := lintReply{Meta: api.Meta{APIVersion: api.Version, Kind: "Lint"}}
	dirs, err := fs.Glob(root, "environments/*/*/release.yaml")
	if err != nil {
		return reply, err
	}
	if len(dirs) == 0 {
		return reply, usage(errors.New("there is no environments/<env>/<app>/release.yaml here; run lint in the repository of release manifests"))
	}
	claimed := map[string]string{}
	for _, file := range dirs {
		parts := strings.Split(file, "/")
		if env != "" && parts[1] != env {
			continue
		}
		dir, err := fs.Sub(root, path.Dir(file))
		if err != nil {
			return reply, err
		}
		l := lintedRelease{Environment: parts[1], App: parts[2]}
		rel, problems := release.Parse(dir, parts[1], parts[2])
		l.Problems = problems
		if rel != nil {
			l.Version, l.Digest = rel.Version, rel.Digest
			for _, r := range rel.Routes() { // two apps on one route: only one of them can have it
				key := parts[1] + " " + r.Host + r.Path
				if other := claimed[key]; other != "" && other != parts[2] {
					l.Problems = append(l.Problems, release.Problem{File: file, Code: release.RouteConflict,
						Message: fmt.Sprintf("route %s%s is claimed by app %s too", r.Host, r.Path, other), Next: "give one of them another host or path"})
				}
				claimed[key] = parts[2]
			}
		}
		reply.Problems += len(l.Problems)
		reply.Releases = append(reply.Releases, l)
	}
	return reply, nil
}

func lintText(s ui.Style, reply lintReply) string {
	var b strings.Builder
	for _, l := range reply.Releases {
		for _, p := range l.Problems {
			b.WriteString(p.String() + "\n")
		}
		if len(l.Problems) == 0 {
			b.WriteString(s.Mark(ui.Good, fmt.Sprintf("%s/%s %s %s", l.Environment, l.App, l.Version, l.Digest.Short())) + "\n")
		}
	}
	if reply.Problems > 0 {
		fmt.Fprintf(&b, "%d problems\n", reply.Problems)
	}
	return b.String()
}
