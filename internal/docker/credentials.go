package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"

	"github.com/tealops/teal/internal/trust"
)

// helperTimeout bounds a credential helper, which is a program of somebody else's.
const helperTimeout = 30 * time.Second

// dockerHub is the name under which credentials of Docker's own registry are kept.
const dockerHub = "https://index.docker.io/v1/"

// credentials returns what the engine needs to log in to the image's registry, in
// the form of its X-Registry-Auth header. They are read at each pull, so that
// `docker login` and short-lived tokens of helpers work without a restart.
// Without credentials for the registry the header is that of a stranger.
func (e *Engine) credentials(ctx context.Context, image reference.Named) (string, error) {
	host := reference.Domain(image)
	if host == "docker.io" {
		host = dockerHub
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.helper, fmt.Errorf("the credential helper for %s did not answer in %s", host, e.helper))
	defer cancel()
	// One at a time: a helper that hangs leaves one goroutine and one process behind,
	// not one more with each attempt.
	select {
	case e.asking <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	type answer struct {
		header string
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		header, err := readCredentials(e.cfg.DockerConfig, host)
		<-e.asking
		done <- answer{header, err}
	}()
	select {
	case a := <-done:
		return a.header, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func readCredentials(dir, host string) (string, error) {
	file, err := config.Load(dir)
	if err != nil {
		return "", fmt.Errorf("read registry credentials: %w", err)
	}
	auth, err := file.GetAuthConfig(host)
	if err != nil {
		return "", fmt.Errorf("read registry credentials for %s from %s: %w", host, file.Filename, trust.HelperFailure(err))
	}
	return authconfig.Encode(registry.AuthConfig{
		Username: auth.Username, Password: auth.Password, Auth: auth.Auth, ServerAddress: auth.ServerAddress,
		IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken,
	})
}
