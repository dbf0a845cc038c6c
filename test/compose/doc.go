// Package compose is the reference for teal's mapping of Compose files: it has the
// Compose SDK make the containers of the corpus, without starting them, and compares
// them with what teal makes of the same files on the same engine, field by field. It is
// a module of its own, so that the SDK's modules stay out of teal's; what the two sides
// share is in test/fidelity, which also says which differences are meant to be.
//
//	make compose          compare, deploy, and print the table
//	make compose-record   write Compose's side to testdata, for the tests of test/fidelity
package compose
