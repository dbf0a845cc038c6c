package main

import (
	"fmt"
	"path"
	"slices"

	"github.com/tealops/teal/internal/release"
)

// renaming is a release that takes the place of the app under its former name.
type renaming struct {
	file string
	rel  *release.Release
}

// renamings finds names that cannot be taken over: whose directory still stands, or that
// two manifests ask for. dirs are the manifests of the tree.
func renamings(all []renaming, dirs []string) []release.Problem {
	var out []release.Problem
	for _, r := range all {
		stands := path.Join(path.Dir(path.Dir(r.file)), r.rel.Formerly)
		if slices.Contains(dirs, stands+"/"+release.Manifest) {
			out = append(out, release.Problem{File: r.file, Line: r.rel.FormerlyLine, Code: release.FormerStands,
				Message: fmt.Sprintf("x-teal.formerly: %s still stands at %s", r.rel.Formerly, stands), Next: "remove that directory in the same commit, or take formerly out"})
		}
		other := slices.IndexFunc(all, func(o renaming) bool {
			return o.rel.App != r.rel.App && o.rel.Environment == r.rel.Environment && o.rel.Formerly == r.rel.Formerly
		})
		if other >= 0 {
			out = append(out, release.Problem{File: r.file, Line: r.rel.FormerlyLine, Code: release.FormerConflict,
				Message: fmt.Sprintf("x-teal.formerly: %s asks for the place of %s too", all[other].rel.App, r.rel.Formerly), Next: "take it out of one of the two"})
		}
	}
	return out
}
