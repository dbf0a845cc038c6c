package release

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Plan is the exact specification of a release's swapped services in one colour on a
// host. It is pure: equal arguments give equal specifications. address gives the fixed
// address on the edge network of the n-th replica (from 1) of a routed service; the
// zero address leaves it to the engine. token is the fencing token of the turn, "" for
// none.
//
// An error says that the arguments do not fit together; a Release that Parse returned
// without problems can be planned on every host.
func Plan(r *Release, h Host, colour Colour, target Target, token string, address func(service string, n int) netip.Addr) (SetSpec, error) {
	if colour != Blue && colour != Green {
		return SetSpec{}, fmt.Errorf("plan %s: %q is not a colour", r.App, colour)
	}
	return plan{r, h, colour, target, token, address}.set()
}

// PlanShared is the exact specification of a release's shared services on a host. What
// did not change between two releases has the same names and the same LabelSpec.
func PlanShared(r *Release, h Host, target Target) (SetSpec, error) {
	return plan{r, h, Shared, target, "", nil}.set()
}

type plan struct {
	*Release
	host    Host
	colour  Colour
	target  Target
	token   string
	address func(service string, n int) netip.Addr
}

// base is the name that the projects of both colours begin with.
func (p plan) base() string { return p.host.Prefix + p.App }

// origin is the name under which what outlives the colours is kept: the app's own, or the
// one that it had when that was made here.
func (p plan) origin() string { return cmp.Or(p.host.Origin, p.App) }

// home is the project of the shared services; the volumes of both colours carry its name
// too.
func (p plan) home() string { return p.host.Prefix + p.origin() }

// owner is the app that the set's objects are labelled with.
func (p plan) owner(colour Colour) string {
	if colour == Shared {
		return p.origin()
	}
	return p.App
}

func (p plan) project() string {
	if p.colour == Shared {
		return p.home()
	}
	return p.base() + "-" + string(p.colour)
}

func (p plan) set() (SetSpec, error) {
	set := SetSpec{App: p.owner(p.colour), ID: SetID{Colour: p.colour, Target: p.target}, Project: p.project()}
	if p.host.Prefix != "" && !strings.HasSuffix(p.host.Prefix, "-") {
		return SetSpec{}, fmt.Errorf("plan %s: the prefix %q does not end in a dash", p.App, p.host.Prefix)
	}
	services, err := p.ordered()
	if err != nil {
		return SetSpec{}, err
	}
	for _, s := range services {
		for n := 1; n <= max(1, s.Replicas); n++ {
			c, err := p.container(s, n)
			if err != nil {
				return SetSpec{}, fmt.Errorf("plan %s: %s: %w", p.App, s.Name, err)
			}
			set.Containers = append(set.Containers, c)
		}
	}
	if p.colour != Shared {
		for _, j := range p.Jobs {
			c, err := p.job(j)
			if err != nil {
				return SetSpec{}, fmt.Errorf("plan %s: job %s: %w", p.App, j.Name, err)
			}
			set.Jobs = append(set.Jobs, c)
		}
	}
	set.Networks, set.Volumes = p.networkSpecs(services), p.volumeSpecs(services)
	set.Files, err = p.fileSpecs(services)
	return set, err
}

// ordered is the set's services, each behind those of the set that it depends on, by
// name where that leaves a choice.
func (p plan) ordered() ([]Service, error) {
	left := map[string]Service{}
	for _, s := range p.Services {
		if s.Shared == (p.colour == Shared) {
			left[s.Name] = s
		}
	}
	var out []Service
	for len(left) > 0 {
		before := len(left)
		for _, name := range sorted(left) {
			waits := false
			for on := range left[name].Config.DependsOn {
				_, has := left[on]
				waits = waits || has
			}
			if !waits {
				out = append(out, left[name])
				delete(left, name)
				break
			}
		}
		if len(left) == before {
			return nil, errors.New("services depend on each other in a circle: " + strings.Join(sorted(left), ", "))
		}
	}
	return out, nil
}

// containerName ends in 8 hex digits of the target for what is swapped, so that a
// stopped proven set and a newer one fit in one colour. A shared service's ends in 8
// hex digits of the app and the service: it stays the same container across releases,
// and no other app's container has its name (app "shop" with service "api-db" beside
// app "shop-api" with service "db").
func (p plan) containerName(service string, n int) string {
	end := p.target.Short()
	if p.colour == Shared {
		end = short(p.origin(), service)
	}
	return fmt.Sprintf("%s-%s-%d-%s", p.project(), service, n, end)
}

