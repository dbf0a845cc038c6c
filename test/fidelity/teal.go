package fidelity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/docker"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/test/lab"
)

const (
	edgeKey      = "edge"
	sharedMark   = " (shared)"
	externalMark = "external "
)

// Bench is a place where both sides make what a case says.
type Bench struct {
	Lab    *lab.Lab
	Images *Images

	engine *docker.Engine
	edge   string
	subnet netip.Prefix
	files  string
}

// NewBench makes one in a lab. dir is for files of containers.
func NewBench(ctx context.Context, l *lab.Lab, dir string) (*Bench, error) {
	b := &Bench{Lab: l, Images: NewImages(l), edge: l.Name("edge"), files: filepath.Join(dir, "files")}
	var err error
	if b.subnet, err = l.Subnet(ctx); err != nil {
		return nil, err
	}
	b.engine, err = docker.Open(ctx, docker.Config{Host: l.Host, Instance: l.Name("agent"), EdgeNetwork: b.edge, EdgeSubnet: b.subnet,
		DockerConfig: dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	if err := b.engine.EnsureEdge(ctx); err != nil {
		return nil, errors.Join(err, b.engine.Close())
	}
	return b, nil
}

// Close lets go of the engine; the lab takes away what was made.
func (b *Bench) Close() error { return b.engine.Close() }

// Project is a name for a case's Compose project.
func (b *Bench) Project(c Case) string { return b.Lab.Name("ref", c.App) }

// Resource is the engine's name of something that a case calls external; it is made if
// it is not there.
func (b *Bench) Resource(ctx context.Context, kind, name string) (string, error) {
	name = b.Lab.Name("external", name)
	var err error
	switch kind {
	case "network":
		if _, err = b.Lab.API.NetworkInspect(ctx, name, client.NetworkInspectOptions{}); errdefs.IsNotFound(err) {
			_, err = b.Lab.API.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: b.Lab.Labels(nil)})
		}
	default:
		_, err = b.Lab.API.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Labels: b.Lab.Labels(nil)})
	}
	return name, err
}

// Named is the engine's name of a volume that has one of its own in the file.
func (b *Bench) Named(name string) string { return b.Lab.Name("named", name) }

// Repository is an image's name without tag and digest, in full.
func Repository(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("read image %q: %w", ref, err)
	}
	return named.Name(), nil
}

// Planned is what teal makes of a case: the shared services first.
type Planned struct {
	Sets    []release.SetSpec
	Classes map[string]release.Class
	names   []Names
	dir     string
}

// Plan turns a case's release into specifications, with the stand-in images.
func (b *Bench) Plan(ctx context.Context, c Case, r *release.Release) (Planned, error) {
	for i := range r.Networks {
		if n := &r.Networks[i]; n.Config.External {
			name, err := b.Resource(ctx, "network", n.Config.Name)
			if err != nil {
				return Planned{}, err
			}
			n.Config.Name = name
		}
	}
	for i := range r.Volumes {
		v := &r.Volumes[i]
		if v.Config.External {
			name, err := b.Resource(ctx, "volume", v.Config.Name)
			if err != nil {
				return Planned{}, err
			}
			v.Config.Name = name
		} else if v.Config.Name != r.App+"_"+v.Name {
			v.Config.Name = b.Named(v.Config.Name)
		}
	}
	host := release.Host{Name: "host-1", Instance: b.Lab.Name("agent"), Prefix: b.Lab.Prefix(), EdgeNetwork: b.edge, Platform: "linux/amd64", Files: b.files, Given: release.Given{Secrets: map[string]string{}}}
	for _, s := range r.Services {
		for _, use := range s.Files {
			if use.Kind == release.SecretFile { // the host knows them apart by a sum
				sum := sha256.Sum256([]byte(use.Source))
				host.Given.Secrets[use.Source] = hex.EncodeToString(sum[:16])
			}
		}
	}
	target := release.Target{Digest: r.Digest, Inputs: "0"}
	next := b.subnet.Addr().Next() // the bridge's own
	address := func(string, int) netip.Addr {
		next = next.Next()
		return next
	}
	shared, err := release.PlanShared(r, host, target)
	if err != nil {
		return Planned{}, err
	}
	green, err := release.Plan(r, host, release.Green, target, "1", address)
	if err != nil {
		return Planned{}, err
	}
	p := Planned{Classes: map[string]release.Class{}, dir: c.Dir}
	for _, set := range []release.SetSpec{shared, green} {
		if len(set.Containers) == 0 {
			continue
		}
		for i := range set.Containers {
			spec := &set.Containers[i]
			p.Classes[spec.Service] = spec.Class
			repository, err := Repository(spec.Image)
			if err != nil {
				return Planned{}, err
			}
			if spec.Image, err = b.Images.Image(ctx, repository); err != nil {
				return Planned{}, err
			}
		}
		p.Sets, p.names = append(p.Sets, set), append(p.names, b.names(set))
	}
	return p, nil
}

