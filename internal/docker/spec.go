package docker

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/tealops/teal/internal/release"
)

// apiSubpath is the first API version that mounts a part of a volume.
const apiSubpath = "1.45"

// createOptions puts a specification into the engine's words, field by field. Only
// the first network is in it: engines before API 1.44 take one at create, the others
// are attached before the start. An error names what this engine cannot carry out.
func createOptions(s release.ContainerSpec, restart, api string) (client.ContainerCreateOptions, error) {
	var none client.ContainerCreateOptions
	dns, err := addresses(s.DNS)
	if err != nil {
		return none, err
	}
	mounts, err := mounts(s.Mounts, api)
	if err != nil {
		return none, err
	}
	host := &container.HostConfig{
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyMode(restart)},
		NetworkMode:    network.NetworkNone,
		LogConfig:      container.LogConfig{Type: s.Log.Driver, Config: s.Log.Options},
		CapAdd:         s.CapAdd,
		CapDrop:        s.CapDrop,
		DNS:            dns,
		DNSOptions:     s.DNSOptions,
		DNSSearch:      s.DNSSearch,
		ExtraHosts:     s.ExtraHosts,
		GroupAdd:       s.GroupAdd,
		IpcMode:        container.IpcMode(s.IpcMode),
		PidMode:        container.PidMode(s.PidMode),
		UTSMode:        container.UTSMode(s.UTSMode),
		UsernsMode:     container.UsernsMode(s.UsernsMode),
		Privileged:     s.Privileged,
		ReadonlyRootfs: s.ReadOnly,
		SecurityOpt:    s.SecurityOpt,
		Tmpfs:          s.Tmpfs,
		ShmSize:        s.ShmSize,
		Sysctls:        s.Sysctls,
		Runtime:        s.Runtime,
		OomScoreAdj:    s.Resources.OOMScoreAdj,
		Init:           s.Init,
		Mounts:         mounts,
		Resources:      resources(s),
	}
	options := client.ContainerCreateOptions{
		Name: s.Name,
		Config: &container.Config{
			Hostname:  s.Hostname,
			User:      s.User,
			Tty:       s.TTY,
			OpenStdin: s.OpenStdin,
			// As Compose has it; whoever attaches says for himself what he wants to see.
			AttachStdout: true,
			AttachStderr: true,
			Env:          s.Env,
			Cmd:          s.Command,
			Entrypoint:   s.Entrypoint,
			Healthcheck:  healthcheck(s.Health),
			Image:        s.Image,
			WorkingDir:   s.WorkingDir,
			Labels:       s.Labels,
			StopSignal:   s.StopSignal,
			StopTimeout:  seconds(s.StopGrace),
		},
		HostConfig: host,
	}
	if len(s.Endpoints) > 0 {
		p := s.Endpoints[0]
		host.NetworkMode = container.NetworkMode(p.Network)
		options.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{p.Network: endpoint(p)}}
	}
	return options, nil
}

func endpoint(p release.Endpoint) *network.EndpointSettings {
	settings := &network.EndpointSettings{Aliases: p.Aliases}
	if p.IPv4.IsValid() {
		settings.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: p.IPv4}
	}
	return settings
}

func resources(s release.ContainerSpec) container.Resources {
	r := container.Resources{
		NanoCPUs:          s.Resources.NanoCPUs,
		CPUShares:         s.Resources.CPUShares,
		CpusetCpus:        s.Resources.CPUSet,
		Memory:            s.Resources.Memory,
		MemoryReservation: s.Resources.MemoryReservation,
		MemorySwap:        s.Resources.MemorySwap,
		CgroupParent:      s.CgroupParent,
	}
	// nil is the engine's default; zero would say "none" for these two.
	if s.Resources.PidsLimit != 0 {
		r.PidsLimit = &s.Resources.PidsLimit
	}
	if s.Resources.OOMKillDisable {
		r.OomKillDisable = &s.Resources.OOMKillDisable
	}
	for _, d := range s.Devices {
		r.Devices = append(r.Devices, container.DeviceMapping{PathOnHost: d.Source, PathInContainer: d.Target, CgroupPermissions: d.Permissions})
	}
	for _, u := range s.Ulimits {
		r.Ulimits = append(r.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	return r
}

func mounts(specs []release.Mount, api string) ([]mount.Mount, error) {
	var out []mount.Mount
	for _, m := range specs {
		o := mount.Mount{Type: mount.Type(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		switch o.Type {
		case mount.TypeVolume:
			if m.Subpath != "" && versions.LessThan(api, apiSubpath) {
				// An older engine would mount the whole volume without a word.
				return nil, fmt.Errorf("mount %s: subpath %q needs an engine with API %s, this one has %s", m.Target, m.Subpath, apiSubpath, api)
			}
			if m.NoCopy || m.Subpath != "" {
				o.VolumeOptions = &mount.VolumeOptions{NoCopy: m.NoCopy, Subpath: m.Subpath}
			}
		case mount.TypeBind:
			if m.Propagation != "" {
				o.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(m.Propagation)}
			}
		case release.MountFile:
			o.Type = mount.TypeBind
		case mount.TypeTmpfs:
			if m.TmpfsSize != 0 || m.TmpfsMode != 0 {
				o.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: m.TmpfsSize, Mode: os.FileMode(m.TmpfsMode)}
			}
		default:
			return nil, fmt.Errorf("mount %s: type %q is not volume, bind or tmpfs", m.Target, m.Type)
		}
		out = append(out, o)
	}
	return out, nil
}

func healthcheck(h *release.HealthSpec) *container.HealthConfig {
	if h == nil {
		return nil // the image's own
	}
	return &container.HealthConfig{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
}

// seconds rounds a stop timeout up to the engine's unit: a program gets no less time
// than was written. Zero is none at all; Plan fills in the default.
func seconds(d time.Duration) *int {
	n := int((max(d, 0) + time.Second - 1) / time.Second)
	return &n
}

func addresses(texts []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, t := range texts {
		a, err := netip.ParseAddr(t)
		if err != nil {
			return nil, fmt.Errorf("dns: %w", err)
		}
		out = append(out, a)
	}
	return out, nil
}
