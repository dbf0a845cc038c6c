// Package sim is a host, a repository and a one-host fleet in memory, with a crash
// button. It runs the real reconciler, the real planner, the real trust and the real
// fleet state machine on fake edges, inside a synctest bubble. Used by tests only.
//
// What a real machine keeps when a process is killed lives in World: containers,
// proxy, shelf, journal, fleet store, repository. An Agent is one life of the
// process: when it dies, none of its later calls reaches the World. The crash button
// (World.CrashAt) ends the Agent right before or right after the n-th call to an
// edge; the calls are enumerated by the recording wrapper every edge call goes
// through (edge), never by hand.
package sim
