package health

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

func TestSmoke(t *testing.T) {
	mib := strings.Repeat("x", maxBody)
	for name, c := range map[string]struct {
		smoke  release.Smoke
		answer http.HandlerFunc
		result rollout.ProbeResult
		says   string
	}{
		"plain":            {release.Smoke{}, body("pong"), rollout.Pass, ""},
		"contains":         {release.Smoke{Contains: "pong"}, body("ping pong"), rollout.Pass, ""},
		"does not contain": {release.Smoke{Contains: "pong"}, body("ping\n\x1b[2J"), rollout.Fail, `the first 9 bytes do not contain pong: ping\n\x1b[2J`},
		"empty":            {release.Smoke{Contains: "pong"}, body(""), rollout.Fail, "empty body, which does not contain pong"},
		"status":           {release.Smoke{}, status(502), rollout.Fail, "answered 502, not 200-299"},
		"status asked for": {release.Smoke{Status: release.StatusRange{From: 401, To: 401}}, status(401), rollout.Pass, ""},
		"status first":     {release.Smoke{Contains: "oops"}, status(500), rollout.Fail, "answered 500, not 200-299: oops"},
		"just within":      {release.Smoke{Contains: "pong"}, body(mib[:maxBody-4] + "pong"), rollout.Pass, ""},
		"just outside":     {release.Smoke{Contains: "pong"}, body(mib[:maxBody-3] + "pong"), rollout.Fail, fmt.Sprintf("the first %d bytes", maxBody)},
		"long":             {release.Smoke{}, body(mib + mib), rollout.Pass, ""},
		"in pieces": {release.Smoke{Contains: "pong"}, func(w http.ResponseWriter, _ *http.Request) {
			for _, p := range []string{"p", "o", "n", "g"} {
				fmt.Fprint(w, p)
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		}, rollout.Pass, ""},
		"broken off": {release.Smoke{Contains: "pong"}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
		}, rollout.Fail, "the body broke off after 4 bytes"},
		"broken off without contains": {release.Smoke{}, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, rollout.Fail, "the body broke off after 4 bytes"},
		"head": {release.Smoke{Method: "HEAD"}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			if r.Method != "HEAD" {
				w.WriteHeader(405)
			}
		}, rollout.Pass, ""},
		"post to a host": {release.Smoke{Method: "POST", Path: "/api/x?y=1", Host: "shop.example.com"}, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if r.Method != "POST" || r.RequestURI != "/api/x?y=1" || r.Host != "shop.example.com" || len(b) > 0 || err != nil {
				w.WriteHeader(400)
			}
		}, rollout.Pass, ""},
		"an answer without end that has it": {release.Smoke{Contains: "pong"}, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "data: pong\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, rollout.Pass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, text := RunSmoke(t.Context(), c.smoke, serve(t, c.answer).String())
			result(t, c.result, c.says, r, text)
		})
	}
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, "oops")
	}
}

func TestSmokeOfAnAnswerWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{answer: func(_ int, _ string, c net.Conn) { says(c, "200 OK", "pi"); hangs(c) }}
		begin := time.Now()
		r, text := p.client().smoke(t.Context(), release.Smoke{Path: "/", Contains: "pong"}, "front.example.com:80")
		result(t, rollout.Fail, "answered 200, but the body broke off after 2 bytes: no answer in time", r, text)
		if d := time.Since(begin); d != smokeTimeout {
			t.Errorf("after %v", d)
		}
	})
}
