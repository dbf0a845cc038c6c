// Package docker drives one container engine: images by digest, the blue and
// green sets of containers, one-off runs, and what the engine has now, observed by
// label. It carries out a release.SetSpec as it stands; what the set should look
// like was decided by release.Plan.
//
// It does not decide anything: when to start, switch or remove is the rollout's
// business, which restart policy a container has is the caller's, and no image or
// volume is ever removed here.
//
// Invariants:
//   - Only objects with the agent's own teal.instance label are changed. An object
//     of the wanted name that belongs to somebody else is name_taken.
//   - Every call can be repeated: what is already so is success. A half-made
//     container (made, but not on all its networks) is completed.
//   - Creating a set touches nothing that runs; a running container of the same name
//     with another specification is object_in_use.
//   - Only what was made from the specification at hand is started.
//   - An image counts as present only when the engine's own list of repository
//     digests holds the digest that was asked for.
//   - Every request to the engine has a deadline, every log tail and error text a
//     bound, and outside text is escaped before it goes into a message.
//
// Errors are classified here, at the boundary: a *rollout.EffectError says whether
// to retry, revert or hold and why. An error that is none of these means that the
// caller's context ended.
//
// Open starts nothing. Watch runs until its context ends; its caller owns it. A
// crash of the agent leaves containers, networks and volumes as they are, all of
// them labelled, so that Observe finds them and the next call goes on from there.
package docker
