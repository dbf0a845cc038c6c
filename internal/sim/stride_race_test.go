//go:build race

package sim

// stride is the distance between two crash points: the race detector looks at how
// goroutines meet, and every eleventh point shows that as well as every point.
const stride = 11
