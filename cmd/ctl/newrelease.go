package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/registry"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/ui"
)

// newRelease is one run of release new.
type newRelease struct {
	app, env, repo string
	edit           release.Edit
	images         []string // as given: SERVICE=REF, or REF for each service that runs that image
	from, template string
	push, dry      bool
	again          bool
	to             branch
	timeout        time.Duration

	pinned map[string]string // name@sha256:… by what was given, asked once
	past   *history
}

// newReleaseReply is what release new did.
type newReleaseReply struct {
	api.Meta
	Environment string            `json:"environment"`
	App         string            `json:"app"`
	Version     string            `json:"version"`
	Sequence    int64             `json:"sequence"`
	Digest      release.Digest    `json:"digest"`
	Was         releaseMark       `json:"was,omitzero"`
	From        *releaseMark      `json:"from,omitempty"` // --from
	Images      []string          `json:"images"`
	Changed     []release.Changed `json:"changed"`
	Files       []string          `json:"files"`
	Notes       []string          `json:"notes,omitempty"`
	Unchanged   bool              `json:"unchanged,omitempty"` // it is the newest release already
	DryRun      bool              `json:"dryRun,omitempty"`
	Commit      string            `json:"commit,omitempty"` // with --push
	Branch      string            `json:"branch,omitempty"`
	Tries       int               `json:"tries,omitempty"`
	Next        string            `json:"next"`
}

// releaseMark names an earlier release.
type releaseMark struct {
	Version  string `json:"version,omitempty"`
	Sequence int64  `json:"sequence,omitempty"`
	Commit   string `json:"commit,omitempty"`
}

func (t *tool) release() *cobra.Command {
	c := &cobra.Command{Use: "release", Short: "Make releases"}
	c.AddCommand(t.releaseNew())
	return c
}

func (t *tool) releaseNew() *cobra.Command {
	n := newRelease{}
	c := &cobra.Command{
		Use:   "new APP [VERSION] --env ENV",
		Short: "Write the manifest of the next release, and push it",
		Long: `Write environments/<env>/<app>/release.yaml for the next release: images by digest, the
version, and the sequence after the highest that the history of the directory ever had.
Only those values are changed; comments, order and every other byte stay. The result has
to pass lint before anything is written.

An image is given by digest, or by tag: then the registry is asked for its digest, with
the credentials of docker login. --image REF without a service sets every service that
runs that image already.

--from makes an older release the newest one again: all its files, with the next sequence.

With --push the commit is made on top of the remote branch as it is now, beside the work
tree, which may be in any state; a bare or shallow clone does as well. When somebody else
pushes first, the branch is fetched and the release made again on top of it, with the
then next sequence, for --retry-for at most.`,
		Example: `  tealctl release new shop v1.2.3 --env staging --image backend=registry.example.com/shop/backend@sha256:… \
    --source $(git rev-parse HEAD) --source-repository git@example.com:shop.git --push
  tealctl release new shop v1.2.3 --env production --image registry.example.com/shop/backend:v1.2.3
  tealctl release new shop --env production --from v1.2.2 --push`,
		Args: cobra.RangeArgs(1, 2), Annotations: writes(fromFiles, exitInterrupted),
		RunE: func(c *cobra.Command, args []string) error {
			n.app = args[0]
			if len(args) == 2 {
				if n.edit.Version != "" && n.edit.Version != args[1] {
					return usage(errors.New("the version is given twice, and differs"))
				}
				n.edit.Version = args[1]
			}
			if err := n.check(); err != nil {
				return err
			}
			return t.makeRelease(c.Context(), &n)
		},
	}
	f := c.Flags()
	f.StringVar(&n.env, "env", "", "environment (required)")
	f.StringVar(&n.edit.Version, "version", "", "the version, when it is not an argument; default with --from: that release's")
	f.StringArrayVar(&n.images, "image", nil, "SERVICE[,SERVICE…]=REF, or REF for every service that runs that image already; can be repeated")
	f.StringVar(&n.edit.Source.Commit, "source", "", "the whole id of the commit that the images were built from")
	f.StringVar(&n.edit.Source.Repository, "source-repository", "", "the repository of that commit")
	f.StringVar(&n.edit.PreparedBy, "prepared-by", "", "who prepared the release; that person's approval does not count")
	f.StringVar(&n.from, "from", "", "an older release: its VERSION, SEQUENCE, or a COMMIT that has it")
	f.StringVar(&n.template, "template", "", "a manifest to start from when the app has none")
	f.StringVar(&n.repo, "repo", ".", "a clone of the repository")
	f.BoolVar(&n.push, "push", false, "commit on top of the branch and push it")
	f.StringVar(&n.to.remote, "remote", "", "with --push: the remote (default: that of the current branch)")
	f.StringVar(&n.to.name, "branch", "", "with --push: the branch (default: the one that the current branch follows)")
	f.DurationVar(&n.timeout, "retry-for", 2*time.Minute, "with --push: how long to try while others push")
	f.BoolVar(&n.dry, "dry-run", false, "show what would be written, write nothing")
	f.BoolVar(&n.again, "again", false, "make a release with the next sequence even if nothing else changes")
	return c
}

var wholeCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// check refuses before anything is asked of Git or a registry.
func (n *newRelease) check() error {
	switch {
	case n.env == "":
		return usage(errors.New("say with --env which environment the release is for"))
	case !release.ValidName(n.env) || !release.ValidApp(n.app):
		return usage(fmt.Errorf("%q of %q names no app", n.app, n.env))
	case n.edit.Version == "" && n.from == "":
		return usage(errors.New("say which version it is: tealctl release new APP VERSION, or --from an older release"))
	case n.edit.Source.Commit != "" && !wholeCommit.MatchString(n.edit.Source.Commit):
		return usage(fmt.Errorf("--source %q is not a whole commit id of 40 or 64 hex digits", n.edit.Source.Commit))
	case n.from != "" && n.template != "":
		return usage(errors.New("--from and --template are two starts; give one"))
	case n.timeout <= 0:
		return usage(errors.New("--retry-for is a time such as 2m"))
	case !n.push && (n.to != branch{}):
		return usage(errors.New("--remote and --branch belong to --push"))
	}
	for _, image := range n.images {
		if _, ref := splitImage(image); ref == "" {
			return usage(fmt.Errorf("--image %q: write SERVICE=name@sha256:… or SERVICE=name:tag", image))
		}
	}
	return nil
}

// splitImage takes SERVICE[,SERVICE…]=REF apart; without services it is REF alone.
func splitImage(given string) (services []string, ref string) {
	names, ref, has := strings.Cut(given, "=")
	if !has {
		return nil, given
	}
	for name := range strings.SplitSeq(names, ",") {
		if name == "" {
			return nil, ""
		}
		services = append(services, name)
	}
	return services, ref
}

func (n *newRelease) dir() string { return path.Join("environments", n.env, n.app) }

func (n *newRelease) file() string { return path.Join(n.dir(), release.Manifest) }

// pin resolves the images that are given, each once.
func (n *newRelease) pin(ctx context.Context, t *tool) error {
	n.pinned = map[string]string{}
	client := registry.New(registry.Config{DockerConfig: os.Getenv("DOCKER_CONFIG")})
	for _, given := range n.images {
		_, ref := splitImage(given)
		if n.pinned[ref] != "" {
			continue
		}
		if strings.Contains(ref, "@") {
			image, err := release.PinnedImage(ref)
			if err != nil {
				return usage(fmt.Errorf("--image: %w", err))
			}
			n.pinned[ref] = image
			continue
		}
		image, err := client.Resolve(ctx, ref)
		if err != nil {
			return fmt.Errorf("%w; give the digest, or see that docker login and the name are right", err)
		}
		fmt.Fprintf(t.err, "%s is %s\n", trust.Escape(ref), image)
		n.pinned[ref] = image
	}
	return nil
}

