// Package webhook listens for a hosting site's word that something was pushed, and
// says so to whoever fetches: it makes the next look come now instead of at the next
// poll, and can do nothing else.
//
// What it does not do: it never reads a commit, a branch's head or an address out of a
// payload. The payload is read for one word, the name of the ref, to leave out pushes
// that nobody follows; what is then fetched is judged as always.
//
// Invariants:
//   - Nothing of a body is parsed before its signature (GitHub, generic) or token
//     (GitLab) was found good, in constant time.
//   - Whoever is refused learns nothing: every refusal is the same empty 404, but for
//     429, which a sender that is too fast may know. The reason is counted and logged
//     here, without a byte of what was sent.
//   - Bodies, headers, connections, time and requests are bounded, per source and
//     together. A flood costs hooks, and with them only the wait for the next poll.
//   - Secrets, certificate and key are read again from their files, so that rotating
//     them needs no restart. A secret's file may hold two while one takes the place of
//     the other.
//
// New starts nothing; Run serves until its context ends. A crash leaves nothing behind.
package webhook
