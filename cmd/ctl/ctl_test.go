package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/release"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tealctl": main})
}

// TestScripts runs transcripts of what works without an agent.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(e *testscript.Env) error {
		e.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
		e.Setenv("GIT_CONFIG_SYSTEM", "/dev/null")
		for _, who := range []string{"AUTHOR", "COMMITTER"} {
			e.Setenv("GIT_"+who+"_NAME", "Dev")
			e.Setenv("GIT_"+who+"_EMAIL", "dev@example.com")
		}
		e.Setenv("LC_ALL", "C.UTF-8")
		e.Setenv("TEAL_SOCKET", e.Getenv("WORK")+"/no-agent.sock")
		return nil
	}})
}

func ctl(args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &o, &e)
	return o.String(), e.String(), code
}

// TestEveryCommand walks the command tree: what a person or a script relies on.
func TestEveryCommand(t *testing.T) {
	steer := []string{"rollback", "resume", "retry", "freeze", "unfreeze", "sync", "approve", "init"}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if !c.Runnable() || c.Name() == "help" || c.Name() == "exit-codes" || c.HasParent() && c.Parent().Name() == "completion" || c.Name() == "__complete" {
			return
		}
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no short text or no example", c.CommandPath())
		}
		if c.InheritedFlags().Lookup("output") == nil {
			t.Errorf("%s takes no -o", c.CommandPath())
		}
		if slices.Contains(steer[:6], c.Name()) && c.Name() != "sync" && c.Flags().Lookup("reason") == nil {
			t.Errorf("%s changes something and takes no --reason", c.CommandPath())
		}
	}
	root := (&tool{out: os.Stdout, err: os.Stderr}).root()
	root.InitDefaultCompletionCmd()
	walk(root)
	for _, name := range []string{"status", "explain", "history", "plan", "lint", "prepare", "approve", "reject", "verify", "rollback", "resume", "retry", "freeze", "unfreeze",
		"sync", "logs", "events", "version", "completion", "state", "exit-codes"} {
		if c, _, err := root.Find([]string{name}); err != nil || c.Name() != name {
			t.Errorf("there is no command %s", name)
		}
	}
}

// TestEveryReasonIsExplained asks for each reason by name and by number, as no agent runs.
func TestEveryReasonIsExplained(t *testing.T) {
	for _, r := range release.Reasons() {
		for _, key := range []string{string(r.Code), r.ID(), strings.ToLower(r.ID())} {
			out, errs, code := ctl("explain", key)
			if code != 0 || !strings.Contains(out, r.Summary) || !strings.Contains(out, r.Next) {
				t.Errorf("explain %s: exit %d: %s%s", key, code, out, errs)
			}
		}
	}
}

// TestNoAgent says what to look at when the agent does not answer, with its own code.
func TestNoAgent(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"explain", "shop"}, {"history"}, {"plan", "shop"}, {"logs", "shop"}, {"events"}, {"sync"},
		{"rollback", "shop", "--reason", "x", "--yes"}, {"resume", "shop"}, {"retry", "shop"}, {"freeze", "--reason", "x"}, {"unfreeze"}} {
		_, errs, code := ctl(append(args, "--socket", t.TempDir()+"/none.sock")...)
		if code != exitUnreachable || !strings.Contains(errs, "systemctl status teal-agent") {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
}

// TestUsage is refused with 2 before anything is asked.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"statu"}, `unknown command "statu"`},
		{[]string{"status", "--wat"}, "unknown flag"},
		{[]string{"status", "-o", "xml"}, "table, json or yaml"},
		{[]string{"status", "--color", "red"}, "auto, always or never"},
		{[]string{"explain"}, "accepts 1 arg"},
		{[]string{"rollback", "shop"}, "--reason"},
		{[]string{"rollback", "shop", "--reason", "x"}, "--yes"},
		{[]string{"freeze"}, "--reason"},
		{[]string{"freeze", "--reason", "x", "--until", "yesterday"}, "--until"},
		{[]string{"approve", "shop"}, "repository"},
		{[]string{"approve", "../shop"}, "names no app"},
		{[]string{"approve", "shop", "--scans", "verified"}, "by evidence alone"},
		{[]string{"approve", "shop", "--waive", "hold"}, "belongs to --emergency"},
		{[]string{"prepare", "shop", "--env", "Production"}, "names no app"},
		{[]string{"reject", "shop"}, "--reason"},
		{[]string{"reject", "shop", "--reason", "x", "--name", "a/b"}, "letters, digits"},
		{[]string{"verify", "shop", "--at", "yesterday"}, "--at"},
		{[]string{"state", "init", "--sequence", "shop"}, "APP=N"},
	} {
		_, errs, code := ctl(c.args...)
		if code == 0 || code == exitUnreachable || !strings.Contains(errs, c.says) {
			t.Errorf("%v: exit %d, says %q; want %q", c.args, code, errs, c.says)
		}
	}
}
