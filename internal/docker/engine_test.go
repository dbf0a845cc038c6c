package docker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

func TestInfoAndSpace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	info, err := r.Info(t.Context())
	if err != nil || info.Version == "" || info.API == "" || info.DataRoot == "" || info.CPUs == 0 {
		t.Errorf("%+v %v", info, err)
	}
	space, err := r.Space(t.Context())
	if err != nil || space.DataRoot != info.DataRoot || space.FreeBytes == 0 || space.FreeInodes == 0 {
		t.Errorf("%+v %v", space, err)
	}
}

func TestOpenFaults(t *testing.T) {
	cfg := Config{Host: "unix://" + filepath.Join(t.TempDir(), "none.sock"), Instance: "i", EdgeNetwork: "e"}
	_, err := Open(t.Context(), cfg)
	wantFault(t, err, rollout.FaultRetry, release.EngineUnreachable, cfg.Host)
	_, err = Open(t.Context(), Config{})
	if err == nil || !strings.Contains(err.Error(), "instance") || !strings.Contains(err.Error(), "edge network") {
		t.Errorf("an empty config: %v", err)
	}
}

func TestOldEngine(t *testing.T) {
	_, err := openFake(t, "1.40", nil)
	wantFault(t, err, rollout.FaultHold, release.EngineRefused, "1.40", "20.10")
	if _, err := openFake(t, "1.39", nil); err == nil {
		t.Error("an engine that the client does not speak with was opened")
	}
}

// fakeEngine is an engine on a socket that answers as a test says: what a real one
// does only when it is in trouble.
func fakeEngine(t *testing.T, answer http.HandlerFunc) *Engine {
	t.Helper()
	e, err := openFake(t, "1.41", answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func openFake(t *testing.T, api string, answer http.HandlerFunc) (*Engine, error) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.HasSuffix(q.URL.Path, "/_ping") {
			w.Header().Set("Api-Version", api)
			return
		}
		answer(w, q)
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return Open(t.Context(), Config{Host: "unix://" + socket, Instance: "i", EdgeNetwork: "e", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

func TestEngineInTrouble(t *testing.T) {
	say := func(status int, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(map[string]string{"message": message})
		}
	}
	t.Run("an error of its own", func(t *testing.T) {
		_, err := fakeEngine(t, say(500, "containerd\nis gone \x1b[0m")).Observe(t.Context(), "shop")
		wantFault(t, err, rollout.FaultRetry, release.EngineRefused, "observe shop", `containerd\nis gone`)
	})
	t.Run("a full disk", func(t *testing.T) {
		_, err := fakeEngine(t, say(500, "write /var/lib/docker: no space left on device")).Observe(t.Context(), "shop")
		wantFault(t, err, rollout.FaultRetry, release.DiskFull)
	})
	t.Run("a very long message", func(t *testing.T) {
		_, err := fakeEngine(t, say(500, strings.Repeat("é", 9000))).Observe(t.Context(), "shop")
		wantFault(t, err, rollout.FaultRetry, release.EngineRefused)
		if n := len(err.Error()); n > 2*maxErrorText {
			t.Errorf("the message has %d bytes", n)
		}
	})
	t.Run("no answer in time", func(t *testing.T) {
		e := fakeEngine(t, func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
		_, err := ask(t.Context(), 50*time.Millisecond, func(ctx context.Context) (int, error) {
			_, err := e.api.Info(ctx, struct{}{})
			return 0, err
		})
		if !errors.Is(err, errEngineSlow) {
			t.Fatalf("got %v", err)
		}
		wantFault(t, classify(t.Context(), "ask", err), rollout.FaultRetry, release.EngineUnreachable)
	})
	t.Run("it goes away", func(t *testing.T) {
		e := fakeEngine(t, func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				c.Close()
			}
		})
		_, err := e.Observe(t.Context(), "shop")
		wantFault(t, err, rollout.FaultRetry, release.EngineUnreachable)
	})
	t.Run("an answer that lacks half", func(t *testing.T) {
		e := fakeEngine(t, func(w http.ResponseWriter, q *http.Request) {
			if strings.HasSuffix(q.URL.Path, "/containers/json") {
				io.WriteString(w, `[{"Id":"a"}]`)
				return
			}
			io.WriteString(w, `{"Id":"a"}`)
		})
		_, err := e.Observe(t.Context(), "shop")
		wantFault(t, err, rollout.FaultRetry, release.EngineRefused, "incomplete")
	})
}

// TestUpdateOfWhatJustEnded: the engine refuses to update a container that ends in that
// moment; asked again, it does.
func TestUpdateOfWhatJustEnded(t *testing.T) {
	const ended = "Cannot update container abc: runc did not terminate successfully: exit status 1: container not running\n: unknown"
	for refusals, ok := range map[int64]bool{1: true, 3: true, 100: false} {
		var asked atomic.Int64
		e := fakeEngine(t, func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if asked.Add(1) <= refusals {
				w.WriteHeader(500)
				json.NewEncoder(w).Encode(map[string]string{"message": ended})
				return
			}
			io.WriteString(w, "{}")
		})
		if err := e.updateRestart(t.Context(), "abc", "no"); (err == nil) != ok {
			t.Errorf("after %d refusals: %v", refusals, err)
		}
		if n := asked.Load(); n > 10 {
			t.Errorf("asked %d times", n)
		}
	}
}

// TestNetworkMadeTwice: somebody made a network of the same name in the same moment. The
// older one is taken, by both, and ours goes away again.
func TestNetworkMadeTwice(t *testing.T) {
	const older = `{"Name":"shop","Id":"old","Created":"2026-01-01T00:00:00Z"}`
	const younger = `{"Name":"shop","Id":"ours","Created":"2026-01-01T00:00:01Z"}`
	var made, removed atomic.Bool
	e := fakeEngine(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case q.Method == http.MethodPost:
			made.Store(true)
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"Id":"ours"}`)
		case q.Method == http.MethodDelete:
			removed.Store(strings.HasSuffix(q.URL.Path, "/networks/ours"))
			w.WriteHeader(http.StatusNoContent)
		case made.Load():
			io.WriteString(w, "["+younger+","+older+"]")
		default:
			io.WriteString(w, "[]")
		}
	})
	n, err := e.makeNetwork(t.Context(), "shop", client.NetworkCreateOptions{})
	if err != nil || n.ID != "old" || !removed.Load() {
		t.Errorf("took %q, ours removed %v, %v", n.ID, removed.Load(), err)
	}
}

// TestWatchListensAgain: after the stream ends everything is looked at again.
func TestWatchListensAgain(t *testing.T) {
	var streams atomic.Int64
	e := fakeEngine(t, func(w http.ResponseWriter, q *http.Request) {
		if n := streams.Add(1); n == 2 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"Type":"container","Action":"die","Actor":{"ID":"a","Attributes":{"teal.app":"shop"}}}`+"\n")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var woken []string
	err := e.Watch(ctx, func(app string) {
		if woken = append(woken, app); len(woken) == 4 {
			cancel()
		}
	})
	if got := strings.Join(woken, ","); err != nil || got != ",shop,,shop" {
		t.Errorf("woken %q, %v", got, err)
	}
	if n := streams.Load(); n < 3 {
		t.Errorf("%d streams", n)
	}
}
