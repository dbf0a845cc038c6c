package lab

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

func TestID(t *testing.T) {
	id, err := newID(os.Getpid(), 7)
	if err != nil {
		t.Fatal(err)
	}
	if idOf(id) != id || idOf(id+"-shop-blue") != id || idOf("/"+id+"-shop") != id {
		t.Errorf("%s is not found in its own names", id)
	}
	for _, name := range []string{"", "shop", "tl", "tl1x2", id + "y", "x" + id} {
		if idOf(name) != "" {
			t.Errorf("%q looks like a lab's", name)
		}
	}
	if dead(id) || dead("shop") || !dead("tl1x1x1") || !dead("tl4999999x1x1") {
		t.Error("the living are dead, or the dead alive")
	}
}

// TestSweep: a lab leaves nothing, removes what the dead left and nothing else.
func TestSweep(t *testing.T) {
	keeper := Start(t)
	ctx := t.Context()
	left := []string{"tl1x1x1", "tl1x1x2-net"} // of the process 1 that began at tick 1: long gone
	for i, name := range append(left, keeper.Name("kept")) {
		labels := keeper.Labels(nil)
		if i == 0 {
			labels, name = map[string]string{LabelTest: left[0]}, "left-by-the-dead"
		} else if i == 1 {
			labels = nil
		}
		if _, err := keeper.API.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: labels}); err != nil {
			t.Fatal(err)
		}
	}
	second, err := New(ctx, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := second.Build(ctx, Image{Env: map[string]string{"VERSION": "v9"}, Args: []string{"-health", "200"}})
	if err != nil || !strings.HasPrefix(ref, second.Registry.Addr()+"/app@sha256:") {
		t.Errorf("built %q, %v", ref, err)
	}
	if _, err := second.API.VolumeCreate(ctx, client.VolumeCreateOptions{Name: second.Name("data")}); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	names := func() string {
		var all []string
		networks, err := keeper.API.NetworkList(ctx, client.NetworkListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range networks.Items {
			all = append(all, n.Name)
		}
		volumes, err := keeper.API.VolumeList(ctx, client.VolumeListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range volumes.Items {
			all = append(all, v.Name)
		}
		images, err := keeper.API.ImageList(ctx, client.ImageListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range images.Items {
			all = append(all, i.Labels[LabelTest])
		}
		return strings.Join(all, " ")
	}()
	for _, gone := range []string{"left-by-the-dead", left[1], second.ID} {
		if strings.Contains(names, gone) {
			t.Errorf("%s is still there: %s", gone, names)
		}
	}
	if !strings.Contains(names, keeper.Name("kept")) {
		t.Errorf("a living lab's network is gone: %s", names)
	}
}

func TestRegistryKnobs(t *testing.T) {
	r, err := NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	get := func() (int, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		q, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr()+"/v2/", nil)
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(q)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	want := func(status int) {
		t.Helper()
		if got, err := get(); err != nil || got != status {
			t.Errorf("got %d %v, want %d", got, err, status)
		}
	}
	addr := r.Addr()
	want(200)
	r.Refuse(403)
	want(403)
	r.Refuse(0)
	r.RequireLogin("u", "p")
	want(401)
	if err := r.Down(); err != nil {
		t.Error(err)
	}
	if _, err := get(); err == nil {
		t.Error("it answers while it is down")
	}
	if err := r.Behave(); err != nil {
		t.Fatal(err)
	}
	want(200)
	if r.Addr() != addr {
		t.Errorf("it came back at %s, was %s", r.Addr(), addr)
	}
	if n := r.Requests(); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}

func TestSubnet(t *testing.T) {
	l := Start(t)
	p, err := l.Subnet(t.Context())
	if err != nil || p.Bits() != 24 || !strings.HasPrefix(p.String(), "10.20") {
		t.Error(fmt.Sprint(p), err)
	}
}
