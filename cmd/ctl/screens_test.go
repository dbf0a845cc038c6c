package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// screenVariants are the ways in which a screen that is made here is compared; those of
// internal/ui have their own test.
var screenVariants = map[string]struct {
	width uint16 // of a terminal; 0: a pipe
	env   map[string]string
	args  []string
}{
	"060":    {60, map[string]string{"NO_COLOR": "1"}, nil},
	"080":    {80, map[string]string{"NO_COLOR": "1"}, nil},
	"120":    {120, map[string]string{"NO_COLOR": "1"}, nil},
	"colour": {120, nil, nil},
	"ascii":  {120, map[string]string{"NO_COLOR": "1"}, []string{"--ascii"}},
	"locale": {0, map[string]string{"LC_ALL": "C"}, nil},
	"pipe":   {0, nil, nil},
}

// changing is what differs from run to run: fingerprints, digests, commits, times.
var changing = regexp.MustCompile(`(SHA256:)[A-Za-z0-9+/]{43}|\b[0-9a-f]{12}\b|(commit\s+)[0-9a-f]{7}|20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func steady(text string) string {
	return changing.ReplaceAllStringFunc(strings.ReplaceAll(text, "\r\n", "\n"), func(s string) string {
		m := changing.FindStringSubmatch(s)
		head := m[1] + m[2]
		return head + strings.Repeat("x", len(s)-len(head))
	})
}

// TestApprovalScreens compares verify and approve with their golden files, made by real
// runs in a real clone, on terminals of several widths and in pipes.
func TestApprovalScreens(t *testing.T) {
	approved := func(c *clone) {
		c.ctl("approve", "shop", "--repo", "CLONE", "--key", "KEY", "--name", "ann", "--yes")
		c.git("add", "-A")
		c.git("commit", "-q", "-m", "approve")
	}
	screens := map[string]struct {
		prepare func(*clone)
		args    []string
	}{
		"verify-accepted": {approved, asked["verify"].args},
		"verify-waiting":  {nil, asked["verify"].args},
		"verify-refused": {func(c *clone) {
			approved(c)
			c.write("repo/environments/production/shop/extra.env", "CHANGED=after\n")
			c.git("add", "-A")
			c.git("commit", "-q", "-m", "change")
		}, asked["verify"].args},
		"approve": {nil, []string{"shop", "--repo", "CLONE", "--key", "KEY", "--policy", "POLICY", "--dry-run"}},
	}
	for name, screen := range screens {
		for variant, v := range screenVariants {
			t.Run(name+"/"+variant, func(t *testing.T) {
				c := newClone(t)
				if screen.prepare != nil {
					screen.prepare(c)
				}
				for _, k := range []string{"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "LC_CTYPE", "LANG"} {
					t.Setenv(k, v.env[k])
				}
				t.Setenv("TERM", "xterm")
				if t.Setenv("LC_ALL", "C.UTF-8"); v.env["LC_ALL"] != "" {
					t.Setenv("LC_ALL", v.env["LC_ALL"])
				}
				verb, _, _ := strings.Cut(name, "-")
				args := append(append([]string{verb}, screen.args...), v.args...)
				for i := range args {
					if path, ok := c.paths[args[i]]; ok {
						args[i] = path
					}
				}
				got := steady(onScreen(t, v.width, args))
				file := filepath.Join("testdata", "screens", name, variant+".golden")
				if *update {
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), got); d != "" {
					t.Errorf("not as %s (run with -update when it is meant): %s", file, d)
				}
				if v.width > 0 && verb == "verify" && variant != "colour" {
					for line := range strings.SplitSeq(got, "\n") {
						if n := utf8.RuneCountInString(line); n > int(v.width) {
							t.Errorf("%d columns of %d: %q", n, v.width, line)
						}
					}
				}
				if (variant == "locale" || variant == "ascii") && verb == "verify" && strings.IndexFunc(got, func(r rune) bool { return r > 126 }) >= 0 {
					t.Errorf("not ASCII: %s", got)
				}
			})
		}
	}
}

// onScreen is stdout of a run on a terminal, then its stderr.
func onScreen(t *testing.T, width uint16, args []string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if width == 0 {
		run(t.Context(), args, strings.NewReader(""), &out, &errs)
		return out.String() + errs.String()
	}
	tty, shows := openTerminal(t, width, 50)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&out, shows) // ends with an error when the other end is closed
	}()
	run(t.Context(), args, strings.NewReader(""), tty, &errs)
	tty.Close()
	<-read
	return out.String() + errs.String()
}
