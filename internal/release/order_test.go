package release

import (
	"slices"
	"testing"
	"testing/fstest"
)

// TestOnce: what must complete first is found through others that complete, and a
// service that nothing waits for to complete is handed over like any other.
func TestOnce(t *testing.T) {
	const image = "registry.example.com/shop/backend@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	r, problems := Parse(fstest.MapFS{Manifest: {Data: []byte(`name: shop
services:
  backend:
    image: ` + image + `
    depends_on: {seed: {condition: service_completed_successfully}}
    x-teal: {route: {host: shop.example.test, port: 8000}}
  seed: {image: ` + image + `, depends_on: {schema: {condition: service_completed_successfully}, cache: {condition: service_started}}}
  schema: {image: ` + image + `}
  orders: {image: ` + image + `, depends_on: {warm: {condition: service_completed_successfully}}, x-teal: {overlap: true}}
  warm: {image: ` + image + `}
  worker: {image: ` + image + `, depends_on: {tidy: {condition: service_completed_successfully}, seed: {condition: service_started}}}
  tidy: {image: ` + image + `}
  alone: {image: ` + image + `}
  idle: {image: ` + image + `, profiles: [debug], depends_on: {alone: {condition: service_completed_successfully}}}
  cache: {image: ` + image + `, x-teal: {shared: true}}
x-teal: {version: v1.2.3, sequence: 42}
`)}}, "staging", "shop")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	classes := map[string]Class{}
	for _, s := range r.Services {
		classes[s.Name] = s.Class()
	}
	for name, want := range map[string]Class{"backend": ClassRouted, "seed": ClassOnce, "schema": ClassOnce, "orders": ClassOverlap, "warm": ClassOnce,
		"worker": ClassHandover, "tidy": ClassOnce, "alone": ClassHandover, "cache": ClassShared} {
		if classes[name] != want {
			t.Errorf("%s is %s, want %s", name, classes[name], want)
		}
	}
	for _, c := range []struct{ of, want []string }{
		{[]string{"backend"}, []string{"schema", "seed"}},
		{[]string{"orders"}, []string{"warm"}},
		{[]string{"worker"}, []string{"schema", "seed", "tidy"}},
		{[]string{"backend", "orders"}, []string{"schema", "seed", "warm"}},
		{[]string{"alone"}, nil},
		{nil, nil},
	} {
		if got := r.Once(c.of); !slices.Equal(got, c.want) {
			t.Errorf("before %v: %v, want %v", c.of, got, c.want)
		}
	}
}
