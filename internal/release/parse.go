package release

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Manifest is the name of the manifest in a release directory.
const Manifest = "release.yaml"

const (
	maxServices   = 100
	maxContainers = 256 // of one set, replicas counted
)

// Parse reads the release directory of an app in an environment: release.yaml and the
// files that it names. It reads nothing else, and reports every problem at once, in
// the order of files and lines; Problem.File is the path in the repository
// (`environments/<env>/<app>/release.yaml`).
//
// Without problems the Release is complete. With problems it is nil, or holds only what
// names the release (version, sequence, source, preparedBy, links) so that a refusal
// can say which one it means; it must not be planned.
func Parse(dir fs.FS, env, app string) (*Release, Problems) {
	p := &parser{dir: dir, base: path.Join("environments", env, app), rel: defaults(env, app),
		model: map[string]any{}, envs: map[string]map[string]string{}, files: map[string]map[string]bool{}}
	p.file = path.Join(p.base, Manifest)
	switch {
	case !ValidName(env):
		p.wrong(0, "rename the directory to lower-case letters, digits and inner dashes", "%s is not the name of an environment", show(env))
	case !ValidApp(app):
		p.wrong(0, "rename the directory to lower-case letters, digits and inner dashes, without -blue or -green at its end", "%s is not the name of an app", show(app))
	default:
		p.release()
	}
	if len(p.problems) == 0 {
		return p.rel, nil
	}
	r := p.rel
	return &Release{Environment: r.Environment, App: r.App, Formerly: r.Formerly, FormerlyLine: r.FormerlyLine, Digest: r.Digest, Version: r.Version, Sequence: r.Sequence,
		Source: r.Source, PreparedBy: r.PreparedBy, Links: r.Links}, p.problems.tidy()
}

// parser reads one release directory.
type parser struct {
	reader
	dir         fs.FS
	base        string // of the directory in the repository
	rel         *Release
	services    []*draft          // in the order of the file
	networks    map[string]*node  // declared
	volumes     map[string]*node  // declared
	modes       map[string]string // x-teal.volumes
	modeLine    map[string]int
	hostEnvLine map[string]int
	model       map[string]any               // what Compose is to normalise
	envs        map[string]map[string]string // env files that were read
	files       map[string]map[string]bool   // "configs" and "secrets" of the top level
}

// release reads the directory. Each step goes on past problems as long as there is
// something to read; what needs the whole to be sound comes last.
func (p *parser) release() {
	digest, err := DigestOf(p.dir)
	if err != nil {
		text, next, _ := strings.Cut(strings.TrimPrefix(err.Error(), "read the release directory: "), "; ")
		if next == "" {
			next = "correct the directory: plain files and directories only"
		}
		p.problems = append(p.problems, Problem{File: p.base, Code: DirectoryUnreadable, Message: text, Next: next})
	}
	p.rel.Digest = digest
	data, err := readFile(p.dir, Manifest, maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.fail(DirectoryUnreadable, 0, "commit it, or remove the directory", "there is no %s", Manifest)
		return
	case err != nil:
		p.fail(DirectoryUnreadable, 0, "commit it as a plain file", "%s", plainText(err.Error()))
		return
	}
	root := p.document(data)
	if root == nil {
		return
	}
	p.top(root)
	p.check()
	if len(p.problems) > 0 || p.rel.Absent {
		return
	}
	p.normalise()
}

// readFile reads at most most bytes of a plain file, and one more as a sign that there
// are more. It follows no symbolic link, in the way to the file neither: a work tree
// has them where a commit's tree does not.
func readFile(dir fs.FS, name string, most int64) ([]byte, error) {
	for i, c := range name + "/" {
		if c != '/' {
			continue
		}
		info, err := fs.Lstat(dir, name[:i])
		switch {
		case err != nil:
			return nil, plainPathError(err)
		case i < len(name) && !info.IsDir():
			return nil, fmt.Errorf("%s is not a directory", show(name[:i]))
		case i == len(name) && !info.Mode().IsRegular():
			return nil, errors.New("not a plain file")
		}
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, plainPathError(err)
	}
	return data, nil
}

// plainPathError takes the path off an error: a problem names the file itself.
func plainPathError(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// normalise hands the model, which is known to be sound, to Compose and fills the
// Release with what it makes of it.
func (p *parser) normalise() {
	project, err := normalise(p.rel.App, p.model)
	if err != nil {
		p.wrong(p.lineFor(err.Error()), "correct the named field", "Compose refuses it: %s", plainText(strings.TrimSuffix(err.Error(), ": invalid compose project")))
		return
	}
	for _, d := range p.services {
		if !d.active() {
			continue
		}
		config, ok := project.Services[d.Name]
		if !ok {
			p.wrong(d.Line, "report it", "Compose dropped the service %s", show(d.Name))
			return
		}
		config.Image = d.Image
		d.Config, d.Replicas = config, config.GetScale()
		p.rel.Services = append(p.rel.Services, d.Service)
	}
	slices.SortFunc(p.rel.Services, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	for _, name := range sorted(project.Volumes) {
		p.rel.Volumes = append(p.rel.Volumes, Volume{Name: name, Mode: p.modes[name], Config: project.Volumes[name]})
	}
	for _, name := range sorted(project.Networks) {
		p.rel.Networks = append(p.rel.Networks, Network{Name: name, Config: project.Networks[name]})
	}
	if p.rel.Content, err = content(p.rel); err != nil {
		p.wrong(0, "report it", "no specification can be made of it: %s", show(err.Error()))
	}
}

// lineFor is the line of the service that Compose's error names, 0 if none.
func (p *parser) lineFor(text string) int {
	for _, d := range p.services {
		for _, mark := range []string{"services." + d.Name, fmt.Sprintf("service %q", d.Name), "service " + d.Name + " "} {
			if strings.Contains(text, mark) {
				return d.Line
			}
		}
	}
	return 0
}