// makeRelease writes or pushes the release.
func (t *tool) makeRelease(ctx context.Context, n *newRelease) (err error) {
	if n.repo, err = repositoryDir(ctx, n.repo); err != nil {
		return err
	}
	if err := n.pin(ctx, t); err != nil {
		return err
	}
	n.past = &history{repo: n.repo, marks: map[string]release.Marks{}}
	var reply newReleaseReply
	if n.push {
		reply, err = n.publish(ctx, t)
	} else {
		reply, err = n.local(ctx, t)
	}
	if err != nil {
		return err
	}
	return t.print(reply, func(s ui.Style) string { return newReleaseText(s, reply) })
}

// repositoryDir is the top of the work tree, or the bare repository.
func repositoryDir(ctx context.Context, dir string) (string, error) {
	if top, err := git(ctx, dir, "rev-parse", "--show-toplevel"); err == nil {
		return top, nil
	}
	bare, err := git(ctx, dir, "rev-parse", "--absolute-git-dir")
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", usage(fmt.Errorf("%w; name a clone of the repository of manifests with --repo", err))
	}
	return bare, nil
}

func (n *newRelease) reply(d *draft) newReleaseReply {
	reply := newReleaseReply{Meta: api.Meta{APIVersion: api.Version, Kind: "NewRelease"}, Environment: n.env, App: n.app,
		Version: d.rel.Version, Sequence: d.rel.Sequence, Digest: d.rel.Digest, Was: d.was, From: d.from,
		Images: d.rel.Images(), Changed: d.changed, Notes: d.notes, Unchanged: d.unchanged, DryRun: n.dry, Files: d.names()}
	reply.Next = fmt.Sprintf("tealctl approve %s --env %s --push, where its policy asks for approvals", n.app, n.env)
	return reply
}

func newReleaseText(s ui.Style, r newReleaseReply) string {
	var b strings.Builder
	state := "made"
	switch {
	case r.Unchanged:
		state = "is the newest release already"
	case r.DryRun:
		state = "would be made"
	case r.Commit != "":
		state = fmt.Sprintf("pushed to %s as %.7s", r.Branch, r.Commit)
	}
	b.WriteString(s.Mark(ui.Good, fmt.Sprintf("%s/%s %s sequence %d %s %s", r.Environment, r.App, r.Version, r.Sequence, r.Digest.Short(), state)) + "\n")
	if r.From != nil {
		fmt.Fprintf(&b, "  the files of %s (sequence %d, commit %.7s)\n", trust.Escape(r.From.Version), r.From.Sequence, r.From.Commit)
	}
	for _, c := range r.Changed {
		if c.Was == "" {
			fmt.Fprintf(&b, "  %s:%d: %s: %s, new\n", r.Files[0], c.Line, c.Field, trust.Escape(c.Is))
		} else {
			fmt.Fprintf(&b, "  %s:%d: %s: %s -> %s\n", r.Files[0], c.Line, c.Field, trust.Escape(c.Was), trust.Escape(c.Is))
		}
	}
	for _, note := range r.Notes {
		b.WriteString("note: " + note + "\n")
	}
	if !r.DryRun {
		b.WriteString("next: " + r.Next + "\n")
	}
	return b.String()
}

// names are the files of the release, the manifest first.
func (d *draft) names() []string {
	out := []string{path.Join(d.dir, release.Manifest)}
	if d.from == nil {
		return out
	}
	for name := range d.files {
		if name != release.Manifest {
			out = append(out, path.Join(d.dir, name))
		}
	}
	slices.Sort(out[1:])
	return out
}

func commitMessage(n *newRelease, d *draft) string {
	var b strings.Builder
	fmt.Fprintf(&b, "release %s %s to %s\n\nSequence: %d\n", n.app, d.rel.Version, n.env, d.rel.Sequence)
	if d.from != nil {
		b.WriteString("From: " + strconv.FormatInt(d.from.Sequence, 10) + " " + d.from.Commit + "\n")
	}
	if s := d.rel.Source; s.Commit != "" {
		b.WriteString("Source: " + strings.TrimSpace(trust.Escape(s.Repository)+" "+s.Commit) + "\n")
	}
	for _, image := range d.rel.Images() {
		b.WriteString("Image: " + image + "\n")
	}
	return b.String()
}
