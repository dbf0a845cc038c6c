package vocab

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		prefix, path string
		want         bool
	}{
		{"/", "/", true}, {"/", "/x", true}, {"/ai", "/ai", true}, {"/ai", "/ai/x", true}, {"/ai", "/air", false},
		{"/ai/", "/ai", false}, {"/ai/", "/ai/", true}, {"/ai/", "/ai/x", true}, {"/ai", "/", false}, {"/ai", "", false},
		{"/ai", "/AI", false}, {"", "/x", true}, {"", "", true}, {"", "x", false},
	} {
		if got := Covers(c.prefix, c.path); got != c.want || Covers(c.prefix, []byte(c.path)) != c.want {
			t.Errorf("%q covers %q: %t, want %t", c.prefix, c.path, got, c.want)
		}
	}
}

// TestNames holds the form against the expression that says it.
func TestNames(t *testing.T) {
	form := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.SampledFrom([]rune("az09-A._é")), 0, 66, -1).Draw(t, "name")
		if ValidName(s) != form.MatchString(s) {
			t.Fatalf("%q: %t", s, ValidName(s))
		}
	})
	for s, want := range map[string]bool{"shop": true, "shop-blue": false, "green": true, "x-green": false, "blue-x": true, "": false, strings.Repeat("x", 64): false} {
		if ValidApp(s) != want {
			t.Errorf("%q: %t", s, !want)
		}
	}
}

func TestOther(t *testing.T) {
	if Blue.Other() != Green || Green.Other() != Blue || Shared.Other() != Blue {
		t.Error("the colours are not two")
	}
}
