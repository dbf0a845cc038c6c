package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/distribution/reference"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// draft is the next release as it would be on top of one commit.
type draft struct {
	dir       string
	files     map[string][]byte // of the release directory, by path in it
	rel       *release.Release
	was       releaseMark // what the directory holds now
	from      *releaseMark
	changed   []release.Changed
	notes     []string
	unchanged bool
}

// make drafts the release over the files that the directory holds now. head is the commit
// that --from looks back from; heads are those whose history has the earlier sequences.
func (n *newRelease) make(ctx context.Context, now map[string][]byte, head string, heads []string) (*draft, error) {
	d := &draft{dir: n.dir(), files: now}
	current := release.MarksOf(now[release.Manifest])
	d.was = releaseMark{Version: current.Version, Sequence: current.Sequence}
	if n.from != "" {
		if head == "" {
			return nil, usage(errors.New("--from looks for a release in the history, and there is no commit yet"))
		}
		mark, err := n.past.older(ctx, head, d.dir, n.from)
		if err != nil {
			return nil, err
		}
		if d.files, err = filesAt(n.repo, mark.Commit, d.dir); err != nil {
			return nil, err
		}
		d.from = &mark
	}
	if err := n.start(d); err != nil {
		return nil, err
	}
	before := release.MarksOf(d.files[release.Manifest])
	edit, err := n.wantedEdit(before)
	if err != nil {
		return nil, err
	}
	sources := []string{n.file()}
	if release.ValidApp(before.Formerly) {
		sources = append(sources, path.Join("environments", n.env, before.Formerly, release.Manifest))
	}
	top, err := n.past.highest(ctx, heads, sources...)
	if err != nil {
		return nil, err
	}
	d.unchanged, err = n.already(d, edit, now, before.Sequence == top && top > 0)
	if err != nil {
		return nil, err
	}
	if d.unchanged {
		edit.Sequence = 0
	} else {
		edit.Sequence = top + 1
	}
	data, changed, problems := edit.Apply(n.file(), d.files[release.Manifest])
	if len(problems) > 0 {
		return nil, fmt.Errorf("the manifest cannot be edited in place:\n%w", problems)
	}
	d.changed = changed
	d.files = maps.Clone(d.files)
	d.files[release.Manifest] = data
	if err := d.parse(n); err != nil {
		return nil, err
	}
	if err := d.onlyWhatWasAsked(n.file(), before, edit); err != nil {
		return nil, err
	}
	d.note(before, edit)
	return d, nil
}

// start is the manifest to edit: what is there, else the template.
func (n *newRelease) start(d *draft) error {
	has := d.files[release.Manifest] != nil
	switch {
	case n.template != "" && has:
		return usage(fmt.Errorf("%s is there already; leave out --template", n.file()))
	case has:
		return nil
	case n.template == "":
		return usage(fmt.Errorf("there is no %s to make the next release of; start one with --template FILE, or from a Compose file with tealctl init", n.file()))
	}
	info, err := os.Stat(n.template)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxOldManifest {
		return usage(fmt.Errorf("%s is no manifest", n.template))
	}
	data, err := os.ReadFile(n.template)
	if err != nil {
		return err
	}
	d.files = maps.Clone(d.files)
	if d.files == nil {
		d.files = map[string][]byte{}
	}
	d.files[release.Manifest] = data
	return nil
}

// wantedEdit is the edit without its sequence: the images by service.
func (n *newRelease) wantedEdit(before release.Marks) (release.Edit, error) {
	e := n.edit
	e.Images = map[string]string{}
	for _, given := range n.images {
		services, ref := splitImage(given)
		image := n.pinned[ref]
		if services == nil {
			name := imageName(image)
			for _, s := range before.Images {
				if imageName(s.Image) == name {
					services = append(services, s.Service)
				}
			}
			if len(services) == 0 {
				return e, usage(fmt.Errorf("--image %s: no service of %s runs an image of that name; write SERVICE=%s", trust.Escape(given), n.file(), trust.Escape(ref)))
			}
		}
		for _, s := range services {
			if other, twice := e.Images[s]; twice && other != image {
				return e, usage(fmt.Errorf("--image: service %s is given two images", trust.Escape(s)))
			}
			e.Images[s] = image
		}
	}
	return e, nil
}

