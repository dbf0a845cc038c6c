// Command shop is the example application that teal's demo and tests deploy: a
// backend, an ai-gateway, a worker and a store in one small static program.
//
//	shop backend|ai-gateway|worker|store
//	shop check URL       ends with 0 when the URL answers 200: a container's health check
//	shop once WORD CODE  says the word and ends with the code: a one-off run
//
// Environment: SHOP_VERSION is what it answers; SHOP_FAIL_AFTER (a duration) makes a
// backend answer 500 from then on, counted from the first request that came through the
// proxy (so that a slow start never makes it fail before it has users); SHOP_EXIT_AFTER ends it; SHOP_NOT_READY keeps its
// health path at 503; STORE is the store's address.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds | log.LUTC)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	role := "backend"
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	if role == "check" && len(os.Args) > 2 {
		os.Exit(check(ctx, os.Args[2]))
	}
	if role == "once" && len(os.Args) > 3 {
		log.Printf("%s for %s", os.Args[2], os.Getenv("SHOP_VERSION"))
		code, _ := strconv.Atoi(os.Args[3])
		os.Exit(code)
	}
	if after, err := time.ParseDuration(os.Getenv("SHOP_EXIT_AFTER")); err == nil {
		time.AfterFunc(after, func() {
			log.Print("ends, as SHOP_EXIT_AFTER says")
			os.Exit(1)
		})
	}
	log.Printf("%s %s starts", role, os.Getenv("SHOP_VERSION"))
	switch role {
	case "backend":
		serve(ctx, ":8000", backend())
	case "ai-gateway":
		serve(ctx, ":9000", gateway())
	case "store":
		serve(ctx, ":6379", store())
	case "worker":
		worker(ctx)
	default:
		log.Fatalf("unknown role %q", role)
	}
	log.Printf("ends politely; last request read at %d", lastRequest.Load())
}

// serve answers until SIGTERM, then finishes what it began.
func serve(ctx context.Context, address string, h http.Handler) {
	s := &http.Server{Addr: address, Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		_ = s.Shutdown(end)
	}()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

var lastRequest atomic.Int64 // unix nanoseconds of the last request that was read

// answers wraps a handler with what every service can do: be slow, fail, say its version.
func answers(name string, mux *http.ServeMux) http.Handler {
	var firstUser atomic.Int64 // unix nanoseconds; 0: nobody yet
	failAfter, ferr := time.ParseDuration(os.Getenv("SHOP_FAIL_AFTER"))
	version := os.Getenv("SHOP_VERSION")
	healthy := func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("SHOP_NOT_READY") != "" {
			http.Error(w, "not ready, as SHOP_NOT_READY says", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
	mux.HandleFunc("GET /health/", healthy)
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /last", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, lastRequest.Load()) })
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.FormValue("ms"))
		select {
		case <-time.After(min(time.Duration(ms)*time.Millisecond, 30*time.Second)):
		case <-r.Context().Done():
			return
		}
		fmt.Fprintf(w, "%s %s slow\n", name, version)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %s %d\n", name, version, r.URL.Path, n)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/last" && r.URL.Path != "/health/" && r.URL.Path != "/healthz" {
			lastRequest.Store(time.Now().UnixNano())
		}
		w.Header().Set("Shop-Version", version)
		if r.Header.Get("X-Forwarded-For") != "" {
			firstUser.CompareAndSwap(0, time.Now().UnixNano())
		}
		if first := firstUser.Load(); ferr == nil && first != 0 && time.Since(time.Unix(0, first)) > failAfter && r.URL.Path != "/health/" {
			http.Error(w, "broken, as SHOP_FAIL_AFTER says", http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func backend() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "pong") })
	mux.HandleFunc("GET /api/store", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+os.Getenv("STORE")+"/count", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, io.LimitReader(resp.Body, 1<<16))
	})
	return answers("backend", mux)
}

func gateway() http.Handler { return answers("ai-gateway", http.NewServeMux()) }

// store counts, as long as it lives.
func store() http.Handler {
	var n atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, n.Add(1)) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// check asks a URL once.
func check(ctx context.Context, url string) int {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 2
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		fmt.Println(resp.Status)
		return 1
	}
	return 0
}

// worker says that it works, and answers its own health check on loopback.
func worker(ctx context.Context) {
	go func() {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
		serve(ctx, "127.0.0.1:9100", mux)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if n%30 == 1 {
				log.Printf("job %d done", n)
			}
		}
	}
}
