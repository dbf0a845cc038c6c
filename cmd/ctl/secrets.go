package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/secrets"
	"github.com/tealops/teal/internal/ui"
)

func (t *tool) secrets() *cobra.Command {
	c := &cobra.Command{Use: "secrets", Short: "Secrets of apps: seal one, see where each comes from, swap a release for new ones", Args: cobra.NoArgs,
		Example: "  tealctl secrets status shop\n  tealctl secrets encrypt --env production --app shop --name database-url url.txt\n  tealctl secrets rotate shop --wait",
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(t.secretsEncrypt(), t.secretsRotate(), t.secretsStatus())
	return c
}

// sealedReply says what was written; it holds nothing of the value but its length.
type sealedReply struct {
	api.Meta
	File       string `json:"file"`
	Place      string `json:"place"`
	Recipients int    `json:"recipients"`
	Bytes      int    `json:"bytes"`
	Use        string `json:"use"` // what the manifest says
}

func (t *tool) secretsEncrypt() *cobra.Command {
	var place secrets.Place
	var repo, out string
	var trim, dry bool
	c := &cobra.Command{
		Use:   "encrypt --env ENV --app APP --name NAME [FILE]",
		Short: "Seal a secret for the hosts of an environment, as an age file beside the manifest",
		Long: `Seal a secret so that only the hosts in environments/<env>/recipients.txt can open it, and
only as this app's secret of this name. The value comes from FILE, or from stdin, exactly as
it is; it is never printed, and never an argument. The age file is written beside the
manifest with mode 0600; commit it with the release that uses it.`,
		Example: `  tealctl secrets encrypt --env production --app shop --name database-url url.txt
  pass show shop/database-url | tealctl secrets encrypt --env production --app shop --name database-url --trim`,
		Args:        cobra.MaximumNArgs(1),
		Annotations: writes(fromFiles),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkPlace(place); err != nil {
				return usage(err)
			}
			value, err := t.secretValue(arg(args))
			if err != nil {
				return err
			}
			if trim {
				value = []byte(strings.TrimRight(string(value), "\r\n"))
			} else if strings.HasSuffix(string(value), "\n") {
				fmt.Fprintln(t.err, "note: the value ends in a line break, which is kept; --trim takes it off")
			}
			reply, err := seal(repo, out, place, value, dry)
			if err != nil {
				return err
			}
			return t.print(reply, func(s ui.Style) string {
				would := ""
				if dry {
					would = "would write "
				}
				return s.Mark(ui.Good, fmt.Sprintf(would+"%s: %d bytes for %s, sealed for %d recipients", reply.File, reply.Bytes, reply.Place, reply.Recipients)) + "\n" +
					"In the manifest: " + reply.Use + "\n"
			})
		},
	}
	f := c.Flags()
	f.StringVar(&place.Env, "env", "", "environment (required)")
	f.StringVar(&place.App, "app", "", "app (required)")
	f.StringVar(&place.Name, "name", "", "name of the secret in the manifest (required)")
	f.StringVar(&repo, "repo", ".", "clone of the repository of release manifests")
	f.StringVar(&out, "out", "", "write here (default environments/<env>/<app>/<name>.age in the clone)")
	f.BoolVar(&dry, "dry-run", false, "seal and say what would be written, write nothing")
	f.BoolVar(&trim, "trim", false, "take line breaks off the end of the value")
	return c
}

func checkPlace(p secrets.Place) error {
	switch {
	case !release.ValidName(p.Env):
		return fmt.Errorf("--env %q is not the name of an environment", p.Env)
	case !release.ValidApp(p.App):
		return fmt.Errorf("--app %q is not the name of an app", p.App)
	case !release.ValidSecret(p.Name):
		return fmt.Errorf("--name %q is not the name of a secret: letters, digits, dot, dash and underscore", p.Name)
	}
	return nil
}

