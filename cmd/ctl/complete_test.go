package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/rollout"
)

// complete is what tealctl answers a shell, without the line that says how to use it.
func (a *fakeAgent) complete(words ...string) []string {
	out, _, _ := ctl(append([]string{"__complete", "--socket", a.socket}, words...)...)
	return completions(out)
}

func completions(out string) []string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" || strings.HasPrefix(l, ":") })
}

// TestCompletion asks for live values, each with what describes it.
func TestCompletion(t *testing.T) {
	hostile := liveApp("evil")
	hostile.App, hostile.Live = "x;rm -rf /", nil
	a := startAgent(t, liveApp("shop"), deploying("api", rollout.Baking), hostile)
	c := newClone(t)
	for _, want := range []struct {
		words []string
		has   []string
		not   []string
	}{
		{[]string{"status", ""}, []string{"shop\tlive", "api\tbaking"}, []string{"rm"}},
		{[]string{"status", "shop", ""}, nil, []string{"shop"}},
		{[]string{"explain", ""}, []string{"shop\tlive"}, []string{"approval_threshold"}},
		{[]string{"explain", "appr"}, []string{"approval_threshold\tToo few"}, nil},
		{[]string{"explain", "TEAL-30"}, []string{"TEAL-3001\tapproval_threshold"}, []string{"shop"}},
		{[]string{"explain", "api@"}, []string{"api@v1.2.3\tlive", "api@v1.3.0\twanted", "api@v1.2.2\tkept"}, []string{"shop"}},
		{[]string{"rollback", "shop", "--to", ""}, []string{"v1.2.2\tkept, sequence 2"}, []string{"v1.2.3"}},
		{[]string{"logs", "shop", ""}, []string{"backend", "worker"}, nil},
		{[]string{"logs", "shop", "--colour", ""}, []string{"blue\tlive", "green"}, nil},
		{[]string{"state", "init", "--sequence", ""}, []string{"shop=3", "api=4"}, []string{"rm"}},
		{[]string{"verify", "shop", "--repo", c.paths["CLONE"], "--env", ""}, []string{"production"}, nil},
		{[]string{"freeze", ""}, []string{"shop\tlive", "production\tthe whole environment"}, []string{"rm"}},
		{[]string{"status", "-o", ""}, []string{"table", "wide", "json", "yaml", "name"}, nil},
		{[]string{"status", "--color", ""}, []string{"auto", "always", "never"}, nil},
		{[]string{"roll"}, []string{"rollback\tGo back"}, nil},
	} {
		got := a.complete(want.words...)
		all := strings.Join(got, "\n")
		for _, h := range want.has {
			if !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, h) }) {
				t.Errorf("%v: no %q in %q", want.words, h, all)
			}
		}
		for _, n := range want.not {
			if strings.Contains(all, n) {
				t.Errorf("%v: %q in %q", want.words, n, all)
			}
		}
		if want.has == nil && all != "" {
			t.Errorf("%v: %q", want.words, all)
		}
	}
}

// TestCompletionWithoutAgent: a socket that nobody serves, one that accepts and never
// answers, and one that answers rubbish complete to nothing, say nothing, and come back.
func TestCompletionWithoutAgent(t *testing.T) {
	dir, err := os.MkdirTemp("", "teal-ctl-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	serve := func(name string, answer string) string {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close() // held open until the test ends
				if answer != "" {
					_, _ = c.Write([]byte(answer)) // the peer may be gone
				}
			}
		}()
		return filepath.Join(dir, name)
	}
	for name, socket := range map[string]string{"dead": filepath.Join(dir, "dead"), "slow": serve("slow", ""), "rubbish": serve("rubbish", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[[")} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, words := range [][]string{{"status", ""}, {"rollback", "shop", "--to", ""}, {"logs", "shop", ""}} {
				out, errs, code := ctl(append([]string{"__complete", "--socket", socket}, words...)...)
				if got := completions(out); len(got) > 0 || code != 0 || strings.Contains(errs, "TEAL") || strings.Contains(errs, "agent") {
					t.Errorf("%s: %v: exit %d: %q %s", name, words, code, got, errs)
				}
			}
			// What needs no agent is there all the same.
			out, _, _ := ctl("__complete", "--socket", socket, "explain", "TEAL-3001")
			if !strings.Contains(out, "TEAL-3001") {
				t.Errorf("%s: %q", name, out)
			}
		}()
		select {
		case <-done:
		case <-time.After(time.Minute): // the slow one never answers: only the budget ends it
			t.Fatalf("%s: a key press hangs", name)
		}
	}
}

// TestBashCompletes sources the script in a real bash and presses tab.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here")
	}
	a := startAgent(t, liveApp("shop"), liveApp("search"))
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "tealctl")); err != nil { // testscript's main is tealctl under this name
		t.Fatal(err)
	}
	press := func(words ...string) string {
		script := `
source <(tealctl completion bash)
if ! declare -F _get_comp_words_by_ref >/dev/null; then # the package bash-completion brings it
  _get_comp_words_by_ref() { cur="${COMP_WORDS[COMP_CWORD]}"; prev="${COMP_WORDS[COMP_CWORD-1]}"; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; }
fi
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
__start_tealctl
printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.CommandContext(t.Context(), bash, append([]string{"--norc", "-c", script, "bash", "tealctl"}, words...)...)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TEAL_SOCKET="+a.socket)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", words, err, out)
		}
		return string(out)
	}
	for _, c := range []struct {
		words []string
		want  []string
	}{
		{[]string{"explain", "sh"}, []string{"shop"}},
		{[]string{"status", "s"}, []string{"shop", "search"}},
		{[]string{"rollback", "shop", "--to", ""}, []string{"v1.2.2"}},
		{[]string{"unf"}, []string{"unfreeze"}},
	} {
		got := press(c.words...)
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%v: no %s in %q", c.words, w, got)
			}
		}
	}
}

// TestCompletionScripts: each shell's own parser reads its script, where the shell is here.
func TestCompletionScripts(t *testing.T) {
	for shell, check := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}, "powershell": nil} {
		out, errs, code := ctl("completion", shell)
		if code != 0 || errs != "" || !strings.Contains(out, "tealctl") || !strings.Contains(out, "__complete") {
			t.Errorf("completion %s: exit %d: %.200s%s", shell, code, out, errs)
		}
		path, err := exec.LookPath(shell)
		if err != nil || check == nil {
			t.Logf("%s is not here: its script was not read by it", shell)
			continue
		}
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.CommandContext(t.Context(), path, append(check, file)...).CombinedOutput(); err != nil {
			t.Errorf("%s does not read its script: %v: %s", shell, err, said)
		}
	}
}
