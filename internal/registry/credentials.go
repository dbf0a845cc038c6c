package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
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
		return nil, fmt.Errorf("read registry credentials for %s from %s: %w", host, file.Filename, unsaid(err))
	}
	found := authn.AuthConfig{Username: a.Username, Password: a.Password, Auth: a.Auth, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
	if found == (authn.AuthConfig{}) {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(found), nil
}

// unsaid is a helper's failure without what it printed when that may be the credentials
// themselves: the error is shown, logged and kept in the journal. A plain message of a
// helper stays, in part.
func unsaid(err error) error {
	const most = 300
	said, printed, found := strings.Cut(err.Error(), ", out: `")
	switch {
	case !found:
		return err
	case strings.ContainsAny(printed, "{}\""):
		return errors.New(said + "; what it printed is not repeated here, for it may hold the password")
	case len(printed) > most:
		printed = printed[:most] + "…`"
	}
	return fmt.Errorf("%s; it said %q", said, strings.TrimSuffix(printed, "`"))
}
