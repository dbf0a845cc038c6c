package gitops

import (
	"errors"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// treePath finds what a tree holds at one path, whatever it is. Trees are remembered
// by name: most commits leave most of them as they were.
type treePath struct {
	objs   objects
	elems  []string
	limits Limits
	known  map[treeStep]string
}

type treeStep struct {
	tree  plumbing.Hash
	depth int
}

func newTreePath(objs objects, dir string, limits Limits) *treePath {
	return &treePath{objs: objs, elems: strings.Split(path.Clean(dir), "/"), limits: limits, known: make(map[treeStep]string)}
}

// content names what is at the path: equal names mean equal content, "" that there is
// nothing. A link or a submodule in the directory's place is a content too, and so is
// a tree that cannot be made sense of.
func (t *treePath) content(root plumbing.Hash) (string, error) { return t.below(root, 0) }

func (t *treePath) below(tree plumbing.Hash, depth int) (string, error) {
	step := treeStep{tree, depth}
	if found, ok := t.known[step]; ok {
		return found, nil
	}
	entries, err := readTree(t.objs, tree, t.limits.Object)
	large := (*tooLargeError)(nil)
	var found string
	switch {
	case errors.Is(err, errMalformedTree), errors.Is(err, errWrongType), errors.As(err, &large):
		found = "unreadable " + tree.String()
	case err != nil:
		return "", err
	default:
		if found, err = t.pick(entries, depth); err != nil {
			return "", err
		}
	}
	t.known[step] = found
	return found, nil
}

// pick goes on with the path's next element. Entries that are one where case does not
// count are told apart by nobody else, so all of them are the content.
func (t *treePath) pick(entries []entry, depth int) (string, error) {
	var all []string
	for _, e := range entries {
		if !strings.EqualFold(e.name, t.elems[depth]) {
			continue
		}
		found := e.mode + " " + e.name + " " + e.hash.String()
		if e.name == t.elems[depth] && e.isDir() && depth+1 < len(t.elems) {
			var err error
			if found, err = t.below(e.hash, depth+1); err != nil {
				return "", err
			}
		}
		if found != "" {
			all = append(all, found)
		}
	}
	return strings.Join(all, "\n"), nil
}
