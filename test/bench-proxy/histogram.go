package main

import "math/bits"

// fine is how many bits of a value its bucket keeps: a quantile is off by less than
// 1/128 of itself.
const fine = 7

// histogram counts latencies in nanoseconds, in buckets that grow with the value. The
// zero value is empty.
type histogram struct {
	counts [(64 - fine) << fine]uint32
	n      uint64
	max    int64
}

// add counts one value; one below zero (a clock that went back) counts as zero.
func (h *histogram) add(ns int64) {
	ns = max(ns, 0)
	h.counts[bucket(uint64(ns))]++
	h.n++
	h.max = max(h.max, ns)
}

// merge adds all of another histogram.
func (h *histogram) merge(other *histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// quantile is the value that the share q of all values does not exceed, at the upper
// end of its bucket; 0 without values.
func (h *histogram) quantile(q float64) int64 {
	if h.n == 0 {
		return 0
	}
	rank := max(1, uint64(q*float64(h.n)+0.5))
	var seen uint64
	for i, c := range h.counts {
		if seen += uint64(c); seen >= rank {
			return min(top(i), h.max)
		}
	}
	return h.max
}

// bucket of a value: below 2^(fine+1) each has its own, above the leading fine+1 bits
// choose it.
func bucket(v uint64) int {
	shift := max(0, bits.Len64(v)-fine-1)
	return shift<<fine + int(v>>shift)
}

// top is the largest value of a bucket.
func top(i int) int64 {
	shift := max(0, i>>fine-1)
	lead := int64(i - shift<<fine)
	return (lead+1)<<shift - 1
}
