package rollout

import (
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
)

// A release that serves may be wanted with other inputs: a secret or a host value changed.
// That alone moves nothing. An operator's order, or Want.Rotate, swaps the same digest
// again; until then the status says that inputs differ.

// steady takes a release that the host serves, or has proven, as the target that it is
// here, unless its other inputs are to be deployed.
func (in Input) steady() Input {
	w, s := &in.Want, in.Past
	if !w.names() || rotates(in) {
		return in
	}
	if d := s.Deploy; d != nil && d.To.ID.Digest == w.Set.ID.Digest {
		return in // it is pinned by its phase, see turnedAway
	}
	var from *Set
	if s.Deploy != nil {
		from = s.Deploy.From
	}
	for _, x := range []*Set{s.Live, s.Proven, from} {
		if x == nil || x.ID.Digest != w.Set.ID.Digest {
			continue
		}
		w.differ = w.Set.ID.Inputs != x.ID.Inputs
		w.Set.ID.Inputs = x.ID.Inputs
		break
	}
	return in
}

// rotates reports whether a settled app is to be swapped again because the host gives the
// live release other inputs now.
func rotates(in Input) bool {
	w, s := in.Want, in.Past
	return s.Deploy == nil && s.Live != nil && w.names() && s.Live.ID.Digest == w.Set.ID.Digest &&
		w.Set.ID.Inputs != "" && w.Set.ID.Inputs != s.Live.ID.Inputs && (w.Rotate || s.Rotate != nil || !slices.Equal(w.Set.Here, s.Live.Here))
}

// refuseRotate says why an order to rotate has no sense now; "" when it has.
func refuseRotate(in Input) (release.Code, string) {
	w, s := in.Want, in.Past
	switch {
	case s.Live == nil:
		return release.NoSuchRelease, "nothing is live"
	case s.Deploy != nil && !s.Deploy.idle():
		return release.Working, "a deployment is under way; order it again when it has ended"
	case w.Unknown != "":
		return w.Unknown, w.Detail
	case !w.names() || w.Set.ID.Digest != s.Live.ID.Digest:
		return release.NewerRelease, "what is live is not what Git wants; the release that Git wants takes the present secrets by itself"
	case w.Inputs != "":
		return w.Inputs, w.InputsDetail
	case w.Set.ID.Inputs == s.Live.ID.Inputs && !w.differ:
		return release.InputsSame, ""
	}
	return "", ""
}

// RefuseRotate says why an order to rotate would be refused; "" when it would be taken.
func RefuseRotate(s State, w Want) (release.Code, string) {
	return refuseRotate(Input{Past: s, Want: w})
}

// rotate takes an order up. A hold of the same digest, which a rotation that went back
// left, is lifted: other inputs are what it waits for.
func (s *State) rotate(o Order) {
	s.Rotate = &o
	if s.Hold != nil && s.Live != nil && s.Hold.Digest == s.Live.ID.Digest {
		s.Hold = nil
	}
}

func differWhy(w Want) release.Code {
	if w.Inputs != "" {
		return w.Inputs
	}
	return release.InputsDiffer
}

func differDetail(w Want, app string) string {
	if w.Inputs != "" {
		return w.InputsDetail + "; the live release keeps what it has"
	}
	return "tealctl secrets rotate " + app
}

// FreshAt is when the digest was accepted first.
func (m Mark) FreshAt() time.Time {
	if m.Fresh.IsZero() {
		return m.At
	}
	return m.Fresh
}

// renews reports whether the deployment swaps the live release for itself with other
// inputs.
func (d *Deployment) renews() bool {
	return d.Kind == KindRelease && d.From != nil && d.From.ID.Digest == d.To.ID.Digest && d.From.ID.Inputs != d.To.ID.Inputs
}

// Reached are the targets that the app runs, or may go back to without Git: what the host
// added to them must stay.
func (s State) Reached() []release.Target {
	var out []release.Target
	add := func(x *Set) {
		if x != nil {
			out = append(out, x.ID.Target)
		}
	}
	add(s.Live)
	add(s.Proven)
	for i := range s.Old {
		add(&s.Old[i])
	}
	if d := s.Deploy; d != nil {
		add(&d.To)
		add(d.From)
	}
	if s.Doubtful != nil {
		out = append(out, s.Doubtful.Target)
	}
	return out
}
