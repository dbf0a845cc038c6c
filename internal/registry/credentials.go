package registry

import (
	"context"
	"fmt"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/tealops/teal/internal/trust"
)

// credentials are those of `docker login` for a registry, read at each call, so that
// short-lived tokens of helpers work. Without any the login is a stranger's. A helper is
// a program of somebody else's: one runs at a time, and nobody waits for it longer than
// the call may take.
func (c *Client) credentials(ctx context.Context, reg name.Registry) (authn.Authenticator, error) {
	host := reg.RegistryStr()
	if host == name.DefaultRegistry {
		host = authn.DefaultAuthKey // under which Docker keeps those of its own registry
	}
	select {
	case c.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("read registry credentials: another helper has not answered: %w", context.Cause(ctx))
	}
	type answer struct {
		auth authn.Authenticator
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		auth, err := readCredentials(c.cfg.DockerConfig, host)
		<-c.asking
		done <- answer{auth, err}
	}()
	select {
	case a := <-done:
		return a.auth, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read registry credentials for %s: %w", host, context.Cause(ctx))
	}
}

func readCredentials(dir, host string) (authn.Authenticator, error) {
	file, err := config.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("read registry credentials: %w", err)
	}
	a, err := file.GetAuthConfig(host)
	if err != nil {
		return nil, fmt.Errorf("read registry credentials for %s from %s: %w", host, file.Filename, trust.HelperFailure(err))
	}
	found := authn.AuthConfig{Username: a.Username, Password: a.Password, Auth: a.Auth, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
	if found == (authn.AuthConfig{}) {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(found), nil
}
