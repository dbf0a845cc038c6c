package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of the listener.
const (
	bodyMax        = 1 << 20
	connectionsMax = 64
	readTimeout    = 10 * time.Second // of a whole request
	replaysMax     = 1000             // generic hooks of one window; more are refused
)

// Refused is why a hook was not believed.
type Refused string

// The closed set of refusals.
const (
	RefusedRate      Refused = "rate"
	RefusedPath      Refused = "path"
	RefusedMethod    Refused = "method"
	RefusedBody      Refused = "body" // too large, or it never came
	RefusedSignature Refused = "signature"
	RefusedTimestamp Refused = "timestamp"
	RefusedReplay    Refused = "replay"
	RefusedSecret    Refused = "secret" // ours cannot be read
)

// Stats is what came since the start.
type Stats struct {
	Accepted uint64             // told whoever fetches
	Other    uint64             // believed, of a ref that nobody follows
	Refused  map[Refused]uint64 // never nil
	Last     time.Time          // of the last one that was believed; zero before
	LastKind Kind
}

// Server listens for hooks. Make it with New.
type Server struct {
	cfg   Config
	paths map[string]Sender
	cert  *certificate // nil without TLS
	limit limiter

	mu    sync.Mutex // guards the rest
	stats Stats
	taken map[[sha256.Size]byte]time.Time // generic signatures until they are too old
	said  map[Refused]time.Time           // when a refusal was last logged
}

// New reads the certificate and every secret once, so that a mistake is known at the
// start, and starts nothing.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	s := &Server{cfg: cfg, paths: make(map[string]Sender), stats: Stats{Refused: make(map[Refused]uint64)},
		taken: make(map[[sha256.Size]byte]time.Time), said: make(map[Refused]time.Time)}
	for _, from := range cfg.Senders {
		if _, err := readSecrets(from.SecretFile); err != nil {
			return nil, fmt.Errorf("read secrets.%s: %w", from.Kind, err)
		}
		s.paths[from.Path] = from
	}
	if cfg.CertFile != "" {
		s.cert = &certificate{certFile: cfg.CertFile, keyFile: cfg.KeyFile, log: cfg.Log, now: cfg.now}
		if err := s.cert.load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Stats is what came since the start.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Refused = maps.Clone(out.Refused)
	return out
}

// Listen takes the address. It is apart from Serve so that whoever binds port 0 learns
// which one it got.
func (s *Server) Listen() (net.Listener, error) {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	return l, nil
}

// Run listens and serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	l, err := s.Listen()
	if err != nil {
		return err
	}
	return s.Serve(ctx, l)
}

// Serve answers on l, which it closes, until ctx ends; then it returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	l = &perSource{Listener: netutil.LimitListener(l, connectionsMax)}
	if s.cert != nil {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.cert.get, NextProtos: []string{"http/1.1"}})
	}
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: readTimeout, WriteTimeout: readTimeout, IdleTimeout: 15 * time.Second,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       log.New(io.Discard, "", 0), // it repeats what strangers send
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if srv.Shutdown(bounded) != nil {
			_ = srv.Close() // whoever is still there is cut off
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-stopped
		return nil
	}
	return fmt.Errorf("serve webhooks: %w", err)
}

// ServeHTTP judges one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	now := s.cfg.now()
	from, _ := netip.ParseAddrPort(req.RemoteAddr) // the zero address has no bucket of its own
	if !s.limit.allow(from.Addr(), now) {
		s.refuse(RefusedRate, "", from.Addr(), nil)
		w.Header().Set("Retry-After", "60")
		w.Header().Set("Connection", "close") // or it would keep its connection by asking on
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	sender, why, err := s.judge(w, req, now)
	if why != "" {
		s.refuse(why, sender.Kind, from.Addr(), err)
		w.Header().Set("Connection", "close") // the rest of a body is not read
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// judge believes a request, and says so, or gives the reason why not.
func (s *Server) judge(w http.ResponseWriter, req *http.Request, now time.Time) (Sender, Refused, error) {
	sender, ok := s.paths[req.URL.Path]
	switch {
	case !ok:
		return sender, RefusedPath, nil
	case req.Method != http.MethodPost:
		return sender, RefusedMethod, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, bodyMax))
	if err != nil {
		return sender, RefusedBody, nil
	}
	secrets, err := readSecrets(sender.SecretFile)
	if err != nil {
		return sender, RefusedSecret, err
	}
	key, err := believed(sender.Kind, req.Header, body, secrets, now)
	switch {
	case errors.Is(err, errTimestamp):
		return sender, RefusedTimestamp, nil
	case err != nil:
		return sender, RefusedSignature, nil
	case sender.Kind == Generic && !s.first(key, now):
		return sender, RefusedReplay, nil
	}
	follows := true
	if ref := pushedRef(body); ref != "" && s.cfg.Follows != nil {
		follows = s.cfg.Follows(ref)
	}
	s.mu.Lock()
	s.stats.Last, s.stats.LastKind = now, sender.Kind
	if follows {
		s.stats.Accepted++
	} else {
		s.stats.Other++
	}
	s.mu.Unlock()
	if follows {
		s.cfg.Log.Debug("webhook", "kind", string(sender.Kind))
		s.cfg.Kick()
	}
	return sender, "", nil
}

// first reports whether a generic hook comes for the first time within its window.
func (s *Server) first(key [sha256.Size]byte, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, at := range s.taken {
		if now.Sub(at) > 2*timeWindow { // a stamp may be one window ahead
			delete(s.taken, k)
		}
	}
	if _, again := s.taken[key]; again || len(s.taken) >= replaysMax {
		return false
	}
	s.taken[key] = now
	return true
}

// refuse counts, and logs each reason once a minute.
func (s *Server) refuse(why Refused, kind Kind, from netip.Addr, err error) {
	now := s.cfg.now()
	s.mu.Lock()
	s.stats.Refused[why]++
	count := s.stats.Refused[why]
	say := now.Sub(s.said[why]) >= time.Minute
	if say {
		s.said[why] = now
	}
	s.mu.Unlock()
	if say {
		s.cfg.Log.Warn("webhook refused", "reason", string(why), "kind", string(kind), "from", from.String(), "count", count, "err", err)
	}
}
