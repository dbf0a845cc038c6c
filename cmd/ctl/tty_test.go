package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/rollout"
)

// terminal is a real one: tmux with a server of its own.
type terminal struct {
	t    *testing.T
	name string
}

// newTerminal starts one. make test installs tmux; where CI is set it must be there, so
// that no gap hides.
func newTerminal(t *testing.T, a *fakeAgent, width, height int, script string) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("tmux is not installed: apt-get install tmux")
		}
		t.Skip("tmux is not installed: make tmux")
	}
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "tealctl")); err != nil { // testscript's main is tealctl under this name
		t.Fatal(err)
	}
	m := &terminal{t, fmt.Sprintf("teal-%d-%d", os.Getpid(), time.Now().UnixNano())}
	cmd := exec.CommandContext(t.Context(), "tmux", "-u", "-L", m.name, "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height),
		"sh", "-c", "trap : INT; "+script+"; echo exit=$?; sleep 600") // Ctrl-C reaches the shell too
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TEAL_SOCKET="+a.socket, "LC_ALL=C.UTF-8", "NO_COLOR=", "FORCE_COLOR=", "CLICOLOR_FORCE=", "TMUX=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("tmux", "-L", m.name, "kill-server").Run() }) // this test's own server; it may have ended
	return m
}

func (m *terminal) tmux(args ...string) string {
	m.t.Helper()
	out, err := exec.CommandContext(m.t.Context(), "tmux", append([]string{"-L", m.name}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (m *terminal) screen() string { return m.tmux("capture-pane", "-p") }

// shows waits until the screen is as good says.
func (m *terminal) shows(what string, good func(screen string) bool) string {
	m.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		s := m.screen()
		if good(s) {
			return s
		}
		if time.Now().After(end) {
			m.t.Fatalf("the screen never shows %s:\n%s", what, s)
		}
	}
}

func has(parts ...string) func(string) bool {
	return func(s string) bool {
		for _, p := range parts {
			if !strings.Contains(s, p) {
				return false
			}
		}
		return true
	}
}

// TestWatchOnATerminal repaints in place: through changes, a narrower and a lower window,
// and a restart of the agent, until Ctrl-C.
func TestWatchOnATerminal(t *testing.T) {
	a := startAgent(t, deploying("shop", rollout.Checking))
	m := newTerminal(t, a, 100, 40, "echo what stood above; tealctl status shop --watch")
	m.shows("the deployment", has("what stood above", "● checking", "├─ ◌ baking", "└─ going back  v1.2.3 serves", "Ctrl-C leaves the deployment running"))
	if coloured := m.tmux("capture-pane", "-p", "-e"); !strings.Contains(coloured, "\x1b[36m") {
		t.Errorf("no colour on a terminal: %q", coloured)
	}
	baking := deploying("shop", rollout.Baking)
	baking.Deploy.SwitchedAt = time.Now()
	baking.Deploy.BakeEnds = time.Now().Add(5 * time.Minute)
	a.show(baking)
	s := m.shows("the bake", has("what stood above", "● baking", "├─ ✔ checking", "is kept warm"))
	if strings.Count(s, "APP ") != 1 || strings.Count(s, "checking") != 1 {
		t.Errorf("the old frame is left:\n%s", s)
	}

	m.tmux("resize-window", "-x", "56", "-y", "40")
	s = m.shows("the narrow frame", func(s string) bool {
		return strings.Count(s, "APP ") == 1 && strings.Contains(s, "\n    still_") || has("working")(s)
	})
	for line := range strings.SplitSeq(s, "\n") {
		if n := len([]rune(line)); n > 56 {
			t.Errorf("%d columns of 56: %q", n, line)
		}
	}
	m.tmux("resize-window", "-x", "100", "-y", "10")
	s = m.shows("what does not fit as a count", has("more lines"))
	if strings.Count(s, "APP ") != 1 {
		t.Errorf("more than one frame:\n%s", s)
	}
	m.tmux("resize-window", "-x", "100", "-y", "40")
	m.shows("the whole frame again", has("● baking", "Ctrl-C"))

	a.end()
	m.shows("that the agent is away", has("the agent does not answer since", "what it deployed goes on serving"))
	a.start()
	m.shows("that it is back", func(s string) bool { return !strings.Contains(s, "does not answer") && has("● baking")(s) })

	m.tmux("send-keys", "C-c")
	s = m.shows("the end", has("exit=130"))
	if !has("the deployment of shop goes on", "TEAL-6010", "● baking")(s) {
		t.Errorf("Ctrl-C does not say what goes on:\n%s", s)
	}
}

// TestDangerOnATerminal shows the plan and asks; only y does it.
func TestDangerOnATerminal(t *testing.T) {
	for answer, code := range map[string]string{"n": "exit=1", "": "exit=1", "y": "exit=0"} {
		a := startAgent(t, liveApp("shop"))
		m := newTerminal(t, a, 100, 30, "tealctl rollback shop --reason 'checkout errors'")
		m.shows("plan and question", has("would do: rollback shop", "v1.2.3 → v1.2.2", "Roll shop back to the last proven release before this one? [y/N]"))
		if done := a.orders(); len(done) > 0 {
			t.Errorf("done before the answer: %v", done)
		}
		m.tmux("send-keys", answer, "Enter")
		s := m.shows("the end", has(code))
		if done := a.orders(); (len(done) == 1) != (answer == "y") {
			t.Errorf("%q: %v:\n%s", answer, done, s)
		}
		if answer != "y" && !has("nothing was done", "TEAL-6011")(s) {
			t.Errorf("%q:\n%s", answer, s)
		}
	}
}

// TestPlainTerminals: a locale without UTF-8, --ascii and NO_COLOR on a real terminal.
func TestPlainTerminals(t *testing.T) {
	a := startAgent(t, liveApp("shop"))
	for script, want := range map[string]string{
		"LC_ALL=C tealctl status":                       "[ok] live",
		"LC_ALL=de_DE.ISO-8859-1 tealctl status":        "[ok] live",
		"tealctl status --ascii":                        "[ok] live",
		"NO_COLOR=1 tealctl status":                     "✔ live",
		"tealctl status | cat":                          "T", // RFC 3339
		"TERM=dumb tealctl status":                      "✔ live",
		"tealctl status --color never --no-header":      "✔ live",
		"FORCE_COLOR=1 NO_COLOR=1 tealctl status | cat": "✔ live",
	} {
		m := newTerminal(t, a, 120, 20, script)
		s := m.shows("the status", has("exit=0", want))
		coloured := m.tmux("capture-pane", "-p", "-e")
		switch {
		case want == "[ok] live":
			if strings.IndexFunc(s, func(r rune) bool { return r > 126 }) >= 0 {
				t.Errorf("%s is not ASCII:\n%s", script, s)
			}
		case strings.Contains(coloured, "\x1b[32m"):
			t.Errorf("%s is coloured: %q", script, coloured)
		}
		if strings.Contains(script, "| cat") == strings.Contains(s, "2h00m ago") {
			t.Errorf("%s:\n%s", script, s)
		}
	}
}
