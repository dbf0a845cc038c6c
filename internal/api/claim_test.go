package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLiveSocketIsNotReplaced(t *testing.T) {
	s := mine(t)
	second := &Server{Path: s.socket, Backend: s.backend, Log: slog.New(slog.DiscardHandler)}
	err := second.Serve(t.Context())
	if err == nil || !strings.Contains(err.Error(), s.socket) {
		t.Errorf("a second server: %v", err)
	}
	if _, err := NewClient(s.socket).Status(t.Context()); err != nil {
		t.Errorf("the first one is gone: %v", err)
	}
}

// A peer whom the kernel does not name is nobody, and not noted as root.
func TestUnknownPeer(t *testing.T) {
	b := &backend{}
	s := &Server{Backend: b, Log: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequest("POST", "/v1/rollback", strings.NewReader("{}")))
	if calls := b.take(); w.Code != 403 || len(calls) != 1 || strings.Contains(calls[0]+w.Body.String(), "uid 0") {
		t.Errorf("%d %s, calls %q", w.Code, w.Body, calls)
	}
}

func TestOneCommandARequest(t *testing.T) {
	s := mine(t)
	if status, body := s.raw(t, "POST", "/v1/rollback", `{"app": "shop"} {"app": "bank"}`); status != 400 || !strings.Contains(body, "more than one value") {
		t.Errorf("%d %s", status, body)
	}
}

// events is a backend whose stream is long-lined and fails.
type longEvents struct{ backend }

func (*longEvents) Events(_ context.Context, _ string, _ uint64, _ bool, yield func(Event) error) error {
	big, _ := json.Marshal(string(bytes.Repeat([]byte("x"), 3<<20)))
	if err := yield(Event{Seq: 1, Kind: "checkpoint", Data: big}); err != nil {
		return err
	}
	return errors.New("the journal is damaged")
}

func TestLongAndFailingStreams(t *testing.T) {
	s := &Server{Backend: &longEvents{}, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = s.events(w, r) }))
	defer server.Close()
	c := &Client{http: &http.Client{Transport: redirect(server.Listener.Addr().String())}}
	n := 0
	err := c.Events(t.Context(), "", 0, false, func(e Event) error { n = len(e.Data); return nil })
	var f *Failure
	if n != 3<<20+2 || !errors.As(err, &f) || f.Text != "the journal is damaged" {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type redirect string

func (to redirect) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.Host = string(to)
	return http.DefaultTransport.RoundTrip(r)
}
