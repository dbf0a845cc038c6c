package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

const (
	smokeTimeout = 10 * time.Second
	maxBody      = 1 << 20 // what a smoke request reads of a body
)

// RunSmoke makes one smoke request to address, host:port. Its body must arrive whole,
// up to the first MiB, and hold what the release says within it.
func RunSmoke(ctx context.Context, s release.Smoke, address string) (rollout.ProbeResult, string) {
	return direct.smoke(ctx, s, address)
}

func (c client) smoke(ctx context.Context, s release.Smoke, address string) (rollout.ProbeResult, string) {
	method, want := s.Method, orSuccess(s.Status)
	if method == "" {
		method = http.MethodGet
	}
	return c.ask(ctx, question{method: method, address: address, path: s.Path, host: s.Host, timeout: smokeTimeout},
		func(resp *http.Response) (rollout.ProbeResult, string) {
			if !want.Has(resp.StatusCode) {
				return rollout.Fail, wrongStatus(resp, want)
			}
			body, found, err := readUntil(resp.Body, []byte(s.Contains))
			switch {
			case found:
				return rollout.Pass, ""
			case err != nil:
				return rollout.Fail, fmt.Sprintf("answered %d, but the body broke off after %d bytes: %s", resp.StatusCode, len(body), reason(resp.Request.Context(), err))
			case s.Contains == "":
				return rollout.Pass, ""
			case len(body) == 0:
				return rollout.Fail, fmt.Sprintf("answered %d with an empty body, which does not contain %s", resp.StatusCode, shown([]byte(s.Contains)))
			}
			return rollout.Fail, fmt.Sprintf("answered %d, but the first %d bytes do not contain %s: %s", resp.StatusCode, len(body), shown([]byte(s.Contains)), shown(body))
		})
}

// readUntil reads at most maxBody and stops when it has read want, so that an answer
// that never ends can pass.
func readUntil(r io.Reader, want []byte) (body []byte, found bool, err error) {
	buf := make([]byte, 32<<10)
	for len(body) < maxBody {
		n, err := r.Read(buf[:min(len(buf), maxBody-len(body))])
		old := max(0, len(body)-len(want)+1) // want may begin in what was read before
		body = append(body, buf[:n]...)
		if len(want) > 0 && bytes.Contains(body[old:], want) {
			return body, true, nil
		}
		if errors.Is(err, io.EOF) {
			return body, false, nil
		}
		if err != nil {
			return body, false, err
		}
	}
	return body, false, nil
}
