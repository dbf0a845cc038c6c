// Package rig is a whole host for the demo, the benchmarks and the end-to-end tests:
// teal-agent and teal-proxy as real processes, a bare Git repository with real
// commits, throw-away SSH keys, the example shop's images in a registry on loopback,
// and a load client that never retries. Everything lies in one temporary directory
// and carries the lab's mark; Close removes it and ends only what the rig started.
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/test/lab"
)

// Shop is the example program's import path, Host the name its routes claim.
const (
	Shop   = "github.com/tealops/teal/examples/shop/app"
	Host   = "shop.example.test"
	RepoID = "5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11"
)

// Options shape a rig.
type Options struct {
	Env string // production (two approvers) or staging (none); default staging
	// Bake is the x-teal bake block of the manifests it writes.
	Bake string
	// AgentConfig is YAML added to agent.yaml.
	AgentConfig string
	// Policy replaces trust.yaml when set; %s is nothing, it is taken as it is.
	Policy string
	// State is the agent's state directory; default in the rig's own.
	State string
	// Engine, when set, gives the rig an engine of its own on the data root EngineData
	// ("" for one in a temporary directory), which tests may restart or fill up. Agent
	// and proxy then run in its network namespace.
	Engine     bool
	EngineData string
	// ProxyArgs are added to teal-proxy's.
	ProxyArgs []string
	// AgentEnv is added to teal-agent's environment, NAME=value.
	AgentEnv []string
	// AgentUser, when set, is the user id that the agent runs as, as its unit has it: in the
	// group of the engine's socket, with CAP_CHOWN and nothing else of root.
	AgentUser int
	Bin       string // directory of the binaries; default <module>/bin
}

// Rig is one host.
type Rig struct {
	Lab    *lab.Lab
	Engine *lab.Engine // nil: the machine's own
	Dir    string
	Env    string
	Front  string // host:port of the proxy's front door
	Bare   string // the bare repository
	Work   string // a clone of it
	State  string
	Bin    string
	opt    Options
	logf   func(string, ...any)

	mu     sync.Mutex // guards the processes
	agent  *process
	proxy  *process
	images map[string]string
}

