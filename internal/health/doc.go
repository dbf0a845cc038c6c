// Package health measures from outside: probes of one replica, smoke requests, and the
// wait until every replica has passed its probe often enough in a row. It says what it
// saw; what follows from it is decided elsewhere.
//
// Every request has a connection of its own, follows no redirect, uses no proxy of the
// environment and keeps no cookie. What the app answers is bounded, escaped and cut
// before it is shown. "Fail" is the app's answer, or that none came; "error" is that
// this host could not ask.
//
// Nothing here outlives its call, and nothing is kept.
package health
