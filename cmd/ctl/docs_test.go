package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs and testdata anew")

// TestDocs: docs/cli.md is what the binary itself says.
func TestDocs(t *testing.T) {
	t.Setenv("TEAL_SOCKET", "") // both are defaults that help shows
	t.Setenv("TEAL_POLICY", "")
	const file = "../../docs/cli.md"
	text := cliDoc()
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(have), text); d != "" {
		t.Errorf("docs/cli.md is not what the binary says; go test ./cmd/ctl -run TestDocs -update: %s", d)
	}
}

func cliDoc() string {
	root := (&tool{out: os.Stdout, err: os.Stderr}).root()
	var b strings.Builder
	b.WriteString("# tealctl\n\n<!-- Written by a test of cmd/ctl from the command tree; go test ./cmd/ctl -run TestDocs -update -->\n\n")
	b.WriteString(root.Long + "\n\nHow output, questions and errors behave: [cli-conventions.md](cli-conventions.md).\n\n")
	b.WriteString("## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, e := range exitTable {
		fmt.Fprintf(&b, "| %d | %s |\n", e.Code, e.Text)
	}
	b.WriteString("\n## Flags of every command\n\n```\n" + root.PersistentFlags().FlagUsages() + "```\n")
	for _, c := range root.Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		commandDoc(&b, c)
	}
	return b.String()
}

func commandDoc(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", c.CommandPath(), c.Short)
	if c.Long != "" {
		b.WriteString("\n" + c.Long + "\n")
	}
	if !c.HasSubCommands() {
		b.WriteString("\n```\n" + c.UseLine() + "\n```\n")
	}
	if c.Example != "" {
		b.WriteString("\n```\n" + c.Example + "\n```\n")
	}
	if flags := c.LocalFlags().FlagUsages(); flags != "" {
		b.WriteString("\n```\n" + flags + "```\n")
	}
	if all := endings(c); len(all) > 0 {
		var words []string
		for _, e := range all {
			words = append(words, fmt.Sprintf("%d %s", e.Code, e.Text))
		}
		b.WriteString("\nExit codes: " + strings.Join(words, "; ") + ".\n")
	}
	for _, sub := range c.Commands() {
		commandDoc(b, sub)
	}
}
