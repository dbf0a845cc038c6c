// Command tealctl is the operator's tool: a thin client of the agent's control
// socket. lint, prepare, approve, reject and verify work on a clone of the repository,
// without an agent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
)

// version is set by the linker.
var version = "dev"

func main() {
	log.SetOutput(io.Discard) // net/http tells it of peers that talk out of turn; tealctl says what matters itself
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is tealctl with everything it touches as arguments. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &tool{args: args, stdin: stdin, out: stdout, err: stderr, debug: slog.New(slog.DiscardHandler)}
	root := t.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return t.exit(ctx, cmd, err)
}

// tool is one run of tealctl.
type tool struct {
	args     []string
	stdin    io.Reader
	out, err io.Writer

	socket   string
	host     string
	format   string
	colour   string
	ascii    bool
	noHeader bool
	verbose  bool
	trace    string // that requests carry; from talk on an id, or empty

	debug *slog.Logger // what -v tells
	agent *api.Client  // nil before the first request
	asked bool         // a request was made
}

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tealctl",
		Short: "Look at, explain and steer what teal releases on this host",
		Long: `tealctl talks to the agent on this host through its control socket.

Answers go to stdout, everything else to stderr. Every reading command takes -o json.
The exit codes are the same for all commands: tealctl help exit-codes`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	f := root.PersistentFlags()
	f.StringVar(&t.socket, "socket", orEnv("TEAL_SOCKET", "/run/teal/agent.sock"), "the agent's control socket (TEAL_SOCKET)")
	f.StringVar(&t.host, "host", "", "the host that is meant: refuses to act where the agent's host has another name")
	f.StringVar(&t.trace, "trace-id", "", "trace id or W3C traceparent of what this run asks for (TRACEPARENT)")
	f.BoolVarP(&t.verbose, "verbose", "v", false, "tell on stderr what is asked of the agent and of git, and how long it takes")
	f.StringVarP(&t.format, "output", "o", "table", "output: table, wide, json, yaml or name")
	f.StringVar(&t.colour, "color", "auto", "colour: auto, always or never (NO_COLOR, FORCE_COLOR)")
	f.BoolVar(&t.ascii, "ascii", false, "no symbols outside ASCII")
	f.BoolVar(&t.noHeader, "no-header", false, "tables without their header")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := t.checkOutput(c); err != nil {
			return err
		}
		if err := t.talk(); err != nil {
			return err
		}
		if t.verbose {
			c.SetContext(withDebug(c.Context(), t.debug))
		}
		return t.checkHost(c.Context(), c)
	}
	root.AddGroup(&cobra.Group{ID: "look", Title: "Look:"}, &cobra.Group{ID: "release", Title: "Release:"}, &cobra.Group{ID: "steer", Title: "Steer (group teal-operators):"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("look", t.status(), t.explain(), t.history(), t.diff(), t.plan(), t.logs(), t.events())
	add("release", t.lint(), t.release(), t.schema(), t.init(), t.prepare(), t.approve(), t.reject(), t.verify(), t.attest(), t.trust(), t.secrets())
	add("steer", t.rollback(), t.resume(), t.retry(), t.app(), t.freeze(), t.unfreeze(), t.sync())
	root.AddCommand(t.version(), t.state(), t.exitCodes())
	strict(root)
	t.completeFlags(root)
	return root
}

// strict makes every command refuse with usage what it does not understand, and list its
// exit codes in its help.
func strict(c *cobra.Command) {
	for _, sub := range c.Commands() {
		strict(sub)
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage(err)
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
			c.SuggestionsMinimumDistance = 2
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				text += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return usage(errors.New(text))
		}
	}
	if text := endingsText(c); text != "" {
		c.SetUsageTemplate(c.UsageTemplate() + text)
	}
}

// checkOutput refuses an output that a command does not have, before anything is done.
func (t *tool) checkOutput(c *cobra.Command) error {
	switch t.format {
	case "table", "wide", "json", "yaml":
	case "name":
		if c.Annotations[namesKey] == "" && c.Annotations[doesKey] != "" {
			return usage(fmt.Errorf("%s has no names to print; use -o table, json or yaml", c.CommandPath()))
		}
	default:
		return usage(fmt.Errorf("unknown output %q: use table, wide, json, yaml or name", t.format))
	}
	switch t.colour {
	case "auto", "always", "never":
	default:
		return usage(fmt.Errorf("unknown colour mode %q: use auto, always or never", t.colour))
	}
	return nil
}

func orEnv(name, other string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return other
}
