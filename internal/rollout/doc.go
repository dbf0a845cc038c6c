// Package rollout is the whole state machine of one app on one host, as pure
// functions. Next names the single step that brings the host closer to what is
// wanted; State is the fold of the journal's Records (Apply). Revert, hold,
// supersede and forced rollback are planned by the same function.
//
// It does nothing: it opens no file, calls no engine and knows no clock but the
// `now` it is given. Package reconcile carries the steps out.
//
// Invariants, each with a property test:
//   - no Switch to a set that was not started and checked in this deployment, or
//     proven before;
//   - an unverified release never gets an effect that touches the host;
//   - a revert is never itself reverted: it ends in reverted or held;
//   - every Wait carries a reason code and, unless a person is awaited, a time;
//   - equal arguments give equal steps.
//
// A crash leaves behind an Intent without an Outcome. The loop records it as
// interrupted at the next start, and Next repeats the effect: every effect can be
// repeated, "already so" is success.
package rollout
