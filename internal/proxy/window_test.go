package proxy

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/vocab"
)

// answers feeds a window one answer a millisecond: x is an error, s is a second
// without any. It returns where bursts were reported.
func answers(w *window, text string) (at []int) {
	now := time.Unix(0, 0)
	for i, c := range text {
		now = now.Add(time.Millisecond)
		if c == 's' {
			now = now.Add(time.Second)
			continue
		}
		if _, _, burst := w.add(c == 'x', now); burst {
			at = append(at, i)
		}
	}
	return at
}

func TestBurst(t *testing.T) {
	for _, c := range []struct {
		name   string
		burst  Burst
		text   string
		report []int
	}{
		{"none", Burst{Errors: 0.5, Requests: 4}, "........", nil},
		{"below", Burst{Errors: 0.5, Requests: 4}, "x...x...x...", nil},
		{"exactly the share", Burst{Errors: 0.5, Requests: 4}, "..xx", []int{3}},
		{"as soon as it is certain", Burst{Errors: 0.5, Requests: 4}, "xx", []int{1}},
		{"once a burst", Burst{Errors: 0.5, Requests: 4}, "xxxxxxxx", []int{1}},
		{"again after it recovered", Burst{Errors: 0.5, Requests: 4}, "xx....xx", []int{1, 7}},
		{"not again at the edge", Burst{Errors: 0.5, Requests: 8}, "xxxx.....xxxx", []int{3}},
		{"again after a second", Burst{Errors: 0.5, Requests: 4}, "xxxsx", []int{1, 4}},
		{"not without an answer", Burst{Errors: 0.5, Requests: 4}, "xxs", []int{1}},
		{"over the baseline", Burst{Errors: 0.5, Requests: 4, Baseline: 0.25}, "xx..xxx", []int{6}},
		{"over a full baseline never", Burst{Errors: 0.5, Requests: 4, Baseline: 0.75}, "xxxxxxxx", nil},
		{"all of one", Burst{Errors: 1, Requests: 1}, ".x.x", []int{1, 3}},
		{"the smallest share is one", Burst{Errors: 0.001, Requests: 10}, "....x", []int{4}},
		{"no rounding up of a third", Burst{Errors: 0.3, Requests: 10}, "xxx", []int{2}},
	} {
		got := answers(newWindow(&c.burst), c.text)
		if !slices.Equal(got, c.report) {
			t.Errorf("%s: %q reports at %v, want %v", c.name, c.text, got, c.report)
		}
	}
}

func TestBurstAgainstAPlainModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Burst{Errors: float64(rapid.IntRange(1, 10).Draw(t, "errors")) / 10, Requests: rapid.IntRange(1, 12).Draw(t, "requests"),
			Baseline: float64(rapid.IntRange(0, 5).Draw(t, "baseline")) / 10}
		w := newWindow(&b)
		var all []bool
		burning := false
		for i, bad := range rapid.SliceOfN(rapid.Bool(), 0, 60).Draw(t, "answers") {
			all = append(all, bad)
			last := all[max(0, len(all)-b.Requests):]
			errors := 0
			for _, x := range last {
				if x {
					errors++
				}
			}
			share := float64(errors)/float64(b.Requests) - b.Baseline
			gotErrors, gotRequests, got := w.add(bad, time.Unix(0, 0))
			if want := share >= b.Errors-1e-9 && !burning; got != want {
				t.Fatalf("%+v, answer %d of %v: burst %v, want %v", b, i, all, got, want)
			} else if want {
				burning = true
				if gotErrors != errors || gotRequests != len(last) {
					t.Fatalf("reports %d of %d, want %d of %d", gotErrors, gotRequests, errors, len(last))
				}
			}
			if errors <= w.need/2 {
				burning = false
			}
		}
	})
}

func TestBurstIsReportedBeforeTheClientHasTheAnswer(t *testing.T) {
	f := start(t, nil)
	var bad atomic.Bool
	at := target(t, func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	app := config(7, vocab.Blue, blue(at))
	app.Burst = &Burst{Errors: 0.5, Requests: 6}
	f.put("shop", app)
	seen := make(chan Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go f.Client.Events(ctx, 0, func(e Event) error { seen <- e; return nil })
	if e := <-seen; e.Kind != EventSwitched || e.App != "shop" || e.Generation != 7 {
		t.Fatalf("the first event is %+v", e)
	}
	for range 10 {
		f.get("/")
	}
	bad.Store(true)
	for i := range 3 {
		if i == 2 {
			if n := len(burstsOf(f)); n != 0 {
				t.Fatalf("%d bursts before the third error", n)
			}
		}
		f.get("/")
	}
	if n := len(burstsOf(f)); n != 1 {
		t.Fatalf("the client has the third error, and there are %d bursts", n)
	}
	e := <-seen
	if e.Kind != EventBurst || e.App != "shop" || e.Generation != 7 || e.Colour != vocab.Blue || e.Errors != 3 || e.Requests != 6 {
		t.Errorf("the burst is %+v", e)
	}
	f.get("/")
	if n := len(burstsOf(f)); n != 1 {
		t.Errorf("%d bursts for one", n)
	}
	// What an older generation still answers is not the new one's burst.
	app.Generation++
	f.put("shop", app)
	f.get("/")
	f.get("/")
	if n := len(burstsOf(f)); n != 1 {
		t.Errorf("%d bursts: the window was not begun anew", n)
	}
	c := f.settled("shop", vocab.Blue, 0)
	if c.Requests != 16 || c.Errors != 6 || c.Classes["2xx"] != 10 || c.Classes["5xx"] != 6 || c.Own != 0 {
		t.Errorf("counted %+v", c)
	}
}

func burstsOf(f *front) (bursts []Event) {
	all, _ := f.Proxy.events.after(0)
	for _, e := range all {
		if e.Kind == EventBurst {
			bursts = append(bursts, e)
		}
	}
	return bursts
}

func TestOwnErrorsAreErrorsOfTheColour(t *testing.T) {
	f := start(t, nil)
	app := config(1, vocab.Blue, blue(refused(t)))
	app.Burst = &Burst{Errors: 1, Requests: 2}
	f.put("shop", app)
	for range 2 {
		if resp, body := f.get("/"); resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "does not answer") {
			t.Fatalf("%s %q", resp.Status, body)
		}
	}
	if c := f.counters("shop", vocab.Blue); c.Requests != 2 || c.Errors != 2 || c.Own != 2 {
		t.Errorf("counted %+v", c)
	}
	if n := len(burstsOf(f)); n != 1 {
		t.Errorf("%d bursts", n)
	}
}
