package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/trust"
)

// rawCommit is a commit object as its bytes stand. It is read by our own strict
// parser because a signature is over exact bytes, and because a header that one
// reader takes for a parent and another does not would hide history.
type rawCommit struct {
	tree      plumbing.Hash
	parents   []plumbing.Hash
	committer string    // the address as written
	when      time.Time // what the committer's machine said; zero when unreadable
	signed    []byte    // the object without its signatures: what Git signs
	signature []byte    // of the gpgsig header, unfolded; nil when there is not exactly one
}

// header is one header of a commit with its continuation lines.
type header struct {
	name, value string // value unfolded, without the last line end
	raw         []byte // with line ends
}

var errMalformedCommit = errors.New("the commit object is malformed")

// parseCommit reads a commit object. Order and number of tree, parent, author and
// committer must be Git's own; further headers are kept as they are. A commit whose
// signature headers are doubled or unknown is returned as unsigned: readers do not
// agree on what is signed there.
func parseCommit(data []byte) (rawCommit, error) {
	headers, rest, err := splitCommit(data)
	if err != nil {
		return rawCommit{}, err
	}
	var c rawCommit
	var signatures, others int
	want := []string{"tree", "author", "committer"} // in this order, parents after tree
	for _, h := range headers {
		switch {
		case len(want) == 0 && (h.name == "tree" || h.name == "parent" || h.name == "author" || h.name == "committer"):
			return rawCommit{}, fmt.Errorf("%w: %s out of place", errMalformedCommit, h.name)
		case len(want) == 2 && h.name == "parent":
			if !commitHex.MatchString(h.value) {
				return rawCommit{}, fmt.Errorf("%w: parent is not 40 hex digits", errMalformedCommit)
			}
			c.parents = append(c.parents, plumbing.NewHash(h.value))
		case len(want) > 0 && h.name != want[0]:
			return rawCommit{}, fmt.Errorf("%w: %s where %s should be", errMalformedCommit, escape(h.name, 40), want[0])
		case len(want) > 0:
			want = want[1:]
			switch h.name {
			case "tree":
				if !commitHex.MatchString(h.value) {
					return rawCommit{}, fmt.Errorf("%w: tree is not 40 hex digits", errMalformedCommit)
				}
				c.tree = plumbing.NewHash(h.value)
			case "committer":
				c.committer, c.when = parseIdent(h.value)
			}
		case h.name == "gpgsig":
			signatures++
			c.signature = []byte(h.value + "\n")
			continue
		case h.name == "gpgsig-sha256": // over the SHA-256 form of the object, which is not here
			others++
			continue
		case strings.HasPrefix(h.name, "gpgsig"):
			others = 2
			continue
		}
		c.signed = append(c.signed, h.raw...)
	}
	if len(want) > 0 {
		return rawCommit{}, fmt.Errorf("%w: no %s", errMalformedCommit, want[0])
	}
	if signatures != 1 || others > 1 {
		c.signature = nil
	}
	c.signed = append(c.signed, rest...)
	return c, nil
}

// splitCommit takes the headers off; rest is the empty line and the message.
func splitCommit(data []byte) (headers []header, rest []byte, err error) {
	for rest = data; len(rest) > 0 && rest[0] != '\n'; {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 || bytes.IndexByte(rest[:n], 0) >= 0 {
			return nil, nil, fmt.Errorf("%w: a header is cut short", errMalformedCommit)
		}
		line := rest[:n]
		rest = rest[n:]
		text := string(line[:n-1])
		if text[0] == ' ' {
			if len(headers) == 0 {
				return nil, nil, fmt.Errorf("%w: it begins with a continuation", errMalformedCommit)
			}
			last := &headers[len(headers)-1]
			last.value += "\n" + text[1:]
			last.raw = append(last.raw[:len(last.raw):len(last.raw)], line...)
			continue
		}
		name, value, _ := strings.Cut(text, " ")
		headers = append(headers, header{name, value, line})
	}
	return headers, rest, nil
}

var identForm = regexp.MustCompile(`^[^<>]*<([^<>]*)> (-?[0-9]{1,12}) [+-][0-9]{4}$`)

// parseIdent reads "Name <address> seconds zone". What does not look so is shown as
// it is written.
func parseIdent(text string) (address string, when time.Time) {
	m := identForm.FindStringSubmatch(text)
	if m == nil {
		return text, time.Time{}
	}
	seconds, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return m[1], time.Time{}
	}
	return m[1], time.Unix(seconds, 0).UTC()
}

// asChange is the commit for a policy to judge.
func (c rawCommit) asChange(h plumbing.Hash) trust.Commit {
	return trust.Commit{ID: h.String(), Committer: c.committer, When: c.when, Signed: c.signed, Signature: c.signature}
}
