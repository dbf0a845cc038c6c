package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
)

// LabelTest marks what a lab made; its value is the lab's ID.
const LabelTest = "teal.test"

// App is the import path of the program for test images; see test/images/app.
const App = "github.com/tealops/teal/test/images/app"

// Lab is one place to try things on an engine. Its methods may be used by several
// goroutines.
type Lab struct {
	// ID marks all that the lab makes; it may stand in names and labels.
	ID string
	// Host is the engine's address.
	Host string
	// API drives the engine directly, for what a test does behind teal's back.
	API *client.Client
	// Registry is on loopback, with knobs.
	Registry *Registry

	logf func(string, ...any)
	dir  string // compiled programs

	mu       sync.Mutex        // guards what follows
	programs map[string]string // import path → file
	subnets  []netip.Prefix    // handed out
}

var count atomic.Int64

// New opens a lab on the engine of $DOCKER_HOST or the default socket, and sweeps
// what labs of dead processes left. logf may be nil. The error says when no engine
// answers. Close it.
func New(ctx context.Context, logf func(format string, args ...any)) (*Lab, error) {
	if logf == nil {
		logf = func(string, ...any) {}
	}
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	id, err := newID(os.Getpid(), count.Add(1))
	if err != nil {
		return nil, fmt.Errorf("open lab: %w", err)
	}
	api, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("open lab: %w", err)
	}
	l := &Lab{ID: id, Host: host, API: api, logf: logf, programs: map[string]string{}}
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := api.Ping(asking, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		api.Close()
		return nil, fmt.Errorf("open lab: %w", err)
	}
	if err := l.sweepStale(ctx); err != nil {
		logf("lab: sweep what dead runs left: %v", err)
	}
	if l.dir, err = os.MkdirTemp("", "teal-lab-"); err != nil {
		api.Close()
		return nil, fmt.Errorf("open lab: %w", err)
	}
	if l.Registry, err = NewRegistry(); err != nil {
		return nil, errors.Join(fmt.Errorf("open lab: %w", err), os.RemoveAll(l.dir), api.Close())
	}
	return l, nil
}

// Prefix is what names of the lab's objects begin with; it fits agent.yaml's prefix.
func (l *Lab) Prefix() string { return l.ID + "-" }

// Name is a name for an object of the lab.
func (l *Lab) Name(parts ...string) string { return l.Prefix() + strings.Join(parts, "-") }

// Labels is the lab's mark together with more labels.
func (l *Lab) Labels(more map[string]string) map[string]string {
	labels := map[string]string{LabelTest: l.ID}
	maps.Copy(labels, more)
	return labels
}

// Close removes everything of the lab's from the engine and stops the registry. It
// works after the test's context has ended, within a minute.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(
		l.sweep(ctx, func(id string) bool { return id == l.ID }),
		l.Registry.Close(),
		l.API.Close(),
		os.RemoveAll(l.dir),
	)
}

// file is a path in the lab's own directory.
func (l *Lab) file(name string) string { return filepath.Join(l.dir, name) }
