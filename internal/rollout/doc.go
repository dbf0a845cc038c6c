// Package rollout is the whole state machine of one app on one host, as pure
// functions. Next names the single step that brings the host closer to what is
// wanted; State is the fold of the journal's Records (Apply). Revert, hold,
// supersede, forced rollback and upkeep are planned by the same function.
//
// It does nothing: it opens no file, calls no engine and knows no clock but the
// `now` it is given. Package reconcile carries the steps out. DESIGN.md gives the
// decisions; testdata/table.golden is the table of every state and every event.
//
// Invariants, each with a property test:
//   - no switch to a set that was not checked in this deployment, or proven before;
//     none forward without the fleet's confirmation;
//   - an unverified release never gets an effect that touches the host;
//   - what gets the traffic, or may get it, is never stopped or removed;
//   - a revert is never itself reverted: it ends in reverted or held;
//   - workers of two sets never run side by side, two sets never share an address,
//     no container is forgotten;
//   - every Wait carries a reason code and, unless a person or an event is awaited,
//     a time that lies ahead;
//   - Apply takes any record on any state; a state survives JSON;
//   - equal arguments give equal steps.
//
// A crash leaves behind an Intent without an Outcome. The loop records it as
// interrupted at the next start, and Next repeats the effect: every effect can be
// repeated, "already so" is success.
package rollout
