// Command teal-agent is the daemon of one host: it follows the repository of release
// manifests, verifies what it asks for, and moves the host's apps there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

// exitConfig tells systemd not to restart: nothing changes before a person acts.
const exitConfig = 78

var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// configError is an error that only a person can mend.
type configError struct{ error }

func (c configError) Unwrap() error { return c.error }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("teal-agent", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "/etc/teal/agent.yaml", "configuration `file`")
	check := flags.Bool("check", false, "print the effective configuration and exit")
	show := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "teal-agent moves this host's apps to what the repository of release manifests asks for.\n\nUsage: teal-agent [flags]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if *show {
		fmt.Fprintln(stdout, "teal-agent "+version)
		return 0
	}
	config, err := loadConfig(*file, os.Getenv)
	if err != nil {
		fmt.Fprintln(stderr, "teal-agent: "+err.Error())
		return exitConfig
	}
	if *check {
		fmt.Fprint(stdout, config.String())
		return 0
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: logLevels[config.LogLevel]}))
	agent, err := build(ctx, config, log)
	if err == nil {
		err = agent.run(ctx)
		agent.close()
	}
	var bad configError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		log.Info("stopped")
		return 0
	case errors.As(err, &bad):
		fmt.Fprintln(stderr, "teal-agent: "+err.Error())
		return exitConfig
	}
	fmt.Fprintln(stderr, "teal-agent: "+err.Error())
	return 1
}
