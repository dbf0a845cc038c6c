package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commands are all that a person can run, by path without "tealctl". Completion scripts
// are a shell's language; they and help are cobra's own.
func commands() map[string]*cobra.Command {
	root := (&tool{out: os.Stdout, err: os.Stderr}).root()
	all := map[string]*cobra.Command{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		path := strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), "tealctl"), " ")
		if c.HasSubCommands() || path == "" || strings.HasPrefix(path, "completion") || strings.HasPrefix(path, "help") {
			return
		}
		all[path] = c
	}
	walk(root)
	return all
}

// asked are arguments with which each command does what it is for: against an agent
// (agent: true), or in a clone made by newClone. A new command needs a line here, and its
// exit codes in exits_test.go.
var asked = map[string]struct {
	agent bool
	args  []string
}{
	"status":                       {true, []string{"shop"}},
	"explain":                      {true, []string{"shop"}},
	"history":                      {true, []string{"shop"}},
	"plan":                         {true, []string{"shop"}},
	"diff":                         {true, []string{"shop"}},
	"logs":                         {true, []string{"shop"}},
	"events":                       {true, []string{"shop"}},
	"version":                      {true, nil},
	"exit-codes":                   {false, nil},
	"rollback":                     {true, []string{"shop", "--reason", "x", "--yes"}},
	"resume":                       {true, []string{"shop", "--reason", "x"}},
	"retry":                        {true, []string{"shop", "--reason", "x"}},
	"app remove":                   {true, []string{"shop", "--host", "--reason", "x", "--yes"}},
	"freeze":                       {true, []string{"--reason", "x", "--yes"}},
	"unfreeze":                     {true, []string{"--reason", "x"}},
	"sync":                         {true, nil},
	"lint":                         {false, []string{"CLONE"}},
	"release new":                  {false, []string{"shop", "v1.2.4", "--env", "production", "--repo", "CLONE"}},
	"schema manifest":              {false, nil},
	"schema outputs":               {false, nil},
	"init":                         {false, []string{"--from", "COMPOSE", "--env", "staging", "--app", "web", "--image", "web=registry.example.test/web@sha256:" + testImage, "--write", "CLONE"}},
	"verify":                       {false, []string{"shop", "--repo", "CLONE", "--policy", "POLICY"}},
	"prepare":                      {false, []string{"shop", "--repo", "CLONE", "--yes"}},
	"approve":                      {false, []string{"shop", "--repo", "CLONE", "--key", "KEY", "--yes"}},
	"reject":                       {false, []string{"shop", "--repo", "CLONE", "--key", "KEY", "--reason", "x", "--yes"}},
	"attest scan":                  {false, append([]string{"--scanner", "trivy", "--scanner-version", "0.70.0", "--report", "REPORT", "--args", "image", "--db-updated-at", "2026-11-23T06:00:00Z", "--platform", "linux/amd64"}, attestFlags...)},
	"attest tests":                 {false, append([]string{"--result", "PASSED"}, attestFlags...)},
	"attest provenance":            {false, append([]string{"--builder", "https://ci.example.com", "--source-repository", "https://git.example.com/shop", "--source-commit", strings.Repeat("a1", 20)}, attestFlags...)},
	"trust lint":                   {false, []string{"POLICY"}},
	"trust show":                   {false, []string{"--policy", "POLICY"}},
	"trust export-allowed-signers": {false, []string{"--policy", "POLICY"}},
	"trust rotate":                 {false, []string{"NEXT", "--policy", "ROOTPOLICY", "--repo", "CLONE", "--key", "KEY"}},
	"secrets encrypt":              {false, []string{"--env", "production", "--app", "shop", "--name", "x", "--repo", "CLONE", "REPORT"}},
	"secrets rotate":               {true, []string{"shop", "--reason", "x"}},
	"secrets status":               {true, []string{"shop"}},
	"state init":                   {false, []string{"--state", "STATE"}},
}

var attestFlags = []string{"--image", "registry.example.test/shop@sha256:" + testImage, "--key", "PEM", "--repo", "CLONE"}

// perform runs a command with its arguments and more, and is what it said.
func perform(t *testing.T, path string, more ...string) (out, errs string, code int) {
	t.Helper()
	a, known := asked[path]
	if !known {
		t.Fatalf("tealctl %s has no arguments in asked (tree_test.go): add a line", path)
	}
	args := append(strings.Fields(path), a.args...)
	if a.agent {
		return startAgent(t, liveApp("shop")).ctl(append(args, more...)...)
	}
	return newClone(t).ctl(append(args, more...)...)
}

// TestEveryCommand walks the command tree: what a person or a script relies on. What a
// command does is said by its annotation: reads, writes or dangers, with its exit codes.
func TestEveryCommand(t *testing.T) {
	all := commands()
	for path, c := range all {
		flag := func(name string) bool { return c.Flags().Lookup(name) != nil || c.InheritedFlags().Lookup(name) != nil }
		must := func(good bool, what string) {
			if !good {
				t.Errorf("tealctl %s %s", path, what)
			}
		}
		does := c.Annotations[doesKey]
		must(c.Short != "", "has no short text")
		must(c.Example != "" && strings.Contains(c.Example, "tealctl "+path), "has no example of itself")
		must(flag("output"), "takes no -o")
		must(slices.Contains([]string{"reads", "writes", "dangers"}, does), "does not say what it does: set Annotations to reads(…), writes(…) or dangers(…) with its exit codes")
		codes := endings(c)
		must(len(codes) >= 2 && codes[0].Code == exitOK, "documents no exit codes")
		must(strings.Contains(c.UsageString(), "Exit codes:") || c.Name() == "exit-codes", "does not list its exit codes in its help")
		must(does == "reads" || flag("dry-run"), "changes something and has no --dry-run")
		must(does != "dangers" || flag("yes"), "asks before it acts and has no --yes")
		must(slices.ContainsFunc(codes, func(e ending) bool { return e.Code == exitTimeout }) == flag("timeout"), "has --timeout but not exit code 8, or the other way round")
		must(flag("wait") == flag("timeout"), "has one of --wait and --timeout")
		for _, verb := range []string{"rollback", "resume", "retry", "freeze", "unfreeze", "reject"} {
			must(path != verb || flag("reason"), "changes something and takes no --reason")
		}
	}
	for path := range asked {
		if all[path] == nil {
			t.Errorf("there is no command %s", path)
		}
	}
}

// TestEveryHelp: the help of each command and group comes and names its examples.
func TestEveryHelp(t *testing.T) {
	for path, c := range commands() {
		out, errs, code := ctl(append(strings.Fields(path), "--help")...)
		if code != 0 || errs != "" || !strings.Contains(out, "Examples:") || !strings.Contains(out, c.Short) && !strings.Contains(out, "Usage:") {
			t.Errorf("%s --help: exit %d: %s%s", path, code, out, errs)
		}
	}
	for _, group := range []string{"", "attest", "trust", "secrets", "state"} {
		out, _, code := ctl(strings.Fields(group)...)
		if code != 0 || !strings.Contains(out, "Available Commands") && !strings.Contains(out, "Look:") {
			t.Errorf("tealctl %s: exit %d: %s", group, code, out)
		}
	}
}

// TestEveryAnswerIsJSON: each reading command answers -o json with one JSON document, or
// one a line, each with apiVersion and kind, and -o yaml with YAML that says the same.
func TestEveryAnswerIsJSON(t *testing.T) {
	for path, c := range commands() {
		if c.Annotations[doesKey] != "reads" {
			continue
		}
		t.Run(path, func(t *testing.T) {
			out, errs, _ := perform(t, path, "-o", "json")
			d, n := json.NewDecoder(strings.NewReader(out)), 0
			for d.More() {
				var reply struct{ APIVersion, Kind string }
				if err := d.Decode(&reply); err != nil {
					t.Fatalf("no JSON: %v: %s%s", err, out, errs)
				}
				if reply.APIVersion != "teal/v1" || reply.Kind == "" {
					t.Errorf("apiVersion %q, kind %q: %s", reply.APIVersion, reply.Kind, out)
				}
				n++
			}
			fits(t, out)
			if n == 0 {
				t.Errorf("no answer: %s", errs)
			}
			if out, _, _ := perform(t, path, "-o", "yaml"); strings.Count("\n"+out, "\napiVersion: teal/v1") != n {
				t.Errorf("-o yaml: %s", out)
			}
		})
	}
}

// TestNames: -o name prints one name a line, and is refused before anything is done where
// there are none.
func TestNames(t *testing.T) {
	for path, c := range commands() {
		out, errs, code := perform(t, path, "-o", "name")
		if c.Annotations[namesKey] == "" {
			if code != exitUsage || out != "" || !strings.Contains(errs, "no names to print") {
				t.Errorf("%s -o name: exit %d: %s%s", path, code, out, errs)
			}
			continue
		}
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != 1 || strings.ContainsAny(lines[0], " \t") || lines[0] == "" {
			t.Errorf("%s -o name: exit %d: %q %s", path, code, out, errs)
		}
	}
}

// TestDryRunWritesNothing: after --dry-run the agent got no order, and the clone and the
// state hold what they held.
func TestDryRunWritesNothing(t *testing.T) {
	for path, c := range commands() {
		if c.Annotations[doesKey] == "reads" {
			continue
		}
		t.Run(path, func(t *testing.T) {
			a := asked[path]
			args := append(append(strings.Fields(path), a.args...), "--dry-run")
			if a.agent {
				agent := startAgent(t, liveApp("shop"))
				if out, errs, code := agent.ctl(args...); code != 0 || !strings.Contains(out, "would do") || len(agent.orders()) > 0 {
					t.Errorf("exit %d, orders %v: %s%s", code, agent.orders(), out, errs)
				}
				return
			}
			clone := newClone(t)
			before := clone.files(t)
			if out, errs, code := clone.ctl(args...); code != 0 || out+errs == "" {
				t.Errorf("exit %d: %s%s", code, out, errs)
			}
			if after := clone.files(t); !slices.Equal(before, after) {
				t.Errorf("was %v, is %v", before, after)
			}
		})
	}
}

// TestDangerAsks: a dangerous verb without --yes and without a terminal does nothing, and
// says the exact line that does.
func TestDangerAsks(t *testing.T) {
	for path, c := range commands() {
		if c.Annotations[doesKey] != "dangers" {
			continue
		}
		t.Run(path, func(t *testing.T) {
			a := asked[path]
			args := slices.DeleteFunc(append(strings.Fields(path), a.args...), func(s string) bool { return s == "--yes" })
			var errs string
			var code int
			if a.agent {
				agent := startAgent(t, liveApp("shop"))
				_, errs, code = agent.ctl(args...)
				if len(agent.orders()) > 0 {
					t.Errorf("it was done: %v", agent.orders())
				}
			} else {
				clone := newClone(t)
				before := clone.files(t)
				_, errs, code = clone.ctl(args...)
				if !slices.Equal(before, clone.files(t)) {
					t.Error("files were written")
				}
			}
			if code != exitUsage || !strings.Contains(errs, "Run the same line with --yes: tealctl "+path) || !strings.Contains(errs, "TEAL-6012") {
				t.Errorf("exit %d: %s", code, errs)
			}
		})
	}
}

// files lists the clone's files and the state's with their content.
func (c *clone) files(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(c.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, path+" "+string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
