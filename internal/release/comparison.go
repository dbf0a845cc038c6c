package release

import (
	"fmt"
	"strings"
)

// comparison reads two versions of a file against each other, the one that was edited and
// the result, aliases and merge keys written out: whatever an edit did not mean to change
// says what it said. Fragments of the top level are compared where they are used.
type comparison struct {
	gone  map[int]bool                        // lines of the keys that were removed
	added func(at, key string) bool           // may the key be new there
	other func(at string, was, is *node) bool // may the value be another there
	at    string                              // of the first difference that is not meant
	line  int                                 // of it, before the edit
}

func (c *comparison) differs(at string, n *node) bool {
	c.at, c.line = orTop(at), max(lineOf(n), 1)
	return false
}

// same reports whether there are only differences that are meant.
func (c *comparison) same(at string, was, is *node) bool {
	switch {
	case was.empty() && is.empty():
		return true
	case was.empty() || is.empty() || was.kind != is.kind:
		return was != nil && is.empty() && c.emptied(was) || c.may(at, was, is)
	case was.kind == scalar:
		return was.text == is.text && was.tag == is.tag && was.reads == is.reads || c.may(at, was, is)
	case was.kind == sequence:
		if len(was.items) != len(is.items) {
			return c.differs(at, was)
		}
		for i, item := range was.items {
			if !c.same(fmt.Sprintf("%s[%d]", at, i), item, is.items[i]) {
				return false
			}
		}
		return true
	}
	for _, f := range was.fields {
		if fragment(at, f.key) {
			continue
		}
		here, now := join(at, f.key), is.field(f.key)
		switch {
		case c.gone[f.line]:
			if now != nil { // a merged one stands in its place
				return c.differs(here, &node{line: f.line})
			}
		case now == nil:
			return c.differs(here, &node{line: f.line})
		case !c.same(here, f.value, now.value):
			return false
		}
	}
	for _, f := range is.fields {
		if was.field(f.key) == nil && !fragment(at, f.key) && !c.added(at, f.key) {
			return c.differs(join(at, f.key), was)
		}
	}
	return true
}

func (c *comparison) may(at string, was, is *node) bool {
	return c.other(at, was, is) || c.differs(at, was)
}

// emptied reports whether every key of a mapping was removed.
func (c *comparison) emptied(was *node) bool {
	for _, f := range was.fields {
		if !c.gone[f.line] {
			return false
		}
	}
	return was.kind == mapping
}

// fragment reports whether a key holds parts for anchors.
func fragment(at, key string) bool {
	return at == "" && strings.HasPrefix(key, "x-") && key != "x-teal"
}
