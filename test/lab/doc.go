// Package lab is a place to try teal on a real container engine: an in-process
// registry on loopback, so that digests are real, images built FROM scratch from
// static Go programs, free subnets and names, and a broom. End-to-end tests, the
// demo and the benchmarks use it.
//
// Everything a lab makes can be told from everything else on the engine: it carries
// the label teal.test=<id> or a name that begins with <id> and "-" (agents under
// test get it as their prefix). Close removes all of it. The id holds the process's
// number and start time, so that New also removes what dead processes left behind.
//
// A lab never touches an object without such a mark. It needs the engine's socket
// and the Go toolchain, and no network but loopback.
package lab
