package docker

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// optionICC is the bridge driver's switch for traffic between containers.
const optionICC = "com.docker.network.bridge.enable_icc"

// EnsureEdge makes the edge network if it is not there: a bridge with the
// configured subnet, so that addresses can be fixed, and without traffic between
// containers, so that apps reach each other only through the proxy. One that exists
// otherwise is edge_network_mismatch, another agent's is name_taken (both hold).
func (e *Engine) EnsureEdge(ctx context.Context) error {
	name, subnet := e.cfg.EdgeNetwork, e.cfg.EdgeSubnet
	what := "make the edge network " + name
	if !subnet.IsValid() || !subnet.Addr().Is4() || subnet.Bits() > 29 {
		return hold(release.EdgeNetworkMismatch, what,
			fmt.Errorf("subnet %q is not an IPv4 prefix of /29 or wider; set edge.subnet in agent.yaml, for example 10.213.0.0/24", subnet))
	}
	e.making.Lock()
	defer e.making.Unlock()
	have, err := e.makeNetwork(ctx, name, client.NetworkCreateOptions{
		Driver:  "bridge",
		IPAM:    &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet.Masked()}}},
		Options: map[string]string{optionICC: "false"},
		Labels:  map[string]string{release.LabelInstance: e.cfg.Instance},
	})
	if says(err, "overlaps") {
		return hold(release.EdgeNetworkMismatch, what,
			fmt.Errorf("%s is in use by another network of this host; set another edge.subnet in agent.yaml: %w", subnet.Masked(), err))
	}
	if err != nil {
		return classify(ctx, what, err)
	}
	if err := e.ours("network", name, have.Labels); err != nil {
		return err
	}
	if got := subnets(have); len(got) != 1 || got[0] != subnet.Masked() {
		return hold(release.EdgeNetworkMismatch, what,
			fmt.Errorf("it exists with subnet %v, agent.yaml says %s; set edge.subnet to the network's, or run `docker network rm %s` while nothing is attached", got, subnet.Masked(), name))
	}
	if have.Driver != "bridge" || have.Options[optionICC] != "false" {
		return hold(release.EdgeNetworkMismatch, what,
			fmt.Errorf("it exists with driver %q and %s=%q; run `docker network rm %s` while nothing is attached and teal makes it again", have.Driver, optionICC, have.Options[optionICC], name))
	}
	return nil
}

func subnets(n network.Network) []netip.Prefix {
	var out []netip.Prefix
	for _, c := range n.IPAM.Config {
		out = append(out, c.Subnet)
	}
	return out
}

// ours says whether an object that has the wanted name is this agent's.
func (e *Engine) ours(kind, name string, labels map[string]string) error {
	owner, labelled := labels[release.LabelInstance]
	switch {
	case owner == e.cfg.Instance:
		return nil
	case labelled:
		return hold(release.NameTaken, "use "+kind+" "+name, told("it belongs to another agent (instance %s)", clip(escape(owner), 64)))
	default:
		return hold(release.NameTaken, "use "+kind+" "+name, told("it was not made by teal"))
	}
}
