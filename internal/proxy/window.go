package proxy

import (
	"math"
	"sync"
	"time"
)

// window is the last answers of a generation. It says when they are a burst.
type window struct {
	mu      sync.Mutex // guards the rest; no switch takes it
	last    []bool     // ring: was it an error
	next    int
	filled  int
	errors  int
	need    int  // so many errors are a burst
	burning bool // a burst was reported and is not over
	told    time.Time
}

// again is how long a burst goes on before it is reported once more.
const again = time.Second

func newWindow(b *Burst) *window {
	if b == nil {
		return nil
	}
	// Answers that have not come yet count as good: what is a burst among few is one
	// among all.
	need := int(math.Ceil((b.Errors+b.Baseline)*float64(b.Requests) - 1e-9))
	return &window{last: make([]bool, b.Requests), need: max(need, 1)}
}

// add takes one answer and says whether a burst is to be reported. A burst is over
// when the errors have gone down to half of what began it.
func (w *window) add(bad bool, now time.Time) (errors, requests int, burst bool) {
	if w == nil {
		return 0, 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last[w.next] {
		w.errors--
	}
	if bad {
		w.errors++
	}
	w.last[w.next] = bad
	w.next = (w.next + 1) % len(w.last)
	w.filled = min(w.filled+1, len(w.last))
	switch {
	case w.errors >= w.need && (!w.burning || now.Sub(w.told) >= again):
		w.burning, w.told = true, now
		return w.errors, w.filled, true
	case w.errors <= w.need/2:
		w.burning = false
	}
	return 0, 0, false
}