type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// New builds a rig: directories, keys, repository, configuration. It starts nothing.
func New(ctx context.Context, opt Options, logf func(string, ...any)) (_ *Rig, err error) {
	if logf == nil {
		logf = func(string, ...any) {}
	}
	if opt.Env == "" {
		opt.Env = "staging"
	}
	r := &Rig{Env: opt.Env, opt: opt, logf: logf, images: map[string]string{}}
	if r.Bin = opt.Bin; r.Bin == "" {
		root, err := moduleRoot()
		if err != nil {
			return nil, err
		}
		r.Bin = filepath.Join(root, "bin")
	}
	for _, name := range []string{"teal-agent", "teal-proxy", "tealctl"} {
		if _, err := os.Stat(filepath.Join(r.Bin, name)); err != nil {
			return nil, fmt.Errorf("%w; run make build", err)
		}
	}
	if r.Lab, err = lab.New(ctx, logf); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if opt.Engine {
		if r.Engine, err = r.Lab.Engine(ctx, opt.EngineData); err != nil {
			return nil, err
		}
	}
	if r.Dir, err = os.MkdirTemp("", "teal-rig-"); err != nil {
		return nil, err
	}
	// Peers of other uids reach the control socket in the tests of roles.
	if err := os.Chmod(r.Dir, 0o755); err != nil {
		return nil, err
	}
	if r.Front, err = freeAddress(); err != nil {
		return nil, err
	}
	if r.State = opt.State; r.State == "" {
		r.State = filepath.Join(r.Dir, "state")
	}
	for _, dir := range []string{"run", "proxy", "keys"} {
		if err := os.MkdirAll(filepath.Join(r.Dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	for _, person := range []string{"ann", "bob", "eve"} {
		if _, err := r.run(ctx, r.Dir, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", r.Key(person)); err != nil {
			return nil, err
		}
	}
	if err := r.repository(ctx); err != nil {
		return nil, err
	}
	if err := r.WritePolicy(r.policy()); err != nil {
		return nil, err
	}
	if err := r.WriteConfig(r.config()); err != nil {
		return nil, err
	}
	if out, errs, code := r.Ctl(ctx, "state", "init", "--state", r.State); code != 0 {
		return nil, fmt.Errorf("tealctl state init: exit %d: %s%s", code, out, errs)
	}
	if u := opt.AgentUser; u != 0 {
		for _, path := range []string{r.State, filepath.Join(r.State, "identity.json"), r.Path("run")} {
			if err := os.Chown(path, u, u); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// agentUser is how the agent's process becomes the rig's AgentUser.
func (r *Rig) agentUser(to *syscall.SysProcAttr) error {
	info, err := os.Stat(strings.TrimPrefix(r.Lab.Host, "unix://"))
	if err != nil {
		return fmt.Errorf("find the group of the engine's socket: %w", err)
	}
	u := uint32(r.opt.AgentUser)
	to.Credential = &syscall.Credential{Uid: u, Gid: u, Groups: []uint32{info.Sys().(*syscall.Stat_t).Gid}}
	to.AmbientCaps = []uintptr{unix.CAP_CHOWN}
	return nil
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Key is the private key file of a person.
func (r *Rig) Key(person string) string { return filepath.Join(r.Dir, "keys", person) }

// Path joins onto the rig's directory.
func (r *Rig) Path(parts ...string) string {
	return filepath.Join(append([]string{r.Dir}, parts...)...)
}

func (r *Rig) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev@example.com", "GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev@example.com",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

func (r *Rig) policy() string {
	if r.opt.Policy != "" {
		return r.opt.Policy
	}
	key := func(person string) string {
		data, err := os.ReadFile(r.Key(person) + ".pub")
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(data))
	}
	approvals := "[]"
	if r.Env == "production" {
		approvals = "[{role: devops, threshold: 2}]"
	}
	return fmt.Sprintf(`apiVersion: teal/v1
kind: Trust
repoId: %s
environment: %s
policy:
  people:
    ann@example.com: {keys: [{id: ann-1, ssh: "%s"}]}
    bob@example.com: {keys: [{id: bob-1, ssh: "%s"}]}
  roles: {devops: {members: [ann@example.com, bob@example.com]}}
  environments:
    %s: {approvals: %s, separationOfDuties: {excludePreparer: true}, maxApprovalAge: 168h}
hostAccess:
  shop: {routes: [%s, api.%s]}
  other: {routes: [other.example.test, %s]}
`, RepoID, r.Env, key("ann"), key("bob"), r.Env, approvals, Host, Host, Host)
}

// WritePolicy replaces trust.yaml.
func (r *Rig) WritePolicy(text string) error {
	return os.WriteFile(r.Path("trust.yaml"), []byte(text), 0o644)
}

// WriteConfig replaces agent.yaml.
func (r *Rig) WriteConfig(text string) error {
	return os.WriteFile(r.Path("agent.yaml"), []byte(text), 0o644)
}

// Config is the agent.yaml that the rig writes.
func (r *Rig) config() string {
	subnet, err := r.Lab.Subnet(context.Background())
	if err != nil {
		r.logf("rig: %v", err)
	}
	engine := r.Lab.Host
	if r.Engine != nil {
		engine = r.Engine.Host
	}
	return fmt.Sprintf(`apiVersion: teal/v1
kind: Agent
environment: %s
host: h1
prefix: %s
state: %s
trust: %s
socket: %s
logLevel: debug
repository: {url: %s, branch: main, poll: 5s}
engine: {host: "%s", edge: {network: edge, subnet: %s}}
proxy: {socket: %s, frontDoor: "%s"}
reserves: {journal: 262144, engine: 1048576, minFree: 1048576}
%s`, r.Env, r.Lab.Prefix(), r.State, r.Path("trust.yaml"), r.Socket(), r.Bare, engine, subnet, r.ProxySocket(), r.Front, r.opt.AgentConfig)
}

// Socket is the agent's control socket, ProxySocket the proxy's.
func (r *Rig) Socket() string      { return r.Path("run", "agent.sock") }
func (r *Rig) ProxySocket() string { return r.Path("proxy", "main.sock") }

// start runs a binary with its output in a log file.
func (r *Rig) start(name string, env []string, args ...string) (*process, error) {
	logFile := r.Path(name + ".log")
	f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(r.Bin, name)
	if r.Engine != nil {
		path, args = r.Engine.Enter(path, args...)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if name == "teal-agent" && r.opt.AgentUser != 0 {
		if err := r.agentUser(cmd.SysProcAttr); err != nil {
			f.Close()
			return nil, err
		}
		cmd.Env = append(cmd.Env, "HOME="+r.State) // as systemd has it: the user's own
	}
	if err := cmd.Start(); err != nil {
		f.Close()
		return nil, err
	}
	p := &process{cmd: cmd, log: logFile, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		f.Close()
		close(p.done)
	}()
	return p, nil
}

func (p *process) stop(s os.Signal, within time.Duration) error {
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(within):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s", p.cmd.Path, within)
	}
	return nil
}

// StartProxy starts teal-proxy and waits until it answers.
func (r *Rig) StartProxy(ctx context.Context) error {
	args := append([]string{"-listen", r.Front, "-control", r.ProxySocket(), "-state", r.Path("proxy")}, r.opt.ProxyArgs...)
	p, err := r.start("teal-proxy", nil, args...)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.proxy = p
	r.mu.Unlock()
	return r.awaitSocket(ctx, p, r.ProxySocket())
}

// StartAgent starts teal-agent and waits until its socket answers. env is added to
// its environment, NAME=value.
func (r *Rig) StartAgent(ctx context.Context, env ...string) error {
	p, err := r.start("teal-agent", append(slices.Clone(r.opt.AgentEnv), env...), "-config", r.Path("agent.yaml"))
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.agent = p
	r.mu.Unlock()
	return r.awaitSocket(ctx, p, r.Socket())
}

func (r *Rig) awaitSocket(ctx context.Context, p *process, socket string) error {
	for range 600 {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("%s ended: %v\n%s", filepath.Base(p.cmd.Path), p.err, tail(p.log, 10))
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer on %s\n%s", filepath.Base(p.cmd.Path), socket, tail(p.log, 10))
}

func tail(file string, n int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// AgentLog is the agent's log so far.
func (r *Rig) AgentLog() string {
	data, _ := os.ReadFile(r.Path("teal-agent.log"))
	return string(data)
}

// KillAgent ends the agent as a crash does.
func (r *Rig) KillAgent() error { return r.signalAgent(syscall.SIGKILL) }

// StopAgent ends the agent politely.
func (r *Rig) StopAgent() error { return r.signalAgent(syscall.SIGTERM) }

func (r *Rig) signalAgent(s os.Signal) error {
	r.mu.Lock()
	p := r.agent
	r.mu.Unlock()
	return p.stop(s, 30*time.Second)
}

// AgentPID is the agent's process id, 0 when it does not run.
func (r *Rig) AgentPID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.agent == nil {
		return 0
	}
	return r.agent.cmd.Process.Pid
}

// KillProxy ends the proxy as a crash does.
func (r *Rig) KillProxy() error {
	r.mu.Lock()
	p := r.proxy
	r.mu.Unlock()
	return p.stop(syscall.SIGKILL, 10*time.Second)
}

// RunAgent runs teal-agent in the foreground with the rig's configuration, for what
// it says when it refuses to start.
func (r *Rig) RunAgent(ctx context.Context, args ...string) (out string, code int) {
	if len(args) == 0 {
		args = []string{"-config", r.Path("agent.yaml")}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(r.Bin, "teal-agent"), args...)
	data, err := cmd.CombinedOutput()
	return string(data), exitCode(err)
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// Ctl runs tealctl as this user.
func (r *Rig) Ctl(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	return r.CtlAs(ctx, nil, args...)
}

// CtlAs runs tealctl with other credentials.
func (r *Rig) CtlAs(ctx context.Context, as *syscall.Credential, args ...string) (stdout, stderr string, code int) {
	cmd := exec.CommandContext(ctx, filepath.Join(r.Bin, "tealctl"), args...)
	cmd.Env = append(os.Environ(), "TEAL_SOCKET="+r.Socket(), "LC_ALL=C.UTF-8",
		"GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev@example.com", "GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
	cmd.Dir = r.Dir
	if as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	return out.String(), errs.String(), exitCode(err)
}

// Status asks the agent how it stands.
func (r *Rig) Status(ctx context.Context) (api.Status, error) {
	return api.NewClient(r.Socket()).Status(ctx)
}

// App is one app's status; the zero value while the agent does not know it.
func (r *Rig) App(ctx context.Context, app string) (api.AppStatus, error) {
	st, err := r.Status(ctx)
	if err != nil {
		return api.AppStatus{}, err
	}
	for _, a := range st.Apps {
		if a.App == app {
			return a, nil
		}
	}
	return api.AppStatus{}, nil
}

// Await polls an app's status until ok says so. The error tells how it stood last.
func (r *Rig) Await(ctx context.Context, app string, within time.Duration, what string, ok func(api.AppStatus) bool) (api.AppStatus, error) {
	deadline := time.Now().Add(within)
	var last api.AppStatus
	var err error
	for time.Now().Before(deadline) {
		var a api.AppStatus
		if a, err = r.App(ctx, app); err == nil {
			if last = a; ok(a) {
				return a, nil
			}
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	data, _ := json.Marshal(last)
	return last, fmt.Errorf("%s: %s not seen within %s (%v); last: %s\nagent log:\n%s", app, what, within, err, data, tail(r.Path("teal-agent.log"), 25))
}

// Live says that a version is live and settled.
func Live(version string) func(api.AppStatus) bool {
	return func(a api.AppStatus) bool { return a.Healthy && a.Live != nil && a.Live.Version == version }
}

// State says that an app is in a state.
func State(state string) func(api.AppStatus) bool {
	return func(a api.AppStatus) bool { return a.State == state }
}

// Get asks the front door once.
func (r *Rig) Get(ctx context.Context, path string) (version string, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Front+path, nil)
	if err != nil {
		return "", 0, err
	}
	req.Host = Host
	c := http.Client{Transport: &http.Transport{DialContext: r.dial, DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	return resp.Header.Get("Shop-Version"), resp.StatusCode, nil
}

// dial connects to the front door, wherever it is.
func (r *Rig) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if r.Engine != nil {
		return r.Engine.Dial(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Close ends the processes, removes every object on the engine and the directory.
func (r *Rig) Close() error {
	r.mu.Lock()
	agent, proxy := r.agent, r.proxy
	r.mu.Unlock()
	err := errors.Join(agent.stop(syscall.SIGTERM, 20*time.Second), proxy.stop(syscall.SIGTERM, 40*time.Second))
	if r.Engine != nil {
		err = errors.Join(err, r.Engine.Close())
	}
	if r.Lab != nil {
		err = errors.Join(err, r.Lab.Close())
	}
	if r.Dir != "" {
		err = errors.Join(err, os.RemoveAll(r.Dir))
	}
	return err
}

// AgentEnded waits until the agent's process is gone; false: it still runs.
func (r *Rig) AgentEnded(within time.Duration) bool {
	r.mu.Lock()
	p := r.agent
	r.mu.Unlock()
	select {
	case <-p.done:
		return true
	case <-time.After(within):
		return false
	}
}
