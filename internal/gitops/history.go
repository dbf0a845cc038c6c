package gitops

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// descends reports whether head is ancestor or descends from it, over all parents.
// Dates are not looked at: they are what a committer claims.
func descends(ctx context.Context, src objects, head, ancestor plumbing.Hash) (bool, error) {
	seen := map[plumbing.Hash]bool{head: true}
	queue := []plumbing.Hash{head}
	for len(queue) > 0 {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		h := queue[0]
		queue = queue[1:]
		if h == ancestor {
			return true, nil
		}
		c, err := readCommit(src, h)
		if err != nil {
			return false, fmt.Errorf("read history: %w", err)
		}
		for _, p := range c.ParentHashes {
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return false, nil
}

// ancestors lists up to max commits from heads backwards, for a server to find
// what both sides have when history was rewritten.
func ancestors(src objects, heads []plumbing.Hash, max int) []plumbing.Hash {
	seen := make(map[plumbing.Hash]bool)
	var list []plumbing.Hash
	for queue := heads; len(queue) > 0 && len(list) < max; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		c, err := readCommit(src, queue[0])
		if err != nil {
			continue // what cannot be read is not offered
		}
		list = append(list, queue[0])
		queue = append(queue, c.ParentHashes...)
	}
	return list
}

// known are the names of trees and files that were read and verified before. A known
// tree is known with everything below it.
type known map[plumbing.Hash]plumbing.ObjectType

// knownMax bounds how many names are remembered; beyond it they are forgotten and the
// next head is verified whole.
const knownMax = 200_000

// complete reads every object of a tree that is not known, so that a head is only
// accepted when all of it is here and has its name. With contents false, files are
// only looked up, which is enough for a clone that was verified before. It returns
// what it read.
func complete(ctx context.Context, src *store, root plumbing.Hash, before known, contents bool, limits Limits) (known, error) {
	read := make(known)
	queue := []plumbing.Hash{root}
	for len(queue) > 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		switch {
		case before[h] == plumbing.TreeObject || read[h] == plumbing.TreeObject:
			continue
		case before[h] != 0 || read[h] != 0:
			return nil, fmt.Errorf("read tree %s: %w", h, errWrongType)
		}
		read[h] = plumbing.TreeObject
		entries, err := readTree(src, h, limits.Object)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			switch typ := e.refersTo(); {
			case typ == plumbing.TreeObject:
				queue = append(queue, e.hash)
				continue
			case typ == plumbing.CommitObject, before[e.hash] == typ, read[e.hash] == typ:
				continue
			case before[e.hash] != 0 || read[e.hash] != 0:
				return nil, fmt.Errorf("read %s: %w", escape(e.name, 255), errWrongType)
			}
			read[e.hash] = plumbing.BlobObject
			if contents {
				_, err = src.object(e.hash, plumbing.BlobObject, limits.Object)
			} else {
				_, err = src.size(e.hash)
			}
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", escape(e.name, 255), err)
			}
		}
	}
	return read, nil
}
