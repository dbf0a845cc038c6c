package main

import (
	"io"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 4}, 4}, {[]float64{8, 1, 4, 6}, 5}} {
		before := c.all[0]
		if got, ok := middle(c.all); !ok || got != c.want || c.all[0] != before {
			t.Errorf("of %v: %g %v, want %g and nothing moved", c.all, got, ok, c.want)
		}
	}
	if _, ok := middle(nil); ok {
		t.Error("nothing has a median")
	}
}

func TestVerdicts(t *testing.T) {
	r := newResults()
	for i, ours := range []float64{80, 90, 300} { // one round with a neighbour that was away
		r.add("row", teal, sample{rate: ours, cpu: ours})
		r.add("row", nginx, sample{rate: []float64{100, 100, 200}[i], cpu: 100})
	}
	r.add("row", haproxy, sample{p99: 1})
	r.absent[cell{"tcp", teal}] = errNotThere.Error()
	for _, c := range []struct {
		name string
		b    bound
		want verdict
	}{
		{"reached, just", bound{row: "row", metric: rate, against: nginx, least: 0.9}, verdict{looked: true, good: true, ratio: 0.9, low: 0.8, high: 1.5}},
		{"missed", bound{row: "row", metric: rate, against: nginx, least: 0.91}, verdict{looked: true, ratio: 0.9, low: 0.8, high: 1.5}},
		{"kept, just", bound{row: "row", metric: cpu, against: nginx, most: 0.9}, verdict{looked: true, good: true, ratio: 0.9, low: 0.8, high: 3}},
		{"exceeded", bound{row: "row", metric: cpu, against: nginx, most: 0.89}, verdict{looked: true, ratio: 0.9, low: 0.8, high: 3}},
		{"a peer without the figure", bound{row: "row", metric: rate, against: haproxy, least: 0.1}, verdict{}},
		{"a peer that is not there", bound{row: "row", metric: rate, against: caddy, least: 0.1}, verdict{}},
		{"what teal cannot do", bound{row: "tcp", metric: rate, against: haproxy, least: 0.1}, verdict{looked: true, absent: "not there yet"}},
	} {
		if got := c.b.judge(r); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// Every claim is printed with its mark, and one that fails is counted.
func TestBoundsArePrinted(t *testing.T) {
	r := newResults()
	give := func(ratio func(bound) float64) {
		for _, b := range bounds() {
			s := r.samples[cell{b.row, teal}]
			if s == nil {
				r.add(b.row, teal, sample{})
				s = r.samples[cell{b.row, teal}]
			}
			if r.samples[cell{b.row, b.against}] == nil {
				r.add(b.row, b.against, sample{})
			}
			s[0][b.metric] = ratio(b)
			r.samples[cell{b.row, b.against}][0][b.metric] = 1
		}
	}
	give(func(b bound) float64 {
		if b.least > 0 {
			return 2.5
		}
		return b.most / 2
	})
	var out strings.Builder
	failed, left := r.printBounds(&out)
	if failed != 0 || left != 0 || strings.Count(out.String(), ") ok\n") != len(bounds()) {
		t.Errorf("%d failed, %d left of %d:\n%s", failed, left, len(bounds()), &out)
	}
	give(func(b bound) float64 {
		if b.least > 0 {
			return 0.1
		}
		return 9
	})
	out.Reset()
	failed, left = r.printBounds(&out)
	if failed != len(bounds()) || left != 0 || strings.Count(out.String(), ") FAIL\n") != len(bounds()) {
		t.Errorf("%d failed, %d left of %d:\n%s", failed, left, len(bounds()), &out)
	}
	if failed, left = newResults().printBounds(io.Discard); failed != 0 || left != len(bounds()) {
		t.Errorf("with nothing measured %d failed, %d left", failed, left)
	}
}

// Each bound is one of a row that is measured, else it would never be looked at.
func TestBoundsHaveRows(t *testing.T) {
	rows := map[string]row{}
	for _, r := range allRows() {
		rows[r.name] = r
	}
	for _, b := range bounds() {
		r, ok := rows[b.row]
		if !ok || b.metric == memory && !r.memory || (b.least == 0) == (b.most == 0) {
			t.Errorf("%+v has no row that gives it, or no bound", b)
		}
	}
}

func TestOnlySomeRows(t *testing.T) {
	for only, want := range map[string]string{
		"":                 "small-1 small-32 small-256 large post tcp-small tcp-large idle",
		"small":            "small-1 small-32 small-256",
		"small-1,idle":     "small-1 idle",
		"tcp,large":        "large tcp-small tcp-large",
		"smal":             "no row",
		"large,nothing":    "no row",
		"small-32,small-3": "no row",
	} {
		c, err := parse([]string{"-only", only}, io.Discard)
		var got []string
		for _, r := range c.rows {
			got = append(got, r.name)
		}
		if c.idle {
			got = append(got, rowIdle)
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if text != want && (want != "no row" || !strings.Contains(text, want)) {
			t.Errorf("-only %q: %s, want %s", only, text, want)
		}
	}
}
