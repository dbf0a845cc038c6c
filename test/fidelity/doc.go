// Package fidelity compares the containers that teal makes with those that Compose
// makes of the same file, field by field as the engine describes them, over the corpus
// in test/compose/corpus: each directory holds a Compose file as people write it
// (compose.yaml) and the manifest that it becomes by the documented edits
// (release.yaml).
//
// The reference is the Compose SDK, which would multiply the modules of this one. So it
// is in a module of its own, test/compose (`make compose`), which compares what both
// made in one run and records Compose's side. The tests here compare what teal makes
// with that record: they need an engine, but not the SDK.
//
// Every difference is a failure unless it stands in Intended, with its reason.
package fidelity
