// Package h1 reads the heads and the framing of HTTP/1.1 messages (RFC 9110, RFC 9112)
// as a proxy must: what two readers could read in two ways is an error here, whatever
// a lenient reader would make of it. It takes bytes and gives slices of them; it does
// no input or output, keeps nothing and allocates nothing once its fields have grown.
//
// It does not decide what is sent on: which field a target or a client gets is the
// proxy's. It does not know HTTP/2.
package h1
