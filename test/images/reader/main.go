// Command reader is the program in the images of tests of secrets and configs: it serves
// what files it finds in its container. It is ready unless the file READY_FILE begins with
// "bad".
//
//	GET /health/            200, or 503 when READY_FILE begins with "bad"
//	GET /read?path=/x       the file; its mode and owner are in the header File
//	GET /env?name=X         an environment variable
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	http.HandleFunc("/health/", func(w http.ResponseWriter, _ *http.Request) {
		if data, err := os.ReadFile(os.Getenv("READY_FILE")); err == nil && bytes.HasPrefix(data, []byte("bad")) {
			http.Error(w, "not with that secret", http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		path := r.FormValue("path")
		info, err := os.Stat(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		data, err := os.ReadFile(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if err := os.WriteFile(path, data, 0o600); err == nil {
			http.Error(w, "it can be written", http.StatusInternalServerError)
			return
		}
		st := info.Sys().(*syscall.Stat_t)
		w.Header().Set("File", fmt.Sprintf("%04o %d:%d", info.Mode().Perm(), st.Uid, st.Gid))
		_, _ = w.Write(data)
	})
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getenv(r.FormValue("name"))) })
	s := &http.Server{Addr: ":8000", ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = s.Shutdown(context.Background())
	}()
	if err := s.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
