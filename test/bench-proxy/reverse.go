package main

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// reverseIdle is how many connections to the backend the yardstick keeps, as teal-proxy
// does.
const reverseIdle = 1024

func startReverse(c *contestant, s setting) error {
	if s.tcp {
		return errNotThere
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.process, err = start(s.dir, reverse, false, nil, self, "reverse", c.address, s.backend)
	return err
}

// reverseChild is the yardstick: what Go's library gives to whoever knows its knobs, with
// the headers that the others set, and nothing counted.
func reverseChild(address, backend string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pool := sync.Pool{New: func() any { return new([32 << 10]byte) }}
	server := &http.Server{Addr: address, IdleTimeout: 75 * time.Second, ReadHeaderTimeout: 10 * time.Second, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", backend
			r.SetXForwarded()
			r.Out.Header.Set("X-Request-Id", strings.ToLower(rand.Text()))
		},
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			DisableCompression:  true,
			MaxIdleConnsPerHost: reverseIdle,
			IdleConnTimeout:     time.Minute,
		},
		BufferPool: bufferPool{&pool},
	}}
	go func() {
		<-ctx.Done()
		_ = server.Close() // nobody is left to be served
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

type bufferPool struct{ *sync.Pool }

func (p bufferPool) Get() []byte  { return p.Pool.Get().(*[32 << 10]byte)[:] }
func (p bufferPool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }
