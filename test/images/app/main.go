// Command app is the program in the images of tests and of the demo: a web server
// whose every habit is set from outside. It is built statically and put alone into an
// image, so it is also its own health check (app -check URL) and its own one-off
// command (app -exit N).
//
// Environment, each with a flag of the same meaning (see -help):
//
//	LISTEN=:8080         address to serve on; "" serves nothing and just runs
//	VERSION=v0           said in each answer
//	START_DELAY=2s       before it listens
//	HEALTH=200           status of /healthz
//	FAIL_AFTER=5s        from then on every page but /healthz answers 500
//	EXIT_AFTER=1s        ends by itself then, with EXIT_CODE; 0s means at once
//	EXIT_CODE=3
//	IGNORE_TERM=1        does not react to SIGTERM
//	SAY=text             first line of the log
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	log.SetFlags(log.Lmicroseconds | log.LUTC)
	var (
		listen   = flag.String("listen", env("LISTEN", ":8080"), "address to serve on; empty serves nothing")
		version  = flag.String("version", env("VERSION", "v0"), "said in each answer")
		delay    = flag.Duration("start-delay", duration("START_DELAY", 0), "before it listens")
		health   = flag.Int("health", number("HEALTH", 200), "status of /healthz")
		failAt   = flag.Duration("fail-after", duration("FAIL_AFTER", -1), "pages answer 500 from then on; negative: never")
		exitAt   = flag.Duration("exit-after", duration("EXIT_AFTER", -1), "ends by itself then; negative: never")
		exitCode = flag.Int("exit-code", number("EXIT_CODE", 0), "with which code it ends by itself")
		exit     = flag.Int("exit", -1, "say -say and end at once with this code")
		ignore   = flag.Bool("ignore-term", env("IGNORE_TERM", "") != "", "do not react to SIGTERM")
		say      = flag.String("say", env("SAY", ""), "first line of the log")
		check    = flag.String("check", "", "ask this URL and end with 0 or 1: the health check")
	)
	flag.Parse()
	if *check != "" {
		return checkURL(*check)
	}
	if *say != "" {
		log.Print(*say)
	}
	if *exit >= 0 {
		return *exit
	}

	began := time.Now()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	ended := make(<-chan time.Time)
	if *exitAt >= 0 {
		ended = time.After(*exitAt)
	}
	select { // a slow start can be interrupted too
	case <-time.After(*delay):
	case <-ended:
		return *exitCode
	}

	a := &app{version: *version, failing: func() bool { return *failAt >= 0 && time.Since(began) >= *failAt }}
	a.health.Store(int64(*health))
	server := &http.Server{Addr: *listen, Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	if *listen != "" {
		go func() { failed <- server.ListenAndServe() }()
	}
	log.Printf("%s serves on %q", *version, *listen)
	for {
		select {
		case err := <-failed:
			log.Print(err)
			return 1
		case <-ended:
			log.Printf("ends by itself with code %d", *exitCode)
			return *exitCode
		case s := <-term:
			if *ignore {
				log.Printf("ignores %s", s)
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err := server.Shutdown(ctx)
			log.Printf("ended by %s; requests=%d last_request=%s", s, a.requests.Load(), time.Unix(0, a.last.Load()).UTC().Format(time.RFC3339Nano))
			if err != nil && !errors.Is(err, http.ErrServerClosed) {
				return 1
			}
			return 0
		}
	}
}

// app answers requests and counts them.
type app struct {
	version  string
	failing  func() bool
	health   atomic.Int64
	requests atomic.Int64
	last     atomic.Int64 // time of the last request, Unix nanoseconds
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	// GET /healthz; PUT /healthz?status=503 changes what it says from then on.
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if status, err := strconv.Atoi(r.URL.Query().Get("status")); err == nil && r.Method == http.MethodPut {
			a.health.Store(int64(status))
		}
		w.WriteHeader(int(a.health.Load()))
		fmt.Fprintln(w, a.version)
	})
	// /slow?ms=2000 sends its head at once and its end after that time.
	mux.HandleFunc("/slow", a.counted(func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
		fmt.Fprintln(w, "begin", a.version)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		time.Sleep(time.Duration(min(ms, 60_000)) * time.Millisecond)
		fmt.Fprintln(w, "end", a.version)
	}))
	mux.HandleFunc("/fail", a.counted(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "failed on request", http.StatusInternalServerError)
	}))
	// /exit?code=3 ends the process without a word to anybody.
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		os.Exit(code)
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "{\"version\":%q,\"requests\":%d,\"last\":%d}\n", a.version, a.requests.Load(), a.last.Load())
	})
	mux.HandleFunc("/", a.counted(func(w http.ResponseWriter, r *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintln(w, a.version, "pong", host, r.URL.Path)
	}))
	return mux
}

func (a *app) counted(page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.requests.Add(1)
		a.last.Store(time.Now().UnixNano())
		w.Header().Set("X-Version", a.version)
		if a.failing() {
			http.Error(w, a.version+" is broken", http.StatusInternalServerError)
			return
		}
		page(w, r)
	}
}

func checkURL(url string) int {
	c := http.Client{Timeout: 5 * time.Second}
	r, err := c.Get(url)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	r.Body.Close()
	fmt.Println(r.Status)
	if r.StatusCode >= 400 {
		return 1
	}
	return 0
}

func env(name, fallback string) string {
	if v, ok := os.LookupEnv(name); ok {
		return v
	}
	return fallback
}

func number(name string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return fallback
}

func duration(name string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv(name)); err == nil {
		return d
	}
	return fallback
}
