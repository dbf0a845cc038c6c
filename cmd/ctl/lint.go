package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
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
	Warnings int             `json:"warnings"`
}

type lintedRelease struct {
	Environment string            `json:"environment"`
	App         string            `json:"app"`
	Version     string            `json:"version,omitempty"`
	Digest      release.Digest    `json:"digest,omitempty"`
	Problems    []release.Problem `json:"problems,omitempty"`
	Warnings    []release.Problem `json:"warnings,omitempty"` // they refuse nothing
}

func (t *tool) lint() *cobra.Command {
	l := linting{dir: "."}
	c := &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Check the release manifests of a repository, with file and line",
		Long: `Check every release directory of a repository. By default the files of the work
tree are read, as they would be committed; --rev reads a commit instead, and --staged
the index, which is what a pre-commit hook is about. --since checks only the apps that
changed. It ends with 0 when there is no problem, with 1 when there is one. A warning is
no problem: it names what is easily meant otherwise.

--annotations github writes workflow commands, which GitHub Actions shows beside the
lines; --annotations gitlab a code quality report. docs/ci.md has both whole.`,
		Example: `  tealctl lint
  tealctl lint --rev HEAD --env production -o json
  tealctl lint --staged --since HEAD
  tealctl lint --since origin/main --annotations github`,
		Args:        cobra.MaximumNArgs(1),
		Annotations: named(reads(fromFiles)),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				l.dir = args[0]
			}
			return t.runLint(c.Context(), l)
		},
	}
	f := c.Flags()
	f.StringVar(&l.rev, "rev", "", "read this commit instead of the work tree")
	f.StringVar(&l.env, "env", "", "only this environment")
	f.BoolVar(&l.staged, "staged", false, "read the Git index instead of the work tree")
	f.StringVar(&l.since, "since", "", "only the apps that changed since the common ancestor with this commit")
	f.StringVar(&l.annotations, "annotations", "", "write problems for a CI server: github or gitlab")
	return c
}

func (t *tool) runLint(ctx context.Context, l linting) error {
	if err := l.check(t.format); err != nil {
		return err
	}
	only, all, err := l.changed(ctx)
	if err != nil {
		return err
	}
	if all {
		only = nil
	}
	root, err := l.tree(ctx)
	if err != nil {
		return err
	}
	reply, err := lintTree(root, l.env, only)
	if err != nil {
		return err
	}
	switch l.annotations {
	case "github":
		err = annotateGitHub(t.out, reply)
	case "gitlab":
		err = annotateGitLab(t.out, reply)
	default:
		err = t.print(reply, func(s ui.Style) string { return lintText(s, reply) })
	}
	if err != nil {
		return err
	}
	if l.annotations != "" {
		fmt.Fprintf(t.err, "%d releases checked, %d problems, %d warnings\n", len(reply.Releases), reply.Problems, reply.Warnings)
	}
	if reply.Problems > 0 {
		return exitError{code: exitFailed}
	}
	return nil
}

// lintTree parses every environments/<env>/<app> of a tree. Not nil, only names what is
// reported on, as env/app; the others are read for what they claim of it.
func lintTree(root fs.FS, env string, only map[string]bool) (lintReply, error) {
	reply := lintReply{Meta: api.Meta{APIVersion: api.Version, Kind: "Lint"}}
	dirs, err := fs.Glob(root, "environments/*/*/release.yaml")
	if err != nil {
		return reply, err
	}
	if len(dirs) == 0 {
		return reply, usage(errors.New("there is no environments/<env>/<app>/release.yaml here; run lint in the repository of release manifests"))
	}
	type claim struct {
		rel           *release.Release
		service, file string
	}
	claimed := map[string][]claim{}
	at := map[string]int{} // in the reply, by env/app
	conflict := func(file, route, other string) release.Problem {
		return release.Problem{File: file, Code: release.RouteConflict,
			Message: fmt.Sprintf("route %s is claimed by app %s too", route, other), Next: "give one of them another host or path, or placements that no host has both of"}
	}
	var renamed []renaming
	touched := map[string]bool{} // environments
	for app := range only {
		touched[path.Dir(app)] = true
	}
	for _, file := range dirs {
		parts := strings.Split(file, "/")
		if env != "" && parts[1] != env || only != nil && !touched[parts[1]] {
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
			if len(problems) == 0 {
				l.Warnings = release.Warnings(rel)
			}
			if rel.Formerly != "" {
				renamed = append(renamed, renaming{file, rel})
			}
			for _, r := range rel.Routes() { // two apps on one route of one host: only one of them can have it
				key := parts[1] + " " + r.Host + r.Path
				i := slices.IndexFunc(claimed[key], func(c claim) bool {
					return c.rel.App != parts[2] && !rel.Apart(r.Service, c.rel, c.service)
				})
				if i >= 0 {
					other := claimed[key][i]
					if only == nil || only[parts[1]+"/"+parts[2]] {
						l.Problems = append(l.Problems, conflict(file, r.Host+r.Path, other.rel.App))
					} else if i, reported := at[parts[1]+"/"+other.rel.App]; reported {
						reply.Releases[i].Problems = append(reply.Releases[i].Problems, conflict(other.file, r.Host+r.Path, parts[2]))
						reply.Problems++
					}
				}
				claimed[key] = append(claimed[key], claim{rel, r.Service, file})
			}
		}
		if only != nil && !only[parts[1]+"/"+parts[2]] {
			continue
		}
		at[parts[1]+"/"+parts[2]] = len(reply.Releases)
		reply.Problems += len(l.Problems)
		reply.Warnings += len(l.Warnings)
		reply.Releases = append(reply.Releases, l)
	}
	for _, p := range renamings(renamed, dirs) {
		if i, reported := at[strings.TrimPrefix(path.Dir(p.File), "environments/")]; reported {
			reply.Releases[i].Problems = append(reply.Releases[i].Problems, p)
			reply.Problems++
		}
	}
	return reply, nil
}

func lintText(s ui.Style, reply lintReply) string {
	var b strings.Builder
	if len(reply.Releases) == 0 {
		b.WriteString("no release changed\n")
	}
	for _, l := range reply.Releases {
		for _, p := range l.Problems {
			b.WriteString(p.String() + "\n")
		}
		for _, w := range l.Warnings {
			b.WriteString(s.Mark(ui.Note, "warning: "+w.String()) + "\n")
		}
		if len(l.Problems) == 0 {
			b.WriteString(s.Mark(ui.Good, fmt.Sprintf("%s/%s %s %s", l.Environment, l.App, l.Version, l.Digest.Short())) + "\n")
		}
	}
	if reply.Problems > 0 {
		fmt.Fprintf(&b, "%d problems\n", reply.Problems)
	}
	if reply.Warnings > 0 {
		fmt.Fprintf(&b, "%d warnings\n", reply.Warnings)
	}
	return b.String()
}
