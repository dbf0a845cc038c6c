// Command tealctl is the operator's tool: a thin client of the agent's control
// socket. lint, prepare, approve, reject and verify work on a clone of the repository,
// without an agent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is tealctl with everything it touches as arguments. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &tool{stdin: stdin, out: stdout, err: stderr}
	root := t.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return t.exit(ctx, err)
}

// tool is one run of tealctl.
type tool struct {
	stdin    io.Reader
	out, err io.Writer

	socket   string
	format   string
	colour   string
	ascii    bool
	noHeader bool
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
	f.StringVarP(&t.format, "output", "o", "table", "output: table, json or yaml")
	f.StringVar(&t.colour, "color", "auto", "colour: auto, always or never (NO_COLOR, FORCE_COLOR)")
	f.BoolVar(&t.ascii, "ascii", false, "no symbols outside ASCII")
	f.BoolVar(&t.noHeader, "no-header", false, "tables without their header")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch t.format {
		case "table", "json", "yaml":
		default:
			return usage(fmt.Errorf("unknown output %q: use table, json or yaml", t.format))
		}
		switch t.colour {
		case "auto", "always", "never":
		default:
			return usage(fmt.Errorf("unknown colour mode %q: use auto, always or never", t.colour))
		}
		return nil
	}
	root.AddGroup(&cobra.Group{ID: "look", Title: "Look:"}, &cobra.Group{ID: "release", Title: "Release:"}, &cobra.Group{ID: "steer", Title: "Steer (group teal-operators):"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("look", t.status(), t.explain(), t.history(), t.plan(), t.logs(), t.events())
	add("release", t.lint(), t.prepare(), t.approve(), t.reject(), t.verify(), t.attest(), t.trust())
	add("steer", t.rollback(), t.resume(), t.retry(), t.freeze(), t.unfreeze(), t.sync())
	root.AddCommand(t.version(), t.state(), exitCodes())
	return root
}

func orEnv(name, other string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return other
}

func (t *tool) client() *api.Client { return api.NewClient(t.socket) }

// exit prints the error, if any, and picks the exit code.
func (t *tool) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	var code exitError
	if errors.As(err, &code) {
		if code.err != nil {
			fmt.Fprintln(t.err, "tealctl: "+code.err.Error())
		}
		return code.code
	}
	if ctx.Err() != nil {
		fmt.Fprintln(t.err, "tealctl: interrupted; what the agent does goes on")
		return exitInterrupted
	}
	fmt.Fprintln(t.err, "tealctl: "+err.Error())
	var f *api.Failure
	switch {
	case errors.As(err, &f):
		if f.Next != "" {
			fmt.Fprintln(t.err, "  next: "+f.Next)
		}
		switch f.Code {
		case release.NotAuthorised:
			return exitNotAuthorised
		case release.BadRequest, release.UnknownApp, release.NoSuchRelease:
			return exitUsage
		}
		return exitFailed
	case errors.Is(err, api.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	}
	return exitFailed
}
