package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/ui"
)

func (t *tool) attestTests() *cobra.Command {
	var a attesting
	var result trust.TestResult
	var repository, commit string
	c := &cobra.Command{
		Use:   "tests --image NAME@sha256:… --result PASSED --key PEM",
		Short: "Sign the result of an image's tests",
		Long: `Sign an in-toto test-result statement. A release whose image has one with PASSED, by a
service's key, has its tests verified in the approval's checklist.`,
		Example: "  tealctl attest tests --image registry.example.com/shop@sha256:… --result PASSED --source-commit $(git rev-parse HEAD) --key ci.pem",
		Args:    cobra.NoArgs, Annotations: writes(fromFiles, exitNotAuthorised),
		RunE: func(c *cobra.Command, _ []string) error {
			image, err := a.subject()
			if err != nil {
				return err
			}
			if result.Result == "" {
				return usage(errors.New("attest tests needs --result: PASSED, WARNED or FAILED"))
			}
			if commit == "" && repository != "" {
				return usage(errors.New("--source-repository needs --source-commit"))
			}
			statement, err := trust.TestResultStatement(image, result, repository, commit)
			if err != nil {
				return refused(err)
			}
			reply, err := a.sign(c.Context(), t, "tests", image, trust.PredicateTypeTestResult, statement)
			if err != nil {
				return err
			}
			return t.print(reply, func(s ui.Style) string { return attestedText(s, reply) })
		},
	}
	a.flags(c)
	f := c.Flags()
	f.StringVar(&result.Result, "result", "", "PASSED, WARNED or FAILED")
	f.StringArrayVar(&result.Failed, "failed", nil, "a test that failed (repeatable)")
	f.StringVar(&repository, "source-repository", "", "the repository that was tested")
	f.StringVar(&commit, "source-commit", "", "the commit that was tested, in full")
	return c
}

func (t *tool) attestProvenance() *cobra.Command {
	var a attesting
	var p trust.Provenance
	var buildType string
	c := &cobra.Command{
		Use:   "provenance --image NAME@sha256:… --builder URI --source-repository URL --source-commit HEX --key PEM",
		Short: "Sign from which commit and by which builder an image was made",
		Long: `Sign a SLSA provenance v1 statement. With requireProvenance in the policy, an image runs
only when one says that it was made from the commit that the manifest names.`,
		Example: `  tealctl attest provenance --image registry.example.com/shop@sha256:… --builder https://ci.example.com/builder \
    --source-repository https://git.example.com/shop --source-commit $(git rev-parse HEAD) --key ci.pem`,
		Args: cobra.NoArgs, Annotations: writes(fromFiles, exitNotAuthorised),
		RunE: func(c *cobra.Command, _ []string) error {
			image, err := a.subject()
			if err != nil {
				return err
			}
			if p.Builder == "" || p.Repository == "" || p.Commit == "" {
				return usage(errors.New("attest provenance needs --builder, --source-repository and --source-commit"))
			}
			statement, err := trust.ProvenanceStatement(image, p, buildType)
			if err != nil {
				return refused(err)
			}
			reply, err := a.sign(c.Context(), t, "provenance", image, trust.PredicateTypeProvenance, statement)
			if err != nil {
				return err
			}
			return t.print(reply, func(s ui.Style) string { return attestedText(s, reply) })
		},
	}
	a.flags(c)
	f := c.Flags()
	f.StringVar(&p.Builder, "builder", "", "who built it: SLSA's builder id, a URI")
	f.StringVar(&p.Repository, "source-repository", "", "the repository that it was built from")
	f.StringVar(&p.Commit, "source-commit", "", "the commit that it was built from, in full")
	f.StringVar(&buildType, "build-type", "urn:teal:build:v1", "how it was built: SLSA's build type, a URI")
	return c
}