// secretValue reads the value from a file or stdin.
func (t *tool) secretValue(file string) (secrets.Secret, error) {
	var in io.Reader = t.stdin
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read the value: %w", err)
		}
		defer f.Close() // only read from
		in = f
	} else if t.canAsk() {
		return nil, usage(errors.New("give a file, or the value through a pipe: a terminal would show it"))
	}
	value, err := io.ReadAll(io.LimitReader(in, secrets.MaxSecret+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the value: %w", err)
	case len(value) > secrets.MaxSecret:
		return nil, fmt.Errorf("the value is larger than %d bytes; mount a volume for large data", secrets.MaxSecret)
	}
	return value, nil
}

const maxRecipientsFile = 1 << 20

// seal writes the age file and opens nothing.
func seal(repo, out string, place secrets.Place, value secrets.Secret, dry bool) (sealedReply, error) {
	reply := sealedReply{Meta: api.Meta{APIVersion: api.Version, Kind: "Sealed"}, Place: place.String(), Bytes: len(value)}
	if len(value) == 0 {
		return reply, errors.New("the value is empty; a program that reads it would run without one")
	}
	name := filepath.Join("environments", place.Env, secrets.Recipients)
	f, err := os.Open(filepath.Join(repo, name))
	if errors.Is(err, fs.ErrNotExist) {
		return reply, fmt.Errorf("there is no %s in %s; write the age public key of each host into it, one a line (age-keygen -y prints it)", name, repo)
	}
	if err != nil {
		return reply, fmt.Errorf("read the recipients: %w", err)
	}
	defer f.Close() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxRecipientsFile))
	if err != nil {
		return reply, fmt.Errorf("read the recipients: %w", err)
	}
	to, err := secrets.ParseRecipients(name, text)
	if err != nil {
		return reply, err
	}
	sealed, err := secrets.Seal(place, value, to)
	if err != nil {
		return reply, err
	}
	reply.Recipients, reply.File = len(to), out
	if out == "" {
		reply.File = filepath.Join(repo, "environments", place.Env, place.App, place.Name+".age")
	}
	if info, err := os.Stat(filepath.Dir(reply.File)); err != nil || !info.IsDir() {
		return reply, fmt.Errorf("there is no directory %s; write the app's release.yaml first, or give --out", filepath.Dir(reply.File))
	}
	reply.Use = fmt.Sprintf("secrets: {%s: {file: ./%s}}", place.Name, filepath.Base(reply.File))
	if dry {
		return reply, nil
	}
	return reply, secrets.WriteSealed(reply.File, sealed)
}

func (t *tool) secretsRotate() *cobra.Command {
	o := order{verb: "rotate"}
	c := &cobra.Command{
		Use:   "rotate APP",
		Short: "Swap the live release again, with the secrets and host values of now",
		Long: `Swap the live release again with the secrets and host values that this host has now. It
needs no new approval: the release is the same. It is watched as any release and goes back
to the old secrets by itself when it is bad; then only the new ones are quarantined.`,
		Example: "  tealctl secrets rotate shop --reason \"leaked in a log\" --wait",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: writes(fromAgent, exitUnhealthy, exitBlocked, exitTimeout),
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = args[0]
			return t.give(c, o)
		},
	}
	o.flags(c, "why, for the journal")
	o.waitFlags(c)
	return c
}

func (t *tool) secretsStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status [APP]",
		Short: "Where each secret and host value comes from, and whether the live release has it",
		Long: `List the secrets and host values that the releases ask of this host: where each comes
from, and whether the live release runs with what is there now. No value is shown.
Exit code 1 when one is missing.`,
		Example: "  tealctl secrets status\n  tealctl secrets status shop -o json",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: reads(fromAgent),
		RunE: func(c *cobra.Command, args []string) error {
			reply, err := t.client().Secrets(c.Context(), arg(args))
			if err != nil {
				return err
			}
			if err := t.print(reply, func(s ui.Style) string { return s.Secrets(reply) }); err != nil {
				return err
			}
			for _, a := range reply.Apps {
				if a.State == "missing" {
					return exitError{code: exitFailed}
				}
			}
			return nil
		},
	}
}
