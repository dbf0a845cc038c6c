package compose

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/test/fidelity"
)

// Reference is the Compose SDK on a bench.
type Reference struct {
	bench   *fidelity.Bench
	service api.Compose
}

// NewReference connects the SDK with the bench's engine.
func NewReference(b *fidelity.Bench) (*Reference, error) {
	cli, err := command.NewDockerCli(command.WithOutputStream(io.Discard), command.WithErrorStream(io.Discard))
	if err != nil {
		return nil, err
	}
	options := flags.NewClientOptions()
	options.Hosts = []string{b.Lab.Host}
	if err := cli.Initialize(options); err != nil {
		return nil, err
	}
	service, err := compose.NewComposeService(cli)
	return &Reference{b, service}, err
}

// Load reads a file of a case as the `docker compose` command does, from the case's
// directory.
func (r *Reference) Load(ctx context.Context, c fidelity.Case, file string) (*types.Project, error) {
	return r.service.LoadProject(ctx, api.ProjectLoadOptions{ProjectName: r.bench.Project(c), ConfigPaths: []string{c.File(file)}, WorkingDir: c.Dir, Offline: true})
}

// Create has Compose make the containers of a case, and describes what the engine has
// then.
func (r *Reference) Create(ctx context.Context, c fidelity.Case, project *types.Project) (fidelity.Made, error) {
	made := fidelity.NewMade()
	names := fidelity.Names{Networks: map[string]string{}, Volumes: map[string]string{}, Image: r.bench.Images.Name, Lab: r.bench.Lab.Prefix()}
	for name, s := range project.Services {
		repository, err := fidelity.Repository(s.Image)
		if err != nil {
			return made, err
		}
		// What is built here would be built by a pipeline.
		s.Build, s.PullPolicy = nil, ""
		if s.Image, err = r.bench.Images.Image(ctx, repository); err != nil {
			return made, err
		}
		project.Services[name] = s
	}
	for key, n := range project.Networks {
		if n.External {
			name, err := r.bench.Resource(ctx, "network", n.Name)
			if err != nil {
				return made, err
			}
			n.Name = name
			project.Networks[key] = n
			key = r.bench.External(name)
		}
		names.Networks[n.Name] = key
	}
	for key, v := range project.Volumes {
		if v.External {
			name, err := r.bench.Resource(ctx, "volume", v.Name)
			if err != nil {
				return made, err
			}
			v.Name = name
			project.Volumes[key] = v
			key = r.bench.External(name)
		} else if v.Name != project.Name+"_"+key {
			v.Name = r.bench.Named(v.Name)
			project.Volumes[key] = v
		}
		names.Volumes[v.Name] = key
	}
	if err := r.service.Create(ctx, project, api.CreateOptions{Recreate: api.RecreateForce, IgnoreOrphans: true}); err != nil {
		return made, fmt.Errorf("have Compose create %s: %w", c.Name, err)
	}
	list, err := r.bench.Lab.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", api.ProjectLabel+"="+project.Name)})
	if err != nil {
		return made, err
	}
	for _, item := range list.Items {
		have, err := r.bench.Lab.API.ContainerInspect(ctx, item.ID, client.ContainerInspectOptions{})
		if err != nil {
			return made, err
		}
		f, err := fidelity.Describe(have.Container, names)
		if err != nil {
			return made, err
		}
		labels := have.Container.Config.Labels
		f.DependsOn(labels[api.DependenciesLabel])
		made.Containers[labels[api.ServiceLabel]+"."+labels[api.ContainerNumberLabel]] = f
	}
	for name, key := range names.Networks {
		if strings.HasPrefix(key, "external ") {
			continue
		}
		if made.Networks[key], err = r.bench.Network(ctx, name); err != nil {
			return made, err
		}
	}
	for name, key := range names.Volumes {
		if strings.HasPrefix(key, "external ") {
			continue
		}
		if made.Volumes[key], err = r.bench.Volume(ctx, name); err != nil {
			return made, err
		}
	}
	return made, nil
}
