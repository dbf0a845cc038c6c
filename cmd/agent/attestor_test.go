package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tealops/teal/internal/registry"
	"github.com/tealops/teal/internal/trust"
)

// fakeRegistry holds attestations by image and counts who asks.
type fakeRegistry struct {
	mu     sync.Mutex
	held   map[string]string
	index  map[string]string // image → its platform's manifest in hex
	err    error
	takes  time.Duration
	asked  map[string]int
	facts  int
	atOnce int
	most   int
}

func (f *fakeRegistry) Attestations(ctx context.Context, image string) (registry.Attached, error) {
	f.mu.Lock()
	f.asked[image]++
	f.atOnce++
	f.most = max(f.most, f.atOnce)
	text, err, takes := f.held[image], f.err, f.takes
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.atOnce--; f.mu.Unlock() }()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return registry.Attached{}, ctx.Err()
	}
	if err != nil {
		return registry.Attached{}, err
	}
	if text == "" {
		return registry.Attached{}, nil
	}
	if large, ok := strings.CutPrefix(text, "large "); ok {
		return registry.Attached{TooLarge: large}, nil
	}
	_, hex, _ := strings.Cut(image, "@sha256:")
	return registry.Attached{Files: []trust.AttestationFile{{Source: trust.SourceRegistry, Image: hex, Name: text, Data: []byte(text)}}}, nil
}

func (f *fakeRegistry) Facts(_ context.Context, image, platform string) (trust.ImageFacts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.facts++
	if f.err != nil {
		return trust.ImageFacts{}, f.err
	}
	_, hex, _ := strings.Cut(image, "@sha256:")
	if m := f.index[image]; m != "" {
		hex = m
	}
	return trust.ImageFacts{Platform: platform, Manifest: hex, Config: "c"}, nil
}

func (f *fakeRegistry) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// counts says how often an image's attestations were asked for, and manifests at all.
func (f *fakeRegistry) counts(image string) (asked, facts int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[image], f.facts
}

func img(n int) string { return fmt.Sprintf("r.example.com/a@sha256:%064d", n) }

