// Package secrets is where files that containers find come onto the disk: configs from
// the release directory, and secrets from host files, systemd credentials and age files.
//
// What a secret holds leaves this package only as a file: no argument, environment,
// label, log line or error carries it (Secret says so to slog and fmt). Outside, a secret
// is its keyed sum, and all of a release's are its inputs (DESIGN 1).
//
// Files lie under <state>/files/<app>/, named by a sum of what they hold with owner and
// mode, so that a file never changes once it is there: a container that the engine starts
// again by itself, after a reboot say, finds what it was made with. They appear whole or
// not at all.
//
// The package starts nothing. A crash leaves at most a file beside, named .new-, which
// Sweep removes at the next start.
package secrets
