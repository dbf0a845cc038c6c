package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

const (
	maxOldManifest  = 1 << 20 // bytes: what Parse reads
	manifestsAtOnce = 256
)

// history reads the manifests that a directory ever had. What a manifest says is kept by
// its blob, so that a look again reads only what is new.
type history struct {
	repo  string
	marks map[string]release.Marks
}

// blobs are the manifests of a file in the history of the commits, of merged branches as
// well, each once, newest first.
func (h *history) blobs(ctx context.Context, commits []string, files ...string) ([]string, error) {
	args := append([]string{"-c", "log.showRoot=true", "-c", "log.showSignature=false", "log", "--full-history", "-m", "--raw", "--no-abbrev", "--no-renames", "--format="}, commits...)
	args = append(args, "--")
	for _, f := range files {
		args = append(args, ":(top,literal)"+f)
	}
	out, err := git(ctx, h.repo, args...)
	if err != nil {
		return nil, err
	}
	var ids []string
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line) // :100644 100644 old new M path
		if len(f) < 5 || f[1] != "100644" || seen[f[3]] {
			continue
		}
		seen[f[3]] = true
		ids = append(ids, f[3])
	}
	return ids, nil
}

// read fills in the marks of blobs, and leaves out what is larger than a manifest may be.
func (h *history) read(ctx context.Context, ids []string) error {
	var unknown []string
	for _, id := range ids {
		if _, ok := h.marks[id]; !ok {
			unknown = append(unknown, id)
		}
	}
	for len(unknown) > 0 {
		part := unknown[:min(len(unknown), manifestsAtOnce)]
		unknown = unknown[len(part):]
		sizes, err := gitCall{dir: h.repo, stdin: strings.NewReader(strings.Join(part, "\n") + "\n")}.run(ctx, "cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)")
		if err != nil {
			return err
		}
		var fit []string
		for line := range strings.Lines(sizes) {
			f := strings.Fields(line)
			if len(f) != 3 || f[1] != "blob" {
				return fmt.Errorf("the clone lacks %s; run git fsck in it", trust.Escape(strings.TrimSpace(line)))
			}
			if size, err := strconv.Atoi(f[2]); err == nil && size <= maxOldManifest {
				fit = append(fit, f[0])
			} else {
				h.marks[f[0]] = release.Marks{}
			}
		}
		if err := h.batch(ctx, fit); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) batch(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	out, err := gitCall{dir: h.repo, stdin: strings.NewReader(strings.Join(ids, "\n") + "\n")}.raw(ctx, "cat-file", "--batch")
	if err != nil {
		return err
	}
	r := bufio.NewReader(bytes.NewReader(out))
	for range ids {
		head, err := r.ReadString('\n')
		f := strings.Fields(head)
		if err != nil || len(f) != 3 {
			return errors.New("git cat-file ends early; run git fsck in the clone")
		}
		size, err := strconv.Atoi(f[2])
		if err != nil || size > maxOldManifest {
			return errors.New("git cat-file answers in another form")
		}
		data := make([]byte, size+1) // and a line end
		if _, err := io.ReadFull(r, data); err != nil {
			return errors.New("git cat-file ends early; run git fsck in the clone")
		}
		h.marks[f[0]] = release.MarksOf(data[:size])
	}
	return nil
}

// highest is the highest sequence that the app ever had in the history of the commits,
// under its former name as well: the next one is above it, also after a git revert.
func (h *history) highest(ctx context.Context, commits []string, files ...string) (int64, error) {
	if len(commits) == 0 {
		return 0, nil
	}
	ids, err := h.blobs(ctx, commits, files...)
	if err != nil {
		return 0, err
	}
	if err := h.read(ctx, ids); err != nil {
		return 0, err
	}
	var top int64
	for _, id := range ids {
		top = max(top, h.marks[id].Sequence)
	}
	return top, nil
}

// older finds the release that --from names: a sequence, a version, or a commit that has
// it. Of several with one version it is the one with the highest sequence.
func (h *history) older(ctx context.Context, head, dir, name string) (releaseMark, error) {
	file := path.Join(dir, release.Manifest)
	if len(name) > 200 || strings.HasPrefix(name, "-") {
		return releaseMark{}, usage(fmt.Errorf("--from %q names no release", name))
	}
	out, err := git(ctx, h.repo, "log", "--full-history", "--format=%H", head, "--", ":(top,literal)"+dir)
	if err != nil {
		return releaseMark{}, err
	}
	commits := strings.Fields(out)
	var ask strings.Builder
	for _, c := range commits {
		ask.WriteString(c + ":" + file + "\n")
	}
	at := map[string]string{} // blob by commit
	if len(commits) > 0 {
		found, err := gitCall{dir: h.repo, stdin: strings.NewReader(ask.String())}.run(ctx, "cat-file", "--batch-check=%(objectname) %(objecttype)")
		if err != nil {
			return releaseMark{}, err
		}
		lines := strings.Split(found, "\n")
		for i, c := range commits {
			if i < len(lines) && strings.HasSuffix(lines[i], " blob") {
				at[c] = strings.TrimSuffix(lines[i], " blob")
			}
		}
	}
	var ids []string
	for _, c := range commits {
		if at[c] != "" {
			ids = append(ids, at[c])
		}
	}
	if err := h.read(ctx, ids); err != nil {
		return releaseMark{}, err
	}
	wanted, err := strconv.ParseInt(name, 10, 64)
	byNumber := err == nil
	var best releaseMark
	for _, c := range commits {
		m := h.marks[at[c]]
		if at[c] == "" || m.Sequence == 0 {
			continue
		}
		if (byNumber && m.Sequence == wanted || m.Version == name) && m.Sequence > best.Sequence {
			best = releaseMark{m.Version, m.Sequence, c}
		}
	}
	if best.Sequence > 0 {
		return best, nil
	}
	if commit, err := git(ctx, h.repo, "rev-parse", "-q", "--verify", name+"^{commit}"); err == nil {
		blob, err := git(ctx, h.repo, "rev-parse", "-q", "--verify", commit+":"+file)
		if err != nil {
			return releaseMark{}, usage(fmt.Errorf("--from %s: commit %.7s has no %s", trust.Escape(name), commit, file))
		}
		if err := h.read(ctx, []string{blob}); err != nil {
			return releaseMark{}, err
		}
		m := h.marks[blob]
		return releaseMark{m.Version, m.Sequence, commit}, nil
	}
	return releaseMark{}, usage(fmt.Errorf("--from %s: no release of %s in the history has that version, sequence or commit; git log -- %s lists them", trust.Escape(name), dir, dir))
}

// whole sees to it that the history is there: the highest sequence is in it, and a shallow
// clone has only its end.
func (h *history) whole(ctx context.Context, t *tool, to branch) error {
	shallow, err := git(ctx, h.repo, "rev-parse", "--is-shallow-repository")
	if err != nil || shallow != "true" {
		return err
	}
	fmt.Fprintf(t.err, "the clone is shallow: fetching the history of %s/%s, which the next sequence is taken from\n", trust.Escape(to.remote), to.name)
	_, err = git(ctx, h.repo, "fetch", "-q", "--no-tags", "--no-write-fetch-head", "--unshallow", to.remote, "refs/heads/"+to.name)
	if err == nil {
		return nil
	}
	if again, e := git(ctx, h.repo, "rev-parse", "--is-shallow-repository"); e == nil && again != "true" {
		return nil // somebody else did it meanwhile
	}
	return fmt.Errorf("%w; fetch the whole history (fetch-depth: 0) and try again", err)
}
