// Package reconcile turns decisions into deeds: observe → rollout.Next → journal →
// act, one goroutine per app. It decides nothing about a deployment (package rollout
// does) and knows no engine, proxy, repository or disk (the edges do, behind the
// small interfaces of host.go).
//
// Invariants: the intent is durable before an effect begins and its outcome is
// recorded after; at most one effect per app is in flight; only the app's own
// goroutine writes its records; a step that goes back may use the journal's reserve.
//
// Runner.Run starts and stops everything here. A crash leaves at most one intent per
// app without an outcome; the next start records it as interrupted, and the planner
// repeats it.
package reconcile
