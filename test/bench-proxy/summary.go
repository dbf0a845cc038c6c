package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// metric is something that each measurement gives.
type metric string

const (
	rate   metric = "requests/s"
	p50    metric = "p50"             // µs
	p99    metric = "p99"             // µs
	cpu    metric = "CPU per request" // µs, of the proxy's processes
	memory metric = "memory"          // MiB of PSS after the round
)

// sample is one round of one proxy in one row.
type sample map[metric]float64

// results are the samples by row and proxy, in the order of the rounds.
type results struct {
	samples map[cell][]sample
	absent  map[cell]string // why there is none
}

type cell struct{ row, proxy string }

func newResults() *results {
	return &results{samples: map[cell][]sample{}, absent: map[cell]string{}}
}

func (r *results) add(row, proxy string, s sample) {
	r.samples[cell{row, proxy}] = append(r.samples[cell{row, proxy}], s)
}

// median of a metric over the rounds; ok is false when there is none.
func (r *results) median(row, proxy string, m metric) (v float64, ok bool) {
	var all []float64
	for _, s := range r.samples[cell{row, proxy}] {
		if v, ok := s[m]; ok {
			all = append(all, v)
		}
	}
	return middle(all)
}

// middle is the median; of an even number the mean of the two in the middle.
func middle(all []float64) (float64, bool) {
	if len(all) == 0 {
		return 0, false
	}
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2, true
}

// bound is what teal-proxy must reach against a peer in a row.
type bound struct {
	row     string
	metric  metric
	against string
	least   float64 // of teal's median divided by the peer's; 0: there is none
	most    float64 // of the same; 0: there is none
}

// bounds are the claims. Small answers come first, then large ones, then bytes.
func bounds() []bound {
	var all []bound
	for _, n := range []int{1, 32, 256} {
		row := smallRow(n)
		if n == 1 {
			all = append(all, bound{row: row, metric: rate, against: nginx, least: 0.7})
		} else {
			all = append(all,
				bound{row: row, metric: rate, against: nginx, least: 0.9},
				bound{row: row, metric: rate, against: haproxy, least: 0.9},
				bound{row: row, metric: rate, against: caddy, least: 2.4})
		}
		all = append(all,
			bound{row: row, metric: p99, against: haproxy, most: 1.25},
			bound{row: row, metric: cpu, against: nginx, most: 1.1})
	}
	return append(all,
		bound{row: smallRow(256), metric: memory, against: nginx, most: 1},
		bound{row: rowLarge, metric: rate, against: nginx, least: 1.25},
		bound{row: rowLarge, metric: cpu, against: nginx, most: 0.5},
		bound{row: rowTCPSmall, metric: rate, against: haproxy, least: 0.95},
		bound{row: rowTCPLarge, metric: rate, against: haproxy, least: 0.95})
}

// verdict is what came of a bound.
type verdict struct {
	looked    bool // both were measured, or teal cannot do it
	good      bool
	ratio     float64 // of the medians
	low, high float64 // of the ratios of the single rounds: how far noise moves them
	absent    string  // why teal has no figure
}

// judge holds a bound against the results.
func (b bound) judge(r *results) verdict {
	if why := r.absent[cell{b.row, teal}]; why != "" {
		return verdict{looked: true, absent: why}
	}
	ours, ok := r.median(b.row, teal, b.metric)
	theirs, ok2 := r.median(b.row, b.against, b.metric)
	if !ok || !ok2 {
		return verdict{}
	}
	v := verdict{looked: true, ratio: ours / theirs}
	v.good = theirs > 0 && (b.least == 0 || v.ratio >= b.least) && (b.most == 0 || v.ratio <= b.most)
	a, z := r.samples[cell{b.row, teal}], r.samples[cell{b.row, b.against}]
	var each []float64
	for i := range min(len(a), len(z)) {
		each = append(each, a[i][b.metric]/z[i][b.metric])
	}
	v.low, v.high = slices.Min(each), slices.Max(each)
	return v
}

// printTable prints what one row gave, with each rate as a share of nginx's.
func (r *results) printTable(w io.Writer, row row, names []string) {
	fmt.Fprintf(w, "\n%s\n", row.title)
	fmt.Fprintf(w, "  %-8s %11s %8s %8s %10s %10s %12s", "proxy", "requests/s", "/nginx", "/haproxy", "p50 µs", "p99 µs", "CPU µs/req")
	if row.memory {
		fmt.Fprintf(w, " %9s", "PSS MiB")
	}
	fmt.Fprintln(w)
	for _, name := range names {
		n, ok := r.median(row.name, name, rate)
		if !ok {
			if why := r.absent[cell{row.name, name}]; why != "" && name == teal {
				fmt.Fprintf(w, "  %-8s %11s\n", name, why)
			}
			continue
		}
		fmt.Fprintf(w, "  %-8s %11.0f %8s %8s", name, n, r.share(row.name, name, nginx), r.share(row.name, name, haproxy))
		for _, m := range []metric{p50, p99, cpu} {
			v, ok := r.median(row.name, name, m)
			switch {
			case !ok:
				fmt.Fprintf(w, " %12s", "-")
			case m == cpu:
				fmt.Fprintf(w, " %12.1f", v)
			default:
				fmt.Fprintf(w, " %10.0f", v)
			}
		}
		if v, ok := r.median(row.name, name, memory); ok && row.memory {
			fmt.Fprintf(w, " %9.1f", v)
		}
		fmt.Fprintln(w)
	}
}

func (r *results) share(row, name, of string) string {
	a, ok := r.median(row, name, rate)
	b, ok2 := r.median(row, of, rate)
	if !ok || !ok2 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// printBounds prints each claim that was looked at and how it came out. failed counts
// those that do not hold, left those that this run says nothing of.
func (r *results) printBounds(w io.Writer) (failed, left int) {
	fmt.Fprintf(w, "\nbounds: teal's median divided by the peer's (the ratios of the single rounds)\n")
	for _, b := range bounds() {
		v := b.judge(r)
		if !v.looked {
			left++
			continue
		}
		what := fmt.Sprintf("%s: %s / %s", strings.Replace(b.row, "-", " ", 1), b.metric, b.against)
		limit := fmt.Sprintf("≥ %g", b.least)
		if b.most > 0 {
			limit = fmt.Sprintf("≤ %g", b.most)
		}
		figure := cmp.Or(v.absent, fmt.Sprintf("%.3f (%.2f to %.2f)", v.ratio, v.low, v.high))
		mark := "ok"
		if !v.good {
			mark = "FAIL"
			failed++
		}
		fmt.Fprintf(w, "  %-46s %24s  (bound %s) %s\n", what, figure, limit, mark)
	}
	return failed, left
}
