package release

import (
	"errors"
	"strings"

	"github.com/distribution/reference"
)

// image is an image by digest in its one form, name@sha256:…: the registry written
// out, the tag dropped, for the digest alone says what runs.
func (r *reader) image(at string, n *node) string {
	text, ok := filled(r, at, n).(string)
	if !ok {
		return ""
	}
	if len(text) > 512 {
		r.wrong(n.line, "write name@sha256:<64 hex>", "%s: %s is too long for an image", at, show(text))
		return ""
	}
	name, digest, pinned := strings.Cut(text, "@")
	if !pinned {
		r.fail(ImageNotPinned, n.line, "write "+withoutTag(name)+"@sha256:<64 hex>; tealctl release new does it for you", "%s: %s is named by tag, so what it is can change", at, show(text))
		return ""
	}
	if !digestForm.MatchString(digest) {
		r.fail(ImageNotPinned, n.line, "write name@sha256:<64 hex>", "%s: %s is not sha256 and 64 hex digits", at, show(digest))
		return ""
	}
	ref, err := reference.ParseDockerRef(text)
	if err != nil {
		r.wrong(n.line, "write name@sha256:<64 hex>", "%s: %s is not the name of an image", at, show(text))
		return ""
	}
	return ref.String()
}

// withoutTag is an image's name for a message, "name" if it has no plain one.
func withoutTag(text string) string {
	if ref, err := reference.ParseNormalizedNamed(text); err == nil {
		return reference.FamiliarName(ref)
	}
	return "name"
}

// PinnedImage is an image by digest in its one form, name@sha256:<64 hex>. An error says
// what is wrong with it and what to write.
func PinnedImage(text string) (string, error) {
	var r reader
	image := r.image("image", &node{kind: scalar, text: text, reads: text, tag: "!!str", line: 1})
	if len(r.problems) > 0 {
		return "", errors.New(r.problems[0].Message + "; " + r.problems[0].Next)
	}
	return image, nil
}
