package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

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
		e.Setenv("B", "registry.example.test/shop/backend@sha256:"+strings.Repeat("2", 64))
		e.Setenv("OTHER", "registry.example.test/other@sha256:"+strings.Repeat("3", 64))
		e.Setenv("TEAL_SOCKET", e.Getenv("WORK")+"/no-agent.sock")
		return nil
	}})
}

func ctl(args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &o, &e)
	return o.String(), e.String(), code
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
		{"rollback", "shop", "--reason", "x", "--yes"}, {"resume", "shop"}, {"retry", "shop"}, {"app", "remove", "shop", "--host", "--reason", "x", "--yes"}, {"freeze", "--reason", "x", "--yes"}, {"unfreeze", "--reason", "x"}} {
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
		{[]string{"status", "-o", "xml"}, "table, wide, json, yaml or name"},
		{[]string{"status", "--color", "red"}, "auto, always or never"},
		{[]string{"explain"}, "accepts 1 arg"},
		{[]string{"statsu"}, "did you mean state or status?"},
		{[]string{"attest", "scna"}, "did you mean scan?"},
		{[]string{"unfreeze"}, "--reason"},
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
		if code != exitUsage && c.args[0] != "approve" && c.args[0] != "prepare" || !strings.Contains(errs, c.says) {
			t.Errorf("%v: exit %d, says %q; want %q", c.args, code, errs, c.says)
		}
	}
}
