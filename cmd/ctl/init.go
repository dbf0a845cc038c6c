package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/registry"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/ui"
)

// initial is one run of init.
type initial struct {
	from, env, write string
	adoption         release.Adoption
	images           []string
	offline, dry     bool
}

// initReply is what init made of a Compose file.
type initReply struct {
	api.Meta
	Environment string            `json:"environment"`
	App         string            `json:"app"`
	Compose     string            `json:"compose"`
	Done        []release.Adopted `json:"done"`
	Left        []release.Problem `json:"left,omitempty"`
	Files       []string          `json:"files"`
	Written     bool              `json:"written,omitempty"`
	Manifest    string            `json:"manifest"`
}

func (t *tool) init() *cobra.Command {
	n := initial{}
	c := &cobra.Command{
		Use:   "init --from compose.yaml --env ENV --app APP",
		Short: "Make a release manifest of a Compose file",
		Long: `Make the documented edits of a Compose file: images by digest (asked of the registry, or
given with --image), ports: as a proposed route, databases as proposed shared services, a
mode for each volume that both colours would write, and the x-teal block; build:,
container_name and what else has no use are removed. Comments and the rest stay.

Every edit is named with the line of the Compose file. What cannot be carried is left
where it is and named with file and line; then it ends with 1. Without --write the
manifest goes to stdout.`,
		Example: `  tealctl init --from compose.yaml --env staging --app shop
  tealctl init --from compose.yaml --env staging --app shop --image web=registry.example.com/shop/web@sha256:… --write manifests`,
		Args: cobra.NoArgs, Annotations: writes(fromFiles, exitInterrupted),
		RunE: func(c *cobra.Command, _ []string) error { return t.runInit(c.Context(), n) },
	}
	f := c.Flags()
	f.StringVar(&n.from, "from", "", "the Compose file (required)")
	f.StringVar(&n.env, "env", "", "environment (required)")
	f.StringVar(&n.adoption.App, "app", "", "the app's name (required)")
	f.StringVar(&n.adoption.Version, "version", "v0.1.0", "version of the first release")
	f.StringVar(&n.adoption.Host, "host", "", "host of the proposed routes (default: APP.example.com)")
	f.StringArrayVar(&n.images, "image", nil, "SERVICE[,SERVICE…]=REF by digest or tag, instead of the file's; can be repeated")
	f.BoolVar(&n.offline, "offline", false, "ask no registry: images by tag stay, and are named")
	f.StringVar(&n.write, "write", "", "write it, and the env files and configs that it names, into this clone of the repository")
	f.BoolVar(&n.dry, "dry-run", false, "with --write: show it, write nothing")
	return c
}

func (n *initial) check() error {
	switch {
	case n.from == "" || n.env == "" || n.adoption.App == "":
		return usage(errors.New("say with --from which Compose file, and with --env and --app what it becomes"))
	case !release.ValidName(n.env) || !release.ValidApp(n.adoption.App):
		return usage(fmt.Errorf("%q of %q names no app", n.adoption.App, n.env))
	}
	if n.adoption.Host == "" {
		n.adoption.Host = n.adoption.App + ".example.com"
	}
	return nil
}

func (t *tool) runInit(ctx context.Context, n initial) error {
	if err := n.check(); err != nil {
		return err
	}
	compose, err := readCompose(n.from)
	if err != nil {
		return err
	}
	if n.adoption.Images, err = n.pin(ctx, t, release.MarksOf(compose).Images); err != nil {
		return err
	}
	manifest, done, problems := n.adoption.Apply(n.from, compose)
	if len(problems) > 0 {
		return usage(problems)
	}
	dir := path.Join("environments", n.env, n.adoption.App)
	files := map[string][]byte{release.Manifest: manifest}
	beside, err := os.OpenRoot(filepath.Dir(n.from))
	if err != nil {
		return usage(err)
	}
	defer beside.Close() // only read from
	for _, name := range release.FilesBeside(compose) {
		data, err := readBeside(beside, name)
		if err != nil {
			continue // Parse names what is missing, with the line that wants it
		}
		files[name] = data
		done = append(done, release.Adopted{Line: 0, Text: fmt.Sprintf("%s goes beside the manifest as it is; a password in it would be in Git: make it a secret", name)})
	}
	fsys, err := memory(files)
	if err != nil {
		return err
	}
	_, left := release.Parse(fsys, n.env, n.adoption.App)
	reply := initReply{Meta: api.Meta{APIVersion: api.Version, Kind: "Init"}, Environment: n.env, App: n.adoption.App, Compose: n.from,
		Done: done, Left: left, Manifest: string(manifest)}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		reply.Files = append(reply.Files, path.Join(dir, name))
	}
	if n.write != "" && !n.dry {
		if err := writeRelease(n.write, dir, files); err != nil {
			return err
		}
		reply.Written = true
	}
	if t.format == "table" && n.write == "" {
		fmt.Fprint(t.err, initText(reply)) // so that stdout is the manifest alone
	}
	err = t.print(reply, func(ui.Style) string {
		if n.write == "" {
			return reply.Manifest
		}
		return initText(reply)
	})
	if err == nil && len(left) > 0 {
		return exitError{code: exitFailed}
	}
	return err
}

