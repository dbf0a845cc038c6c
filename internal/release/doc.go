// Package release turns a release directory into what a host is to run.
//
// Parse reads release.yaml and the files beside it through an fs.FS, strictly, and
// reports every problem at once with its file and line. DigestOf names the
// directory. Plan and PlanShared are pure functions from a Release, a host and a
// colour to exact container, network and volume specifications.
//
// It does not fetch (gitops), judge (trust) or start anything (docker). It reads
// nothing but the directory it is given: no file, environment variable or home of
// the host, whatever the manifest says.
//
// Invariants:
//   - Equal bytes give equal Releases, problems and specifications, on every host.
//   - A key that teal does not carry out is a problem that says so; nothing in a
//     manifest is ignored, but for x-… fragments at its top level.
//   - No two containers share a name, and nothing of one colour shares a name with the
//     other colour's but volumes, the shared networks and those from outside. On these
//     a swapped service has no alias, for it would mean both colours.
//   - What a later version adds changes no LabelSpec and no Content of what does not
//     use it: a shared service is not made anew because the agent was upgraded.
//
// Everything here is a function: nothing to start or stop, and a crash leaves
// nothing behind.
package release
