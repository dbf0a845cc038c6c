package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
)

// sshSource runs git-upload-pack on an SSH server, in a connection for each look. It
// starts no program here, and reads no ~/.ssh.
type sshSource struct {
	cfg Config
	at  sshAddress
}

// What an SSH server may send before and besides a pack.
const (
	handshakeMax = 1 << 20
	stderrMax    = 2 << 10 // kept to be shown; the rest is read and dropped
	goodbye      = 2 * time.Second
)

// sshConfig offers only what has no known weakness: no SHA-1, no CBC, no DSA.
var sshConfig = ssh.Config{
	KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521, ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256},
	Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES256CTR, ssh.CipherAES128CTR},
	MACs:         []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
}

func (s *sshSource) look(ctx context.Context) (visit, error) {
	pins, err := s.pins()
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", s.at.hostPort())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.at.hostPort(), err)
	}
	v := &sshVisit{at: s.at, limits: s.cfg.Limits, conn: &meter{Conn: conn}}
	// Everything below may hang for as long as the server likes: closing ends it.
	v.unwatch = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := s.open(ctx, v, pins); err != nil {
		v.close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s: %w", s.at, err)
	}
	return v, nil
}

// open logs in, starts git-upload-pack, and lists the references.
func (s *sshSource) open(ctx context.Context, v *sshVisit, pins hostPins) error {
	deadline := time.Now().Add(s.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	offered, done := false, func() {}
	config := &ssh.ClientConfig{
		Config: sshConfig, User: s.at.user, ClientVersion: "SSH-2.0-teal",
		HostKeyCallback: pins.check, HostKeyAlgorithms: pins.algorithms(),
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			signers, end, err := s.login(deadline)
			if err == nil {
				offered, done = true, end
			}
			return signers, err
		})},
	}
	v.conn.allow("what the server sends before the login", handshakeMax)
	conn, channels, requests, err := ssh.NewClientConn(v.conn, s.at.hostPort(), config)
	done()
	if err != nil {
		return handshakeError(err, v.conn.fault(), offered, s.at)
	}
	v.client = ssh.NewClient(conn, channels, requests)
	v.conn.allow("the list of references", advertisedMax)
	if err := v.start(); err != nil {
		return v.explain(ctx, "run git-upload-pack", err)
	}
	if v.advertised, err = v.wire.references(); err != nil {
		return v.explain(ctx, "list the branches", err)
	}
	return nil
}

// handshakeError says in the operator's words why there is no login.
func handshakeError(err, fault error, offered bool, at sshAddress) error {
	var known *Error
	var none *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &known):
		return err
	case fault != nil:
		return fmt.Errorf("log in: %w", fault)
	case errors.As(err, &none) && none.What == "host key":
		return refuse(release.RepoHostKey, "the server has no host key of the pinned kind %q; it has %q. Pin one of those after asking whoever runs the server", none.SupportedAlgorithms, none.RequestedAlgorithms)
	case offered:
		return &Error{Code: release.RepoAuthRefused, Detail: fmt.Sprintf("%s did not let %s in with the key; give the public half of keyFile to the server as a deploy key", at.hostPort(), at.user), Err: err}
	}
	return fmt.Errorf("log in: %w", err)
}

// sshVisit is one connection with git-upload-pack at its other end.
type sshVisit struct {
	advertised
	at      sshAddress
	limits  Limits
	conn    *meter
	unwatch func() bool
	client  *ssh.Client // nil before the login
	session *ssh.Session
	wire    *wire

	ended, heard chan struct{} // closed when git-upload-pack and its stderr have ended; nil before it ran
	mu           sync.Mutex    // guards the rest
	exit         error         // how it ended
	stderr       []byte        // its first bytes
}

func (v *sshVisit) start() error {
	var err error
	if v.session, err = v.client.NewSession(); err != nil {
		return err
	}
	in, err := v.session.StdinPipe()
	if err != nil {
		return err
	}
	out, err := v.session.StdoutPipe()
	if err != nil {
		return err
	}
	talk, err := v.session.StderrPipe()
	if err != nil {
		return err
	}
	// Many servers refuse to take variables, and then speak the older protocol.
	if err := v.session.Setenv("GIT_PROTOCOL", "version=2"); err != nil && v.conn.fault() != nil {
		return err
	}
	if err := v.session.Start(v.at.command()); err != nil {
		return err
	}
	v.wire = newWire(out, in)
	v.ended, v.heard = make(chan struct{}), make(chan struct{})
	go v.listen(talk)
	go func() {
		defer close(v.ended)
		err := v.session.Wait()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.exit = err
	}()
	return nil
}

// listen reads stderr to its end, or the server would wait for us, and keeps its head.
func (v *sshVisit) listen(r io.Reader) {
	defer close(v.heard)
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		v.mu.Lock()
		if room := stderrMax - len(v.stderr); room > 0 {
			v.stderr = append(v.stderr, buf[:min(n, room)]...)
		}
		v.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// explain finds out why the talk ended: what broke the connection, or what
// git-upload-pack said before it ended.
func (v *sshVisit) explain(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if fault := v.conn.fault(); fault != nil {
		return fmt.Errorf("%s: %w", doing, fault)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	how := "the server ended the talk"
	if v.wire != nil {
		// Its status and its last words may still be on their way.
		late := time.After(goodbye)
		for _, end := range []chan struct{}{v.ended, v.heard} {
			select {
			case <-end:
			case <-late:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	v.mu.Lock()
	if exit := (*ssh.ExitError)(nil); errors.As(v.exit, &exit) {
		how = fmt.Sprintf("git-upload-pack ended with status %d", exit.ExitStatus())
	}
	said := escape(string(v.stderr), 200)
	v.mu.Unlock()
	if said != "" {
		return fmt.Errorf("%s: %s; it said: %s", doing, how, said)
	}
	return fmt.Errorf("%s: %s and said nothing", doing, how)
}

func (v *sshVisit) pack(ctx context.Context, w io.Writer, wants, haves []plumbing.Hash, _ func(plumbing.Hash) bool) error {
	v.conn.allow("the server's answer", v.limits.Pack+v.limits.Pack/64+1<<20) // frames and progress around the pack
	if err := v.wire.pack(w, wants, haves); err != nil {
		return v.explain(ctx, "download pack", err)
	}
	return nil
}

// close ends the talk politely, but not for long. It also ends what a failed open began.
func (v *sshVisit) close() {
	_ = v.conn.SetDeadline(time.Now().Add(goodbye)) // fails on a closed connection, which is as good
	if v.wire != nil {
		_ = v.wire.leave() // politeness
	}
	if v.client != nil {
		_ = v.client.Close() // nothing is written that could be lost
	}
	_ = v.conn.Close() // closed already after a login
	if v.wire != nil {
		<-v.ended
		<-v.heard
	}
	v.unwatch()
}
