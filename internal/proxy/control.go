package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

const (
	maxConfig   = 1 << 20
	maxDrain    = 24 * time.Hour
	maxStreams  = 32
	controlBody = 10 * time.Second // for a body to arrive
	streamWrite = 10 * time.Second // for a reader of events to take a line
)

// control is the handler of the control socket. Group is the gid whose members may
// steer the proxy, NoGroup for none.
func (p *Proxy) control(group uint32) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(http.ResponseWriter, *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			_ = rc.SetReadDeadline(time.Now().Add(controlBody))
			reply, err := do(w, r)
			if err == nil && reply != nil {
				writeJSON(w, http.StatusOK, reply)
			} else if err != nil {
				fail(w, err)
			}
		})
	}
	handle("GET /healthz", func(http.ResponseWriter, *http.Request) (any, error) {
		if problems := p.Problems(); len(problems) > 0 {
			return nil, &Failure{Status: http.StatusServiceUnavailable, Code: "degraded", Text: fmt.Sprintf("teal-proxy serves, but %v", problems)}
		}
		return map[string]string{"status": "ok"}, nil
	})
	handle("GET /v1/apps", func(http.ResponseWriter, *http.Request) (any, error) { return p.Apps(), nil })
	handle("GET /v1/apps/{app}", func(_ http.ResponseWriter, r *http.Request) (any, error) { return p.App(r.PathValue("app")) })
	handle("PUT /v1/apps/{app}", func(w http.ResponseWriter, r *http.Request) (any, error) {
		var put putRequest
		if err := decode(w, r, &put); err != nil {
			return nil, err
		}
		return p.Put(r.Context(), r.PathValue("app"), put.App, put.Instead...)
	})
	handle("DELETE /v1/apps/{app}", func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return p.Remove(r.Context(), r.PathValue("app"))
	})
	handle("POST /v1/apps/{app}/drain", func(w http.ResponseWriter, r *http.Request) (any, error) {
		var d drainRequest
		if err := decode(w, r, &d); err != nil {
			return nil, err
		}
		plain, err := bound("http", d.HTTP)
		if err != nil {
			return nil, err
		}
		upgraded, err := bound("websocket", d.WebSocket)
		if err != nil {
			return nil, err
		}
		if d.Colour != vocab.Blue && d.Colour != vocab.Green {
			return nil, badRequest("colour: write blue or green")
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return p.Drain(r.Context(), r.PathValue("app"), d.Colour, plain, upgraded)
	})
	streams := make(chan struct{}, maxStreams)
	handle("GET /v1/events", func(w http.ResponseWriter, r *http.Request) (any, error) {
		select {
		case streams <- struct{}{}:
			defer func() { <-streams }()
		default:
			return nil, &Failure{Status: http.StatusTooManyRequests, Code: "too_many_streams", Text: "too many readers of events"}
		}
		return nil, p.stream(w, r)
	})
	return guarded(mux, group, p)
}

// guarded lets only those through who may steer the proxy.
func guarded(next http.Handler, group uint32, p *Proxy) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, known := r.Context().Value(peerKey{}).(peer)
		if !known || !who.may(group) {
			p.log.Warn("control request refused", "uid", who.uid, "known", known)
			w.Header().Set("Connection", "close")
			fail(w, &Failure{Status: http.StatusForbidden, Code: codeForbidden,
				Text: fmt.Sprintf("uid %d may not steer the proxy: it takes root, the proxy's own user or the group of -control-group", who.uid)})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (p *Proxy) stream(w http.ResponseWriter, r *http.Request) error {
	var since uint64
	if text := r.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return badRequest("since: write the number of an event")
		}
		since = n
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{})
	line := func(data []byte) error {
		_ = rc.SetWriteDeadline(time.Now().Add(streamWrite))
		if _, err := w.Write(append(data, '\n')); err != nil {
			return err
		}
		return rc.Flush()
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if err := line(nil); err != nil { // the reader sees at once that it is connected
		return nil
	}
	// The stream ends with its reader, and no error can be answered any more.
	_ = p.events.follow(r.Context(), since, func(e Event) error {
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return line(data)
	}, func() error { return line(nil) })
	return nil
}

// decode reads a bounded body strictly.
func decode(w http.ResponseWriter, r *http.Request, to any) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxConfig))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &Failure{Status: http.StatusRequestEntityTooLarge, Code: codeBad, Text: fmt.Sprintf("the body is larger than %d bytes", maxConfig)}
	case err != nil:
		return badRequest("read the body: " + err.Error())
	}
	if err := strict(data, to); err != nil {
		return badRequest("read the body: " + err.Error())
	}
	return nil
}

func bound(name, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxDrain {
		return 0, badRequest(fmt.Sprintf("%s: write a duration with units, from 0s to %s", name, maxDrain))
	}
	return d, nil
}

func badRequest(text string) *Failure {
	return &Failure{Status: http.StatusBadRequest, Code: codeBad, Text: text}
}

// failure puts an error into the words of the control socket.
func failure(err error) *Failure {
	var f *Failure
	var stale *StaleError
	var taken *RouteTakenError
	var invalid *invalidError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &stale):
		f = &Failure{Status: http.StatusConflict, Code: codeStale, Text: err.Error(), Current: stale.Current}
		if stale.Different {
			f.Code = codeDifferent
		}
		return f
	case errors.As(err, &taken):
		return &Failure{Status: http.StatusConflict, Code: codeRouteTaken, Text: err.Error(), App: taken.App}
	case errors.As(err, &invalid):
		return badRequest(err.Error())
	case errors.Is(err, ErrUnknownApp):
		return &Failure{Status: http.StatusNotFound, Code: codeUnknown, Text: err.Error()}
	case errors.Is(err, errColourLive):
		return &Failure{Status: http.StatusConflict, Code: codeLive, Text: err.Error()}
	case errors.Is(err, context.Canceled):
		return &Failure{Status: http.StatusRequestTimeout, Code: "cancelled", Text: "the caller left"}
	}
	return &Failure{Status: http.StatusInternalServerError, Code: "broken", Text: err.Error()}
}

func fail(w http.ResponseWriter, err error) {
	f := failure(err)
	writeJSON(w, f.Status, f)
}

func writeJSON(w http.ResponseWriter, status int, reply any) {
	data, err := json.Marshal(reply)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the caller may be gone
}