// labels are those that every object of the set carries: whose it is, and Compose's own
// project.
func (p plan) labels(project string, colour Colour, more map[string]string) map[string]string {
	l := map[string]string{
		LabelInstance: p.host.Instance, LabelApp: p.owner(colour), LabelEnv: p.Environment, LabelHost: p.host.Name,
		"com.docker.compose.project": project,
	}
	if colour != Shared {
		l[LabelColour] = string(colour)
	}
	maps.Copy(l, more)
	return l
}

// networkName is the engine's name of one of the app's networks in a project.
func networkName(project string, n Network) string {
	if n.Config.External {
		return n.Config.Name
	}
	return project + "_" + n.Name
}

// sharedOn reports whether a shared service is on the network, so that it exists beside
// the colours' own.
func (p plan) sharedOn(network string) bool {
	return slices.ContainsFunc(p.Services, func(s Service) bool {
		_, on := s.Config.Networks[network]
		return s.Shared && on
	})
}

// networkSpecs are the networks that the services join, by name. The shared network is
// in the colours' sets too: a set can then be made whatever became of the shared one.
func (p plan) networkSpecs(services []Service) []NetworkSpec {
	byName := map[string]NetworkSpec{}
	add := func(n Network, project string, colour Colour) {
		s := NetworkSpec{Name: networkName(project, n), External: bool(n.Config.External)}
		if !s.External {
			s.Driver, s.Internal, s.IPv6 = n.Config.Driver, n.Config.Internal, n.Config.EnableIPv6 != nil && *n.Config.EnableIPv6
			if s.Driver == "" {
				s.Driver = "bridge"
			}
			s.Options = maps.Clone(n.Config.DriverOpts)
			s.Labels = p.labels(project, colour, map[string]string{"com.docker.compose.network": n.Name})
			for k, v := range n.Config.Labels {
				s.Labels[k] = v
			}
		}
		byName[s.Name] = s
	}
	for _, n := range p.Networks {
		joined := slices.ContainsFunc(services, func(s Service) bool { _, on := s.Config.Networks[n.Name]; return on })
		if !joined {
			continue
		}
		add(n, p.project(), p.colour)
		if p.colour != Shared && !bool(n.Config.External) && p.sharedOn(n.Name) {
			add(n, p.home(), Shared)
		}
	}
	var out []NetworkSpec
	for _, name := range sorted(byName) {
		out = append(out, byName[name])
	}
	return out
}

// volumeName is the engine's name of one of the app's volumes, the same in both
// colours.
func (p plan) volumeName(v Volume) string {
	if own := p.App + "_" + v.Name; !bool(v.Config.External) && (v.Config.Name == "" || v.Config.Name == own) {
		return p.home() + "_" + v.Name
	}
	return v.Config.Name
}

// volumeSpecs are the volumes that the services mount. Their labels name no colour and
// no release: a volume outlives them all.
func (p plan) volumeSpecs(services []Service) []VolumeSpec {
	byName := map[string]VolumeSpec{}
	for _, v := range p.Volumes {
		mounted := slices.ContainsFunc(services, func(s Service) bool {
			for _, m := range s.Config.Volumes {
				if m.Type == "volume" && m.Source == v.Name {
					return true
				}
			}
			return false
		})
		if !mounted {
			continue
		}
		s := VolumeSpec{Name: p.volumeName(v), External: bool(v.Config.External)}
		if !s.External {
			s.Driver, s.Options = v.Config.Driver, maps.Clone(v.Config.DriverOpts)
			s.Labels = p.labels(p.home(), Shared, map[string]string{"com.docker.compose.volume": v.Name})
			for k, value := range v.Config.Labels {
				s.Labels[k] = value
			}
		}
		byName[s.Name] = s
	}
	var out []VolumeSpec
	for _, name := range sorted(byName) {
		out = append(out, byName[name])
	}
	return out
}

func (p plan) volume(name string) (Volume, bool) {
	i := slices.IndexFunc(p.Volumes, func(v Volume) bool { return v.Name == name })
	if i < 0 {
		return Volume{}, false
	}
	return p.Volumes[i], true
}

// containerLabels are the user's, teal's and Compose's.
func (p plan) containerLabels(s Service, n int) map[string]string {
	l := p.labels(p.project(), p.colour, map[string]string{
		LabelRelease: string(p.target.Digest), LabelInputs: p.target.Inputs, LabelService: s.Name,
		"com.docker.compose.service": s.Name, "com.docker.compose.container-number": strconv.Itoa(n), "com.docker.compose.oneoff": "False",
	})
	if p.token != "" {
		l[LabelToken] = p.token
	}
	for k, v := range s.Config.Labels {
		l[k] = v
	}
	return l
}
