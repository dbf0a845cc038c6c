package main

import (
	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/release"
)

func (t *tool) schema() *cobra.Command {
	c := &cobra.Command{Use: "schema", Short: "Print the schemas of the files that people write"}
	c.AddCommand(&cobra.Command{
		Use:   "manifest",
		Short: "Print the JSON Schema of release.yaml, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of release.yaml as this version reads it. An
editor with a YAML language server completes and checks by it with this first line:

  # yaml-language-server: $schema=` + release.SchemaID + `

It accepts whatever lint accepts; lint finds more. Always JSON, whatever -o says.`,
		Example: "  tealctl schema manifest > manifest.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := t.out.Write(release.ManifestSchema())
			return err
		},
	})
	return c
}
