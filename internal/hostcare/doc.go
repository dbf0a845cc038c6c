// Package hostcare looks after the host itself: its identity, the room on its disks,
// the reserve that going back may use. It decides nothing about a release.
//
// Nothing here runs by itself; cmd/agent and tealctl call it. A crash leaves either
// the old or the new identity, never half of one.
package hostcare