// readCompose reads a plain file of the size that a manifest may have.
func readCompose(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, usage(notPlain(name))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usage(err)
	}
	return readPlain(f, name)
}

// readBeside reads a file that a Compose file names. A link out of its directory is not
// followed: somebody else's project could have one to a key of the person's, which would
// then lie in Git.
func readBeside(dir *os.Root, name string) ([]byte, error) {
	if info, err := dir.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, usage(notPlain(name)) // opening a pipe would wait
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, usage(err)
	}
	return readPlain(f, name)
}

// readPlain reads an open file and closes it.
func readPlain(f *os.File, name string) ([]byte, error) {
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, usage(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxOldManifest {
		return nil, usage(notPlain(name))
	}
	return io.ReadAll(io.LimitReader(f, maxOldManifest))
}

func notPlain(name string) error {
	return fmt.Errorf("%s is no plain file of at most %d bytes", name, maxOldManifest)
}

// writeRelease writes a new release directory into the work tree at top.
func writeRelease(top, dir string, files map[string][]byte) error {
	tree, err := os.OpenRoot(top)
	if err != nil {
		return usage(err)
	}
	defer tree.Close()
	if err := plainWay(tree, dir); err != nil {
		return err
	}
	if _, err := tree.Lstat(path.Join(dir, release.Manifest)); err == nil {
		return usage(fmt.Errorf("%s is there already; make the next release with tealctl release new", path.Join(dir, release.Manifest)))
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := plainWay(tree, path.Dir(path.Join(dir, name))); err != nil {
			return err
		}
		if err := writeFile(tree, path.Join(dir, name), files[name]); err != nil {
			return err
		}
	}
	return nil
}

var composeDefault = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*:?-([^}$]*)\}`)

// pin resolves the images of the services: what is given, else what the file names, with
// the defaults of its variables.
func (n *initial) pin(ctx context.Context, t *tool, services []release.ServiceImage) (map[string]string, error) {
	wanted := map[string]string{}
	for _, s := range services {
		wanted[s.Service] = composeDefault.ReplaceAllString(s.Image, "$1")
	}
	given := map[string]bool{}
	for _, image := range n.images {
		names, ref := splitImage(image)
		if len(names) == 0 || ref == "" {
			return nil, usage(fmt.Errorf("--image %q: write SERVICE=name@sha256:… or SERVICE=name:tag", image))
		}
		for _, name := range names {
			wanted[name], given[name] = ref, true
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	client := registry.New(registry.Config{DockerConfig: os.Getenv("DOCKER_CONFIG"), Timeout: 15 * time.Second})
	pinned, asked := map[string]string{}, map[string]string{}
	for _, service := range slices.Sorted(maps.Keys(wanted)) {
		ref := wanted[service]
		switch {
		case ref == "" || strings.Contains(ref, "$"):
			continue // left, and named by Parse
		case strings.Contains(ref, "@"):
			image, err := release.PinnedImage(ref)
			if err != nil {
				return nil, usage(fmt.Errorf("service %s: %w", trust.Escape(service), err))
			}
			pinned[service] = image
			continue
		case n.offline:
			continue
		}
		image, known := asked[ref]
		if !known {
			var err error
			if image, err = client.Resolve(ctx, ref); err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if given[service] {
					return nil, fmt.Errorf("%w; give the digest, or see that docker login and the name are right", err)
				}
				fmt.Fprintf(t.err, "service %s keeps its tag: %v\n", trust.Escape(service), err)
			}
			asked[ref] = image
		}
		if image != "" {
			pinned[service] = image
		}
	}
	return pinned, nil
}

func initText(r initReply) string {
	var b strings.Builder
	for _, d := range r.Done {
		if d.Line > 0 {
			fmt.Fprintf(&b, "%s:%d: %s\n", trust.Escape(r.Compose), d.Line, d.Text)
		} else {
			b.WriteString(d.Text + "\n")
		}
	}
	if r.Written {
		for _, name := range r.Files {
			b.WriteString("wrote " + name + "\n")
		}
	}
	if len(r.Left) > 0 {
		fmt.Fprintf(&b, "\n%d left to you, with the lines of the manifest:\n", len(r.Left))
		for _, p := range r.Left {
			b.WriteString(p.String() + "\n")
		}
		b.WriteString("next: correct them, then tealctl lint\n")
		return b.String()
	}
	b.WriteString("next: look at what is proposed, tealctl lint, and commit\n")
	return b.String()
}
