package webhook

import (
	"net/netip"
	"sync"
	"time"
)

// Rates of requests, believed or not.
const (
	sourceBurst = 20
	sourceEvery = 3 * time.Second // one more for a source
	totalBurst  = 100
	totalEvery  = 200 * time.Millisecond
	sourcesMax  = 4096 // that are remembered; beyond it only the total counts
)

// bucket holds what may be spent at once and fills with time.
type bucket struct {
	level float64
	at    time.Time
}

func (b *bucket) take(now time.Time, burst int, every time.Duration) bool {
	b.fill(now, burst, every)
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

func (b *bucket) fill(now time.Time, burst int, every time.Duration) {
	if b.at.IsZero() {
		b.level = float64(burst)
	} else if d := now.Sub(b.at); d > 0 {
		b.level = min(float64(burst), b.level+float64(d)/float64(every))
	}
	b.at = now
}

// limiter bounds requests for each source and together.
type limiter struct {
	mu      sync.Mutex // guards the rest
	total   bucket
	sources map[netip.Prefix]*bucket
}

// sourceOf is what counts as one source: an IPv4 address, or the /64 of an IPv6 one, which
// is what one machine has.
func sourceOf(from netip.Addr) (netip.Prefix, bool) {
	bits := 32
	if from = from.Unmap(); from.Is6() {
		bits = 64
	}
	source, err := from.WithZone("").Prefix(bits)
	return source, err == nil
}

// allow reports whether a source may ask now.
func (l *limiter) allow(from netip.Addr, now time.Time) bool {
	source, known := sourceOf(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if known {
		b, ok := l.sources[source]
		if !ok && len(l.sources) >= sourcesMax {
			l.forget(now)
		}
		if !ok && len(l.sources) < sourcesMax {
			if l.sources == nil {
				l.sources = make(map[netip.Prefix]*bucket)
			}
			b = new(bucket)
			l.sources[source] = b
		}
		// The source first: one that is too fast does not spend what the others have.
		if b != nil && !b.take(now, sourceBurst, sourceEvery) {
			return false
		}
	}
	return l.total.take(now, totalBurst, totalEvery)
}

// forget drops the sources whose bucket is full again.
func (l *limiter) forget(now time.Time) {
	for source, b := range l.sources {
		if now.Sub(b.at) >= sourceBurst*sourceEvery {
			delete(l.sources, source)
		}
	}
}
