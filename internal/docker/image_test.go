package docker

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/lab"
)

// forget removes an image from the engine, so that the next pull is a pull.
func (r *rig) forget(t *testing.T, image string) {
	t.Helper()
	_, err := r.api.ImageRemove(context.WithoutCancel(t.Context()), image, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	if err != nil && !strings.Contains(err.Error(), "No such image") {
		t.Fatal(err)
	}
}

func digestOf(image string) string { return image[strings.IndexByte(image, '@')+1:] }

// TestPull goes through what a registry can do to a pull. One image, large enough to
// be interrupted, is pulled again and again.
func TestPull(t *testing.T) {
	r := newRig(t)
	reg := r.lab.Registry
	image := r.lab.Image(t, lab.Image{Name: "big", Tag: "v1", Pad: 1 << 20})
	other := r.lab.Image(t, lab.Image{Name: "big", Tag: "v2", Env: map[string]string{"VERSION": "v2"}})
	try := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() {
				if err := reg.Behave(); err != nil {
					t.Error(err)
				}
				r.forget(t, image)
			})
			test(t)
		})
	}
	pull := func() error { return r.Pull(t.Context(), image, nil) }
	present := func(t *testing.T, want bool) {
		t.Helper()
		got, err := r.Images(t.Context(), []string{image})
		if err != nil || got[image] != want {
			t.Errorf("present: %v %v, want %v", got, err, want)
		}
	}

	// Before any pull that succeeds: engines keep manifests by digest for a while, and
	// then need not ask for one.
	try("registry down", func(t *testing.T) {
		if err := reg.Down(); err != nil {
			t.Fatal(err)
		}
		wantFault(t, pull(), rollout.FaultRetry, release.PullFailed, "pull "+image, "refused")
	})
	try("registry in trouble", func(t *testing.T) {
		reg.Refuse(500)
		wantFault(t, pull(), rollout.FaultRetry, release.PullFailed)
	})
	try("forbidden", func(t *testing.T) {
		reg.Refuse(403)
		wantFault(t, pull(), rollout.FaultRetry, release.RegistryDenied)
	})
	try("no such digest", func(t *testing.T) {
		missing := image[:strings.IndexByte(image, '@')] + "@sha256:" + strings.Repeat("0a", 32)
		wantFault(t, r.Pull(t.Context(), missing, nil), rollout.FaultRetry, release.ImageMissing)
	})
	try("another manifest for the digest", func(t *testing.T) {
		reg.SwapManifest(digestOf(other), digestOf(image))
		wantFault(t, r.Pull(t.Context(), other, nil), rollout.FaultHold, release.ImageDigestMismatch)
		if there, err := r.Images(t.Context(), []string{other}); err != nil || there[other] {
			t.Errorf("present: %v %v", there, err)
		}
	})
	try("another layer for the digest", func(t *testing.T) {
		reg.CorruptBlobs(true)
		wantFault(t, pull(), rollout.FaultHold, release.ImageDigestMismatch)
		present(t, false)
	})
	try("no progress", func(t *testing.T) {
		reg.Stall(true)
		r.cfg.PullStall = time.Second
		defer func() { r.cfg.PullStall = DefaultPullStall }()
		err := pull()
		wantFault(t, err, rollout.FaultRetry, release.PullFailed, "no progress for 1s")
		if !errors.Is(err, errPullStalled) {
			t.Errorf("cause of %v is not errPullStalled", err)
		}
	})
	try("by digest, with progress", func(t *testing.T) {
		present(t, false)
		reg.Pace(2 << 20)
		var calls int
		var done, total int64
		err := r.Pull(t.Context(), image, func(d, n int64) {
			if d > n {
				t.Errorf("%d done of %d", d, n)
			}
			calls, done, total = calls+1, d, n
		})
		if err != nil {
			t.Fatal(err)
		}
		present(t, true)
		if calls < 2 || done != total || total < 1<<20 {
			t.Errorf("progress: %d calls, at last %d of %d", calls, done, total)
		}
	})
	try("already there, nobody is asked", func(t *testing.T) {
		if err := pull(); err != nil {
			t.Fatal(err)
		}
		before := reg.Requests()
		if err := reg.Down(); err != nil {
			t.Fatal(err)
		}
		if err := pull(); err != nil {
			t.Error(err)
		}
		if n := reg.Requests() - before; n != 0 {
			t.Errorf("the registry was asked %d times", n)
		}
	})
	try("slow is not stalled", func(t *testing.T) {
		reg.Pace(1 << 20)
		r.cfg.PullStall = time.Second
		defer func() { r.cfg.PullStall = DefaultPullStall }()
		if err := pull(); err != nil {
			t.Error(err)
		}
	})
	try("too slow as a whole", func(t *testing.T) {
		reg.Pace(64 << 10)
		r.cfg.PullTimeout = time.Second
		defer func() { r.cfg.PullTimeout = DefaultPullTimeout }()
		wantFault(t, pull(), rollout.FaultRetry, release.PullFailed, "too long")
	})
	try("cancelled by the caller", func(t *testing.T) {
		reg.Stall(true)
		superseded := errors.New("superseded")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(300*time.Millisecond, func() { cancel(superseded) })
		err := r.Pull(ctx, image, nil)
		var e *rollout.EffectError
		if !errors.Is(err, superseded) || errors.As(err, &e) {
			t.Errorf("got %v, want the caller's cause and no blame", err)
		}
	})
	try("credentials are read at each pull", func(t *testing.T) {
		reg.RequireLogin("deploy", "hunter2")
		wantFault(t, pull(), rollout.FaultRetry, release.RegistryDenied)
		login := func(password string) {
			auth := base64.StdEncoding.EncodeToString([]byte("deploy:" + password))
			text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, reg.Addr(), auth)
			if err := os.WriteFile(filepath.Join(r.cfg.DockerConfig, "config.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		login("wrong")
		wantFault(t, pull(), rollout.FaultRetry, release.RegistryDenied)
		login("hunter2")
		if err := pull(); err != nil {
			t.Error(err)
		}
	})
	try("credential helper", func(t *testing.T) {
		reg.RequireLogin("deploy", "hunter2")
		bin := t.TempDir()
		helper := "#!/bin/sh\nread host\n[ \"$host\" = " + reg.Addr() + " ] && echo '{\"Username\":\"deploy\",\"Secret\":\"hunter2\"}'\n"
		if err := os.WriteFile(filepath.Join(bin, "docker-credential-lab"), []byte(helper), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		text := fmt.Sprintf(`{"credHelpers":{%q:"lab"}}`, reg.Addr())
		if err := os.WriteFile(filepath.Join(r.cfg.DockerConfig, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := pull(); err != nil {
			t.Error(err)
		}
	})
	try("a credential store is asked at each pull", func(t *testing.T) {
		bin := t.TempDir()
		store := filepath.Join(bin, "store")
		program := "#!/bin/sh\n[ \"$1\" = get ] || exit 1\nread host\n[ \"$host\" = " + reg.Addr() + " ] && cat " + store + "\n"
		text := `{"credsStore":"file"}`
		if err := errors.Join(os.WriteFile(filepath.Join(bin, "docker-credential-file"), []byte(program), 0o755),
			os.WriteFile(filepath.Join(r.cfg.DockerConfig, "config.json"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		for _, password := range []string{"hunter2", "hunter3"} { // a short-lived token, and the next one
			reg.RequireLogin("deploy", password)
			if password != "hunter2" { // the first one is not enough any more
				r.forget(t, image)
				wantFault(t, pull(), rollout.FaultRetry, release.RegistryDenied)
			}
			if err := os.WriteFile(store, []byte(`{"Username":"deploy","Secret":"`+password+`"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := pull(); err != nil {
				t.Errorf("with %s: %v", password, err)
			}
		}
	})
	try("a credential helper that fails after it has told the password", func(t *testing.T) {
		reg.RequireLogin("deploy", "hunter2")
		bin := t.TempDir()
		text := fmt.Sprintf(`{"credHelpers":{%q:"torn"}}`, reg.Addr())
		if err := os.WriteFile(filepath.Join(r.cfg.DockerConfig, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		for printed, says := range map[string]string{`{"Username":"deploy","Secret":"hunter2"}`: "not repeated", "the vault is sealed": "the vault is sealed"} {
			program := "#!/bin/sh\necho '" + printed + "'\nexit 1\n"
			if err := os.WriteFile(filepath.Join(bin, "docker-credential-torn"), []byte(program), 0o755); err != nil {
				t.Fatal(err)
			}
			err := pull()
			wantFault(t, err, rollout.FaultRetry, release.RegistryDenied, says)
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("the error tells the password: %v", err)
			}
		}
	})
	try("a credential helper that hangs", func(t *testing.T) {
		reg.RequireLogin("deploy", "hunter2")
		bin := t.TempDir()
		asked, free := filepath.Join(bin, "asked"), filepath.Join(bin, "free")
		helper := "#!/bin/sh\necho once >>" + asked + "\nwhile [ ! -e " + free + " ]; do sleep 0.05; done\necho '{\"Username\":\"deploy\",\"Secret\":\"hunter2\"}'\n"
		if err := os.WriteFile(filepath.Join(bin, "docker-credential-slow"), []byte(helper), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		text := fmt.Sprintf(`{"credHelpers":{%q:"slow"}}`, reg.Addr())
		if err := os.WriteFile(filepath.Join(r.cfg.DockerConfig, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.helper = time.Second
		defer func() { r.helper = helperTimeout }()
		for range 3 {
			wantFault(t, pull(), rollout.FaultRetry, release.RegistryDenied, "did not answer")
		}
		if data, err := os.ReadFile(asked); err != nil || string(data) != "once\n" {
			t.Errorf("helpers were piled up: %q %v", data, err)
		}
		if err := os.WriteFile(free, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r.helper = helperTimeout
		if err := pull(); err != nil {
			t.Error(err)
		}
	})
	try("credentials that cannot be read", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(r.cfg.DockerConfig, "config.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantFault(t, pull(), rollout.FaultRetry, release.RegistryDenied, "config.json")
	})
	try("a tag is not a name", func(t *testing.T) {
		wantFault(t, r.Pull(t.Context(), reg.Addr()+"/big:v1", nil), rollout.FaultRevert, release.ImageMissing, "has no digest")
		if _, err := r.Images(t.Context(), []string{"big:v1"}); err == nil {
			t.Error("Images took a tag")
		}
	})
}

// TestPullClassification knows the phrases of engines and registries that no test
// here can provoke.
func TestPullClassification(t *testing.T) {
	for _, c := range []struct {
		text  string
		fault rollout.Fault
		code  release.Code
	}{
		{"failed to register layer: Error processing tar file(exit status 1): write /pad: no space left on device", rollout.FaultRetry, release.DiskFull},
		{"toomanyrequests: You have reached your pull rate limit", rollout.FaultRetry, release.PullFailed},
		{`Get "https://registry.example.com/v2/": dial tcp: lookup registry.example.com: no such host`, rollout.FaultRetry, release.PullFailed},
		{`Get "https://registry.example.com/v2/": x509: certificate signed by unknown authority`, rollout.FaultRetry, release.PullFailed},
		{"pull access denied for shop, repository does not exist or may require 'docker login': denied: requested access to the resource is denied", rollout.FaultRetry, release.RegistryDenied},
		{`Head "https://registry.example.com/v2/shop/manifests/1": no basic auth credentials`, rollout.FaultRetry, release.RegistryDenied},
		{"manifest for shop@sha256:00 not found: manifest unknown: manifest unknown", rollout.FaultRetry, release.ImageMissing},
		{"no matching manifest for linux/arm64/v8 in the manifest list entries", rollout.FaultRetry, release.ImageMissing},
		{"manifest verification failed for digest sha256:00", rollout.FaultHold, release.ImageDigestMismatch},
		{"filesystem layer verification failed for digest sha256:00", rollout.FaultHold, release.ImageDigestMismatch},
	} {
		wantFault(t, classifyPull(t.Context(), "pull x", errors.New(c.text)), c.fault, c.code)
	}
}
