// Package gitops follows refs of a Git repository (branches, tags, ranges of versions,
// globs of branches) and a branch for evidence, and shows the accepted head of each as a
// Snapshot: a read-only fs.FS over a commit's tree. Which ref wins for an app is for
// whoever reads the manifests to say; Ref.Seen is what it needs beside them.
//
// What it does not do: it never checks out, never runs hooks, filters or the git
// program, never follows includes of a Git configuration, and never writes to the
// repository it follows. It does not parse manifests or judge evidence.
//
// Invariants:
//   - History only moves forward. A head is accepted when it descends from the one
//     accepted before it, its teal.yaml carries the pinned repoId, and every object
//     of its tree was read and hashed; a tag, when it has not moved. Anything else
//     leaves the accepted head of that ref in use, gives it a reason code, and stops no
//     other ref.
//   - Every object that is read is hashed again, so a Snapshot yields the bytes that
//     the commit names or an error, whatever the server or the disk did.
//   - <Dir>/accepted.json is durable and decides; <Dir>/clone.git is a cache that is
//     rebuilt when it is damaged. A damaged or lost accepted.json is never taken for
//     an empty one: nothing is followed until root calls Adopt.
//   - What a server sends is bounded in time, bytes, objects and inflated size before
//     go-git's readers see it: packs are indexed here (pack_index.go), an object at a
//     time, into the index that git would make. go-git's own parser takes twice the time
//     and memory that cannot be bounded.
//
// Local repositories are read directly: go-git's file transport starts the
// git-upload-pack program, and its in-process server walks the whole history for
// each fetch and keeps every object in memory. Here the commits and trees that the
// clone lacks are walked and written to one pack, an object at a time (copy.go).
//
// Snapshot.Changes says which commits changed a directory since an older one, with
// the bytes that their signatures are over; who signed is for a policy to say.
//
// Shelf, beside the Repo and independent of it, keeps the release directories that were
// accepted: what going back reads when there is no repository.
//
// Open starts nothing. Run polls until its context ends; Sync, Adopt, Head, Status
// and every Snapshot may be used from any goroutine, with Run or without it.
//
// A crash leaves behind at most unused files: a half-written clone beside the real
// one (removed by the next Open) or a temporary pack. The order is always pack, then
// accepted.json, then the rename of a rebuilt clone, each fsynced, so a clone without
// accepted.json means that somebody removed the record.
package gitops
