package lab

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
)

// Image says what to build.
type Image struct {
	// Program is the import path of a Go program; default App.
	Program string
	// Name is the repository in the lab's registry, for example shop/backend; default
	// the last element of Program.
	Name string
	// Tag is the tag it is pushed under, beside its digest; default latest.
	Tag string
	// Env is the image's environment: what tells versions of one program apart.
	Env map[string]string
	// Args are the program's default arguments.
	Args []string
	// Pad is the size in bytes of a further file that does not compress, for pulls that
	// take time.
	Pad int
}

// Build compiles the program statically, has the engine build an image from it FROM
// scratch, pushes that to the lab's registry, removes it from the engine, so that a
// pull is a pull, and returns its reference by digest.
func (l *Lab) Build(ctx context.Context, i Image) (ref string, err error) {
	i.Program = cmp.Or(i.Program, App)
	i.Name = cmp.Or(i.Name, path.Base(i.Program))
	repository := l.Registry.Addr() + "/" + i.Name
	tag := repository + ":" + cmp.Or(i.Tag, "latest")
	binary, err := l.compile(ctx, i.Program)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", i.Name, err)
	}
	dir, err := i.context(binary)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", i.Name, err)
	}
	began := time.Now()
	built, err := l.API.ImageBuild(ctx, dir, client.ImageBuildOptions{
		Tags: []string{tag}, Remove: true, ForceRemove: true, NetworkMode: "none", Labels: l.Labels(nil), Version: build.BuilderV1,
	})
	if err != nil {
		return "", fmt.Errorf("build %s: %w", i.Name, err)
	}
	err = follow(built.Body, nil)
	built.Body.Close()
	if err != nil {
		return "", fmt.Errorf("build %s: %w", i.Name, err)
	}
	digest, err := l.push(ctx, tag)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", tag, err)
	}
	if _, err := l.API.ImageRemove(ctx, tag, client.ImageRemoveOptions{Force: true, PruneChildren: true}); err != nil {
		return "", fmt.Errorf("remove %s from the engine: %w", tag, err)
	}
	l.logf("lab: built %s:%s in %s", i.Name, cmp.Or(i.Tag, "latest"), time.Since(began).Round(time.Millisecond))
	return repository + "@" + digest, nil
}

func (l *Lab) push(ctx context.Context, tag string) (digest string, err error) {
	user, password := l.Registry.login()
	auth, err := authconfig.Encode(registry.AuthConfig{Username: user, Password: password})
	if err != nil {
		return "", err
	}
	stream, err := l.API.ImagePush(ctx, tag, client.ImagePushOptions{RegistryAuth: auth})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	err = follow(stream, func(m jsonstream.Message) {
		var pushed struct{ Digest string }
		if m.Aux != nil && json.Unmarshal(*m.Aux, &pushed) == nil && pushed.Digest != "" {
			digest = pushed.Digest
		}
	})
	if err == nil && digest == "" {
		err = errors.New("the engine named no digest")
	}
	return digest, err
}

// follow reads a stream of messages to its end; an error in it is an error.
func follow(r io.Reader, each func(jsonstream.Message)) error {
	for d := json.NewDecoder(r); ; {
		var m jsonstream.Message
		if err := d.Decode(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if m.Error != nil {
			return m.Error
		}
		if each != nil {
			each(m)
		}
	}
}

// compile builds a program once for the lab.
func (l *Lab) compile(ctx context.Context, program string) (file string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if file := l.programs[program]; file != "" {
		return file, nil
	}
	file = l.file(strings.ReplaceAll(program, "/", "_"))
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, program)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile %s: %w\n%s", program, err, out)
	}
	l.programs[program] = file
	return file, nil
}

// context is the tar that the engine builds from. Equal images have equal tars.
func (i Image) context(binary string) (io.Reader, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var dockerfile strings.Builder
	dockerfile.WriteString("FROM scratch\nCOPY app pad /\n")
	for _, name := range slices.Sorted(maps.Keys(i.Env)) {
		fmt.Fprintf(&dockerfile, "ENV %s=%q\n", name, i.Env[name])
	}
	args, err := json.Marshal(append([]string{"/app"}, i.Args...))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&dockerfile, "ENTRYPOINT %s\n", args)

	pad := make([]byte, i.Pad)
	random := rand.New(rand.NewPCG(uint64(i.Pad), 1))
	for n := range pad {
		pad[n] = byte(random.Uint32())
	}
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, f := range []struct {
		name string
		mode int64
		data []byte
	}{{"Dockerfile", 0o644, []byte(dockerfile.String())}, {"app", 0o755, program}, {"pad", 0o644, pad}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	return &buffer, w.Close()
}
