package webhook

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is the pair of files as it was when it could last be used.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu        sync.Mutex // guards the rest
	looked    time.Time
	cert, key []byte // as read last, good or not
	pair      *tls.Certificate
}

// certificateEvery is how often the files are looked at, at most: a handshake costs a
// stranger nothing.
const certificateEvery = time.Second

// load reads the files; an error leaves the pair that is in use.
func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = c.now()
	cert, err := readPEM(c.certFile)
	if err != nil {
		return fmt.Errorf("read tls.cert: %w", err)
	}
	key, err := readPEM(c.keyFile)
	if err != nil {
		return fmt.Errorf("read tls.key: %w", err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return nil
	}
	c.cert, c.key = cert, key
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("use tls.cert %s and tls.key %s: %w", c.certFile, c.keyFile, err)
	}
	if c.pair != nil {
		c.log.Info("webhook certificate changed", "not_after", pair.Leaf.NotAfter)
	}
	c.pair = &pair
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	due := c.now().Sub(c.looked) >= certificateEvery
	c.mu.Unlock()
	if due {
		if err := c.load(); err != nil {
			c.log.Warn("webhook certificate not taken, the old one stays in use", "err", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair, nil
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}
