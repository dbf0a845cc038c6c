package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Target is one replica's address with its probe.
type Target struct {
	Service string
	Address netip.AddrPort
	Probe   release.Probe
}

// What a probe without these fields gets; the release's parser has filled them in.
const (
	defaultEvery    = time.Second
	defaultTimeout  = 2 * time.Second
	defaultPasses   = 3
	defaultDeadline = time.Minute
)

func withDefaults(p release.Probe) release.Probe {
	if p.Path == "" {
		p.Path = "/"
	}
	if p.Every <= 0 {
		p.Every = defaultEvery
	}
	if p.Timeout <= 0 {
		p.Timeout = defaultTimeout
	}
	if p.Passes <= 0 {
		p.Passes = defaultPasses
	}
	if p.Deadline <= 0 {
		p.Deadline = defaultDeadline
	}
	p.Status = orSuccess(p.Status)
	return p
}

func orSuccess(r release.StatusRange) release.StatusRange {
	if r == (release.StatusRange{}) {
		return release.StatusRange{From: 200, To: 299}
	}
	return r
}

// Probe asks the target once and judges by the status line. The text says why it did
// not pass.
func Probe(ctx context.Context, t Target) (rollout.ProbeResult, string) {
	p := withDefaults(t.Probe)
	return direct.probe(ctx, t.Address, p, p.Timeout)
}

func (c client) probe(ctx context.Context, address netip.AddrPort, p release.Probe, timeout time.Duration) (rollout.ProbeResult, string) {
	return c.ask(ctx, question{method: http.MethodGet, address: address.String(), path: p.Path, host: p.Host, timeout: timeout},
		func(resp *http.Response) (rollout.ProbeResult, string) {
			if p.Status.Has(resp.StatusCode) {
				return rollout.Pass, ""
			}
			return rollout.Fail, wrongStatus(resp, p.Status)
		})
}

// wrongStatus shows the answer's status and the beginning of its body.
func wrongStatus(resp *http.Response, want release.StatusRange) string {
	text := fmt.Sprintf("answered %d, not %s", resp.StatusCode, rangeText(want))
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return text + ", and sends on to " + shown([]byte(to))
	}
	start := make([]byte, maxShown+1)
	n, _ := io.ReadFull(resp.Body, start) // what came is shown
	if n == 0 {
		return text
	}
	return text + ": " + shown(start[:n])
}

func rangeText(r release.StatusRange) string {
	if r.From == r.To {
		return fmt.Sprint(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

// errLate is why an answer was not waited for.
var errLate = errors.New("no answer in time")
