package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/tealops/teal/internal/release"
)

// Config says which engine to drive and as whom.
type Config struct {
	// Host is the engine's address; default unix:///var/run/docker.sock.
	Host string
	// Instance is the uuid of the agent's state. Required: it tells our objects from
	// those of other agents on the same engine.
	Instance string
	// EdgeNetwork is the name of the network on which the proxy reaches routed
	// containers. Required.
	EdgeNetwork string
	// EdgeSubnet is the IPv4 subnet of EdgeNetwork. Required by EnsureEdge only.
	EdgeSubnet netip.Prefix
	// DockerConfig is the directory of the config.json with registry credentials and
	// helpers, read again at each pull; default $DOCKER_CONFIG, else ~/.docker.
	DockerConfig string
	// PullTimeout bounds one pull; default 10 minutes.
	PullTimeout time.Duration
	// PullStall bounds the time without any progress in a pull; default 2 minutes.
	PullStall time.Duration
	// Log receives what is retried by itself; default slog.Default().
	Log *slog.Logger
}

// Defaults of Config, and the bounds of single requests to the engine. Requests
// that wait for an app (stop, health, a one-off run) add their own time.
const (
	DefaultHost        = "unix:///var/run/docker.sock"
	DefaultPullTimeout = 10 * time.Minute
	DefaultPullStall   = 2 * time.Minute

	// OldestAPI is that of Docker Engine 20.10.
	OldestAPI = "1.41"

	quickCall = 30 * time.Second // inspect, list, create, update, connect
	slowCall  = 2 * time.Minute  // start and remove: the engine may be busy with others
)

// errEngineSlow is the cause when a single request outlives its bound.
var errEngineSlow = errors.New("the container engine did not answer in time")

// Engine is one container engine, driven for one agent. Its methods may be used by
// several goroutines; those of one app are expected one at a time.
type Engine struct {
	cfg Config
	api *client.Client
	log *slog.Logger

	// making is held while looking for and making networks: the engine allows two of
	// one name.
	making sync.Mutex

	asking chan struct{} // buffered 1; holds a value while credentials are read
	helper time.Duration // bound of that
}

// Open is New and Check.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	e, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := e.Check(ctx); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// New is a client of the engine, which need not answer yet: an agent must be able to
// go back while it does not.
func New(cfg Config) (*Engine, error) {
	if cfg.Host == "" {
		cfg.Host = DefaultHost
	}
	if cfg.PullTimeout <= 0 {
		cfg.PullTimeout = DefaultPullTimeout
	}
	if cfg.PullStall <= 0 {
		cfg.PullStall = DefaultPullStall
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	var problems []error
	if cfg.Instance == "" {
		problems = append(problems, errors.New("instance is empty: it tells this agent's containers from others"))
	}
	if cfg.EdgeNetwork == "" {
		problems = append(problems, errors.New("edge network is empty: name the network that the proxy reaches containers on"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("open engine %s: %w", cfg.Host, err)
	}
	api, err := client.New(client.WithHost(cfg.Host), client.WithUserAgent("teal"))
	if err != nil {
		return nil, fmt.Errorf("open engine %s: %w", cfg.Host, err)
	}
	return &Engine{cfg: cfg, api: api, log: cfg.Log, asking: make(chan struct{}, 1), helper: helperTimeout}, nil
}

// Check asks whether the engine answers and its API is not older than OldestAPI. The
// error is a *rollout.EffectError with engine_unreachable when it does not answer.
func (e *Engine) Check(ctx context.Context) error {
	_, err := ask(ctx, quickCall, func(ctx context.Context) (client.PingResult, error) {
		return e.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	})
	if err != nil {
		return classify(ctx, "open engine "+e.cfg.Host, err)
	}
	if v := e.api.ClientVersion(); versions.LessThan(v, OldestAPI) {
		return hold(release.EngineRefused, "open engine "+e.cfg.Host,
			fmt.Errorf("its API is %s, the oldest that teal drives is %s; upgrade it to Docker Engine 20.10 or newer", v, OldestAPI))
	}
	return nil
}

// Close lets go of idle connections. It does not touch any container.
func (e *Engine) Close() error { return e.api.Close() }

// Info is what the engine says about itself.
type Info struct {
	Version       string `json:"version"`
	API           string `json:"api"` // version in use between us
	StorageDriver string `json:"storageDriver"`
	CgroupVersion string `json:"cgroupVersion"`
	OS            string `json:"os"`
	Architecture  string `json:"architecture"`
	DataRoot      string `json:"dataRoot"`
	CPUs          int    `json:"cpus"`
	Memory        int64  `json:"memory"` // bytes
	LiveRestore   bool   `json:"liveRestore"`
}

// Info asks the engine about itself.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	r, err := ask(ctx, quickCall, func(ctx context.Context) (client.SystemInfoResult, error) {
		return e.api.Info(ctx, client.InfoOptions{})
	})
	if err != nil {
		return Info{}, classify(ctx, "ask the engine about itself", err)
	}
	i := r.Info
	return Info{
		Version: i.ServerVersion, API: e.api.ClientVersion(), StorageDriver: i.Driver, CgroupVersion: i.CgroupVersion,
		OS: i.OperatingSystem, Architecture: i.Architecture, DataRoot: i.DockerRootDir, CPUs: i.NCPU, Memory: i.MemTotal,
		LiveRestore: i.LiveRestoreEnabled,
	}, nil
}

// ask makes one request with a bound of its own. When that bound ends it, and not
// the caller's, the error is errEngineSlow.
func ask[T any](ctx context.Context, limit time.Duration, request func(context.Context) (T, error)) (T, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, limit, errEngineSlow)
	defer cancel()
	v, err := request(bounded)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = fmt.Errorf("%w (%s)", errEngineSlow, limit)
	}
	return v, err
}
