package release

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestWarnings: what lint warns of, and what it does not.
func TestWarnings(t *testing.T) {
	const image = "registry.example.test/a@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	for name, c := range map[string]struct {
		services string // after a routed web
		want     []Code
		says     string
	}{
		"a routed service":          {"", nil, ""},
		"a worker without check":    {"worker: {image: IMAGE}", []Code{UncheckedService}, "services.worker"},
		"a worker with one":         {"worker: {image: IMAGE, healthcheck: {test: [CMD, ping]}}", nil, ""},
		"one that is disabled":      {"worker: {image: IMAGE, healthcheck: {disable: true}}", []Code{UncheckedService}, ""},
		"restart no":                {`once: {image: IMAGE, restart: "no"}`, []Code{ExitIsBad}, "depends_on: {once: {condition: service_completed_successfully}}"},
		"restart no, checked":       {`once: {image: IMAGE, restart: "no", healthcheck: {test: [CMD, ping]}}`, nil, ""},
		"restart no, waited for":    {`once: {image: IMAGE, restart: "no"}` + "\n  second: {image: IMAGE, healthcheck: {test: [CMD, ping]}, depends_on: {once: {condition: service_completed_successfully}}}", nil, ""},
		"restart no, only started":  {`once: {image: IMAGE, restart: "no"}` + "\n  second: {image: IMAGE, healthcheck: {test: [CMD, ping]}, depends_on: {once: {condition: service_started}}}", []Code{ExitIsBad}, ""},
		"a limit of crashes":        {`worker: {image: IMAGE, restart: "on-failure:5"}`, []Code{UncheckedService}, ""},
		"a shared one":              {`redis: {image: IMAGE, x-teal: {shared: true}}`, []Code{UncheckedService}, ""},
		"both, in order of lines":   {`b: {image: IMAGE}` + "\n  a: {image: IMAGE, restart: \"no\"}", []Code{UncheckedService, ExitIsBad}, ""},
		"one that is never started": {`tool: {image: IMAGE, restart: "no", profiles: [tools]}`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := "name: shop\nservices:\n  web: {image: IMAGE, x-teal: {route: {host: a.example.com, port: 80}}}\n  " + c.services + "\nx-teal: {version: v1, sequence: 1}\n"
			rel, problems := Parse(fstest.MapFS{Manifest: {Data: []byte(strings.ReplaceAll(text, "IMAGE", image))}}, "staging", "shop")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got := Warnings(rel)
			var codes []Code
			all := ""
			for _, w := range got {
				codes, all = append(codes, w.Code), all+w.String()+"\n"
				if w.File != "environments/staging/shop/release.yaml" || w.Line < 4 {
					t.Errorf("at %s:%d", w.File, w.Line)
				}
			}
			if len(codes) != len(c.want) || !strings.Contains(all, c.says) {
				t.Fatalf("%s, want %v %q", all, c.want, c.says)
			}
			for i := range codes {
				if codes[i] != c.want[i] {
					t.Errorf("%s, want %v", all, c.want)
				}
			}
		})
	}
}