// imageName is an image without tag and digest, in its one form; "" if it has none.
func imageName(image string) string {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	return ref.Name()
}

// already reports whether the newest release is the wanted one: a pipeline that runs again
// makes no second release of it.
func (n *newRelease) already(d *draft, edit release.Edit, now map[string][]byte, newest bool) (bool, error) {
	if n.again || !newest || !maps.EqualFunc(d.files, now, bytes.Equal) {
		return false, nil
	}
	_, changed, problems := edit.Apply(n.file(), d.files[release.Manifest])
	if len(problems) > 0 {
		return false, fmt.Errorf("the manifest cannot be edited in place:\n%w", problems)
	}
	return len(changed) == 0, nil
}

// parse judges the result as a host would.
func (d *draft) parse(n *newRelease) error {
	dir, err := memory(d.files)
	if err != nil {
		return err
	}
	rel, problems := release.Parse(dir, n.env, n.app)
	if len(problems) > 0 {
		return fmt.Errorf("the release would not pass lint; nothing is written:\n%w", problems)
	}
	d.rel = rel
	return nil
}

// memory is a release directory that is not written yet.
func memory(files map[string][]byte) (fs.FS, error) {
	var a txtar.Archive
	for _, name := range slices.Sorted(maps.Keys(files)) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: files[name]})
	}
	return txtar.FS(&a)
}

// onlyWhatWasAsked refuses an edit that reaches further: a value that others share by an
// anchor or a merge key.
func (d *draft) onlyWhatWasAsked(file string, before release.Marks, edit release.Edit) error {
	after := release.MarksOf(d.files[release.Manifest])
	for i, s := range after.Images {
		want := before.Images[i].Image
		if asked := edit.Images[s.Service]; asked != "" {
			want = asked
		}
		if s.Image != want {
			return fmt.Errorf("%s:%d: service %s shares its image with one that is given, and would get %s; give it as well, or write its image out", file, s.Line, s.Service, trust.Escape(s.Image))
		}
	}
	if edit.Version != "" && after.Version != edit.Version || edit.Sequence != 0 && after.Sequence != edit.Sequence {
		return fmt.Errorf("%s: version or sequence are shared with another value; write them out", file)
	}
	return nil
}

// note says what is right but may not be meant.
func (d *draft) note(before release.Marks, edit release.Edit) {
	for _, s := range before.Images {
		for _, other := range slices.Sorted(maps.Keys(edit.Images)) {
			if edit.Images[s.Service] == "" && imageName(s.Image) == imageName(edit.Images[other]) && s.Image != edit.Images[other] {
				d.notes = append(d.notes, fmt.Sprintf("service %s stays on an older digest of the image of %s", s.Service, other))
				break
			}
		}
	}
	if len(edit.Images) > 0 && edit.Source.Commit == "" && d.rel.Source.Commit != "" && slices.ContainsFunc(d.changed, func(c release.Changed) bool { return strings.HasSuffix(c.Field, ".image") }) {
		d.notes = append(d.notes, fmt.Sprintf("the images are new, the source stays %.12s; say with --source what they were built from", d.rel.Source.Commit))
	}
}

// filesAt reads a release directory of a commit; none is an empty one.
func filesAt(repo, commit, dir string) (map[string][]byte, error) {
	snap, err := commitOf(repo, commit)
	if err != nil {
		return nil, err
	}
	if _, ok := snap.Tree(dir); !ok {
		return map[string][]byte{}, nil
	}
	sub, err := snap.Sub(dir)
	if err != nil {
		return nil, err
	}
	return readAll(sub, dir)
}

// readAll reads a release directory, within the bounds of its digest.
func readAll(dir fs.FS, shown string) (map[string][]byte, error) {
	if _, err := release.DigestOf(dir); err != nil {
		return nil, fmt.Errorf("%s: %w", shown, err)
	}
	files := map[string][]byte{}
	err := fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(dir, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", shown, err)
	}
	return files, nil
}
