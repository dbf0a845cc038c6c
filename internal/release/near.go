package release

import "strings"

// nearest is the word that s was probably meant to be, "" if none is close: the same
// but for case, dashes and underscores, or at most two letters away.
func nearest(s string, words []string) string {
	if len(s) > 64 {
		return ""
	}
	best, distance := "", 3
	for _, w := range words {
		if fold(w) == fold(s) {
			return w
		}
		if d := edits(strings.ToLower(s), strings.ToLower(w)); d < distance && 2*d < len(w) {
			best, distance = w, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// edits counts insertions, removals, changes and swaps of neighbours between two words.
func edits(a, b string) int {
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
