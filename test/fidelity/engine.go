package fidelity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Network describes a network that a side made.
func (b *Bench) Network(ctx context.Context, name string) (Fields, error) {
	r, err := b.Lab.API.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err != nil {
		return nil, err
	}
	n, f := r.Network, Fields{}
	f.flatten("", map[string]any{"Driver": n.Driver, "Internal": n.Internal, "EnableIPv6": n.EnableIPv6, "Attachable": n.Attachable})
	for k, v := range n.Options {
		f["Options."+k] = quote(v)
	}
	for k, v := range n.Labels {
		f[label+k] = quote(v)
	}
	f.steady(b.Lab.Prefix())
	return f, nil
}

// Volume describes a volume that a side made.
func (b *Bench) Volume(ctx context.Context, name string) (Fields, error) {
	r, err := b.Lab.API.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	if err != nil {
		return nil, err
	}
	f := Fields{"Driver": quote(r.Volume.Driver)}
	for k, v := range r.Volume.Options {
		f["Options."+k] = quote(v)
	}
	for k, v := range r.Volume.Labels {
		f[label+k] = quote(v)
	}
	f.steady(b.Lab.Prefix())
	return f, nil
}

// Bare describes a container made of an image alone, on no network of its own: what the
// engine and the image bring.
func (b *Bench) Bare(ctx context.Context, image string) (Fields, error) {
	made, err := b.Lab.API.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{Image: image, Labels: b.Lab.Labels(nil)}, HostConfig: &container.HostConfig{},
	})
	if err != nil {
		return nil, err
	}
	have, err := b.Lab.API.ContainerInspect(ctx, made.ID, client.ContainerInspectOptions{})
	if err == nil {
		_, err = b.Lab.API.ContainerRemove(ctx, made.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	if err != nil {
		return nil, err
	}
	f, err := Describe(have.Container, Names{Image: b.Images.Name, Lab: b.Lab.Prefix()})
	for _, key := range []string{"HostConfig.NetworkMode", "Networks.default", "Networks.bridge", "Config.Image"} {
		delete(f, key)
	}
	return f, err
}

// Asked is what was made without what each container's image and the engine bring.
func (b *Bench) Asked(ctx context.Context, m Made) (Made, error) {
	out := Made{map[string]Fields{}, m.Networks, m.Volumes}
	bare := map[string]Fields{}
	for name, f := range m.Containers {
		image := f["Config.Image"]
		if bare[image] == nil {
			ref, err := b.Images.Image(ctx, image[1:len(image)-1])
			if err != nil {
				return out, err
			}
			if bare[image], err = b.Bare(ctx, ref); err != nil {
				return out, err
			}
		}
		out.Containers[name] = f.Beyond(bare[image])
	}
	return out, nil
}

// Start starts what was created, in the order of the sets, and sees that it runs, or
// ran to its end if others wait for that.
func (b *Bench) Start(ctx context.Context, p Planned) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("not started within two minutes"))
	defer cancel()
	for _, set := range p.Sets {
		if err := b.engine.Start(ctx, set, nil); err != nil {
			return err
		}
		for _, spec := range set.Containers {
			have, err := b.Lab.API.ContainerInspect(ctx, spec.Name, client.ContainerInspectOptions{})
			if err != nil {
				return err
			}
			if s := have.Container.State; !s.Running && (s.Status != container.StateExited || s.ExitCode != 0) {
				return fmt.Errorf("%s is %s with code %d: %s", spec.Service, s.Status, s.ExitCode, s.Error)
			}
		}
	}
	return nil
}

// Projects are those of what teal made.
func (p Planned) Projects() (out []string) {
	for _, set := range p.Sets {
		out = append(out, set.Project)
		for _, v := range set.Volumes {
			if project := v.Labels["com.docker.compose.project"]; project != "" && project != set.Project {
				out = append(out, project)
			}
		}
		for _, n := range set.Networks {
			if project := n.Labels["com.docker.compose.project"]; project != "" && project != set.Project {
				out = append(out, project)
			}
		}
	}
	return out
}

// Clean removes everything of some projects: the engine has room for few networks.
func (b *Bench) Clean(projects ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var errs []error
	for _, project := range projects {
		of := make(client.Filters).Add("label", "com.docker.compose.project="+project)
		containers, err := b.Lab.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: of})
		errs = append(errs, err)
		for _, c := range containers.Items {
			_, err := b.Lab.API.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			errs = append(errs, err)
		}
	}
	// Then what the containers of all projects used.
	for _, project := range projects {
		networks, err := b.Lab.API.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("label", "com.docker.compose.project="+project)})
		errs = append(errs, err)
		for _, n := range networks.Items {
			_, err := b.Lab.API.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
			errs = append(errs, err)
		}
		volumes, err := b.Lab.API.VolumeList(ctx, client.VolumeListOptions{Filters: make(client.Filters).Add("label", "com.docker.compose.project="+project)})
		errs = append(errs, err)
		for _, v := range volumes.Items {
			_, err := b.Lab.API.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