// attesting runs an attestor in a bubble; changes counts its calls.
func attesting(t *testing.T, test func(a *attestor, f *fakeRegistry, changes func() int)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRegistry{held: map[string]string{}, index: map[string]string{}, asked: map[string]int{}}
		var mu sync.Mutex
		n := 0
		a := newAttestor(f, func() { mu.Lock(); n++; mu.Unlock() })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		test(a, f, func() int { synctest.Wait(); mu.Lock(); defer mu.Unlock(); return n })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func texts(files []trust.AttestationFile) string {
	var out []string
	for _, f := range files {
		out = append(out, f.Name)
	}
	return strings.Join(out, " ")
}

func TestAttestorAnswersAtOnce(t *testing.T) {
	attesting(t, func(a *attestor, f *fakeRegistry, changes func() int) {
		f.set(func() { f.held[img(1)], f.held[img(2)], f.takes = "ONE", "TWO", 20*time.Second })
		began := time.Now()
		files, facts, unreachable, large, first := a.Attestations([]string{img(2), img(1)}, "linux/amd64")
		if len(files) != 0 || len(facts) != 0 || !strings.Contains(unreachable, "being asked") || large != "" || !time.Now().Equal(began) {
			t.Errorf("%v %v %q %q", files, facts, unreachable, large)
		}
		time.Sleep(21 * time.Second)
		if n := changes(); n != 2 {
			t.Errorf("changed %d times", n)
		}
		files, facts, unreachable, large, second := a.Attestations([]string{img(1), img(2), img(1)}, "linux/amd64")
		if texts(files) != "ONE TWO" || len(facts) != 2 || unreachable != "" || large != "" || first == second {
			t.Errorf("%v %v %q %q", files, facts, unreachable, large)
		}
	})
}

// A minute later it is asked again, and only a new answer is news.
func TestAttestorRefreshes(t *testing.T) {
	attesting(t, func(a *attestor, f *fakeRegistry, changes func() int) {
		ask := func() (string, string, string) {
			files, _, unreachable, _, version := a.Attestations([]string{img(1)}, "linux/amd64")
			return texts(files), unreachable, version
		}
		ask()
		if changes() != 1 {
			t.Fatal("no first answer")
		}
		_, _, none := ask()
		time.Sleep(refreshAfter + retryAfter)
		n := changes()
		if asked, facts := f.counts(img(1)); n != 1 || asked != 2 || facts != 1 {
			t.Errorf("changed %d times, asked %d, facts %d", n, asked, facts)
		}
		f.set(func() { f.held[img(1)] = "SCAN" })
		time.Sleep(refreshAfter + retryAfter)
		have, _, version := ask()
		if n := changes(); n != 2 || have != "SCAN" || version == none {
			t.Errorf("changed %d times, %q", n, have)
		}
		// The registry fails: what is known stays, and why it may be old is said.
		f.set(func() { f.err = errors.New("refused") })
		time.Sleep(refreshAfter + retryAfter)
		have, why, broken := ask()
		if have != "SCAN" || why != "refused" || broken == version || changes() != 3 {
			t.Errorf("%q %q, changed %d times", have, why, changes())
		}
		tries, _ := f.counts(img(1))
		time.Sleep(retryAfter + retryAfter/3)
		n = changes()
		if asked, _ := f.counts(img(1)); asked <= tries || n != 3 {
			t.Errorf("asked %d times, before %d; changed %d times", asked, tries, n)
		}
		f.set(func() { f.err = nil })
		time.Sleep(2 * retryAfter)
		if have, why, again := ask(); have != "SCAN" || why != "" || again != version || changes() != 4 {
			t.Errorf("%q %q, changed %d times", have, why, changes())
		}
		// Nobody asks any more.
		time.Sleep(interest + refreshAfter)
		changes()
		tries, _ = f.counts(img(1))
		time.Sleep(time.Hour)
		changes()
		if asked, _ := f.counts(img(1)); asked != tries {
			t.Errorf("asked %d times more", asked-tries)
		}
	})
}

// Of an index, what is attached to the platform's manifest counts too.
func TestAttestorOfAnIndex(t *testing.T) {
	attesting(t, func(a *attestor, f *fakeRegistry, changes func() int) {
		f.set(func() {
			f.index[img(1)] = strings.TrimPrefix(img(7), "r.example.com/a@sha256:")
			f.held[img(1)], f.held[img(7)] = "INDEX", "MANIFEST"
		})
		a.Attestations([]string{img(1)}, "linux/amd64")
		changes()
		files, facts, unreachable, _, _ := a.Attestations([]string{img(1)}, "linux/amd64")
		if texts(files) != "INDEX MANIFEST" || unreachable != "" || facts[fmt.Sprintf("%064d", 1)].Manifest != fmt.Sprintf("%064d", 7) {
			t.Errorf("%v %v %q", files, facts, unreachable)
		}
	})
}

func TestAttestorBounds(t *testing.T) {
	attesting(t, func(a *attestor, f *fakeRegistry, changes func() int) {
		f.set(func() { f.held[img(1)] = "large more than 64 things"; f.takes = time.Second })
		a.Attestations([]string{img(1)}, "linux/amd64")
		time.Sleep(2 * time.Second)
		changes()
		if files, _, why, large, _ := a.Attestations([]string{img(1)}, "linux/amd64"); len(files) != 0 || why != "" || large != "more than 64 things" {
			t.Errorf("%v %q %q", files, why, large)
		}
		big := strings.Repeat("x", 40<<20)
		f.set(func() { f.held[img(2)], f.held[img(3)] = big, big })
		a.Attestations([]string{img(2), img(3)}, "linux/amd64")
		time.Sleep(2 * time.Second)
		changes()
		if files, _, _, large, _ := a.Attestations([]string{img(2), img(3)}, "linux/amd64"); len(files) != 1 || !strings.Contains(large, "more than 64 MiB") {
			t.Errorf("%d files, %q", len(files), large)
		}
		for i := range 2 * maxAnswers {
			a.Attestations([]string{img(100 + i)}, "linux/amd64")
		}
		time.Sleep(10 * time.Minute)
		changes()
		a.Attestations([]string{img(1)}, "linux/amd64")
		a.mu.Lock()
		if n := len(a.known); n > maxAnswers {
			t.Errorf("%d images are remembered", n)
		}
		a.mu.Unlock()
		f.set(func() {
			if f.most > attestWorkers {
				t.Errorf("%d were asked at once", f.most)
			}
		})
	})
}