// names are those of a set's networks and volumes in the case's file.
func (b *Bench) names(set release.SetSpec) Names {
	n := Names{Networks: map[string]string{b.edge: edgeKey}, Volumes: map[string]string{}, Image: b.Images.Name, Lab: b.Lab.Prefix()}
	for _, s := range set.Networks {
		key := s.Labels["com.docker.compose.network"]
		switch {
		case s.External:
			key = b.External(s.Name)
		case s.Labels["com.docker.compose.project"] != set.Project:
			key += sharedMark
		}
		n.Networks[s.Name] = key
	}
	for _, s := range set.Volumes {
		key := s.Labels["com.docker.compose.volume"]
		if s.External {
			key = b.External(s.Name)
		}
		n.Volumes[s.Name] = key
	}
	return n
}

// External is the key of something external.
func (b *Bench) External(name string) string {
	return externalMark + strings.TrimPrefix(name, b.Lab.Name("external")+"-")
}

// Create makes the containers, without starting them, and describes what the engine
// has then.
func (b *Bench) Create(ctx context.Context, p Planned) (Made, error) {
	made := NewMade()
	var err error
	for i, set := range p.Sets {
		for _, f := range set.Files {
			if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
				return made, err
			}
			content := []byte(f.Content)
			if f.Kind == release.SecretFile { // the host's to know; here the one that Compose reads
				if content, err = os.ReadFile(filepath.Join(p.dir, "secrets", f.Name)); err != nil {
					return made, err
				}
			}
			if err := os.WriteFile(f.Path, content, os.FileMode(f.Mode)); err != nil && !errors.Is(err, os.ErrPermission) {
				return made, err
			}
		}
		if err := b.engine.Create(ctx, set, "no"); err != nil {
			return made, err
		}
		for _, spec := range set.Containers {
			have, err := b.Lab.API.ContainerInspect(ctx, spec.Name, client.ContainerInspectOptions{})
			if err != nil {
				return made, err
			}
			f, err := Describe(have.Container, p.names[i])
			if err != nil {
				return made, err
			}
			for _, d := range spec.DependsOn {
				f["DependsOn."+d.Service] = quote(d.Condition)
			}
			made.Containers[spec.Service+"."+have.Container.Config.Labels["com.docker.compose.container-number"]] = f
		}
		for _, s := range set.Networks {
			key := p.names[i].Networks[s.Name]
			if s.External {
				continue
			}
			if !strings.HasSuffix(key, sharedMark) && set.ID.Colour == release.Shared {
				key += sharedMark
			}
			if made.Networks[key], err = b.Network(ctx, s.Name); err != nil {
				return made, err
			}
		}
		for _, s := range set.Volumes {
			if s.External {
				continue
			}
			if made.Volumes[p.names[i].Volumes[s.Name]], err = b.Volume(ctx, s.Name); err != nil {
				return made, err
			}
		}
	}
	return made, nil
}
