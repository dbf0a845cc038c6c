//go:build !race

package sim

// stride is the distance between two crash points.
const stride = 1
