package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/ui"
)

// schemaReply is a schema in a reply.
type schemaReply struct {
	api.Meta
	Schema json.RawMessage `json:"schema"`
}

func (t *tool) schema() *cobra.Command {
	c := &cobra.Command{Use: "schema", Short: "Print the schemas of the files that people write and of what tealctl prints"}
	c.AddCommand(t.schemaOutputs())
	c.AddCommand(&cobra.Command{
		Use:   "manifest",
		Short: "Print the JSON Schema of release.yaml, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of release.yaml as this version reads it. An
editor with a YAML language server completes and checks by it with this first line:

  # yaml-language-server: $schema=` + release.SchemaID + `

It accepts whatever lint accepts; lint finds more. With -o json or yaml the schema is a
member of the reply.`,
		Example: "  tealctl schema manifest > manifest.schema.json", Annotations: reads([]int{exitOK, exitUsage}),
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema := release.ManifestSchema()
			return t.print(schemaReply{api.Meta{APIVersion: api.Version, Kind: "Schema"}, schema}, func(ui.Style) string { return string(schema) })
		},
	})
	return c
}
