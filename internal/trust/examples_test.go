package trust

import (
	"os"
	"testing"
)

func TestExamplesLoad(t *testing.T) {
	for _, env := range []string{"production", "staging"} {
		file := "../../examples/trust/" + env + ".yaml"
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePolicy(file, data)
		if err != nil {
			t.Fatal(err)
		}
		if p.Environment != env {
			t.Errorf("%s is for %s", file, p.Environment)
		}
		if got := len(p.Rules().Approvals); (got > 0) != (env == "production") {
			t.Errorf("%s: %d rules of approval", file, got)
		}
		if len(p.HostAccess["shop"].Routes) != 1 {
			t.Errorf("%s: routes of shop: %v", file, p.HostAccess["shop"].Routes)
		}
	}
}
