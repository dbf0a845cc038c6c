package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/ui"
)

// outputsID is where the schema of the outputs is published.
const outputsID = "https://raw.githubusercontent.com/tealops/teal/main/docs/schema/outputs.json"

// outputs are all kinds that -o json prints. A new one needs a line here: the tests hold
// every answer to this list.
var outputs = []api.Output{
	{Kind: "AllowedSigners", Reply: signersReply{}},
	{Kind: "AppStatus", Reply: appChange{}},
	{Kind: "Attestation", Reply: attestedReply{}},
	{Kind: "Done", Reply: api.Done{}},
	{Kind: "Event", Reply: eventReply{}},
	{Kind: "ExitCodes", Reply: exitCodesReply{}},
	{Kind: "Explanation", Reply: api.Explanation{}},
	{Kind: "History", Reply: api.History{}},
	{Kind: "Init", Reply: initReply{}},
	{Kind: "Lint", Reply: lintReply{}},
	{Kind: "LogLine", Reply: logLine{}},
	{Kind: "NewRelease", Reply: newReleaseReply{}},
	{Kind: "Plan", Reply: api.Plan{}},
	{Kind: "Plans", Reply: plansReply{}},
	{Kind: "PolicyLint", Reply: policyLint{}},
	{Kind: "Reason", Reply: reasonReply{}},
	{Kind: "Reasons", Reply: reasonsReply{}},
	{Kind: "Schema", Reply: schemaReply{}},
	{Kind: "Sealed", Reply: sealedReply{}},
	{Kind: "Secrets", Reply: api.Secrets{}},
	{Kind: "Status", Reply: api.Status{}},
	{Kind: "Trust", Reply: trustReply{}},
	{Kind: "Verification", Reply: verifyReply{}},
	{Kind: "Version", Reply: versionReply{}},
}

func (t *tool) schemaOutputs() *cobra.Command {
	return &cobra.Command{
		Use:   "outputs [KIND]",
		Short: "Print the JSON Schema of what -o json prints, of all kinds or of one",
		Long: `Print the JSON Schema (draft 2020-12) of what this version prints with -o json: of all
kinds, or of one. It is published as

  ` + outputsID + `

Fields are only ever added, so it takes documents with fields that it does not know. With
-o json or yaml the schema is a member of the reply.`,
		Example:     "  tealctl schema outputs > outputs.schema.json\n  tealctl schema outputs Status",
		Annotations: reads([]int{exitOK, exitUsage}),
		Args:        cobra.MaximumNArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return kinds(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			of := outputs
			if len(args) > 0 {
				of = nil
				for _, o := range outputs {
					if strings.EqualFold(o.Kind, args[0]) {
						of = append(of, o)
					}
				}
				if of == nil {
					return usage(fmt.Errorf("no kind %q; there are: %s", args[0], strings.Join(kinds(), ", ")))
				}
			}
			schema := json.RawMessage(api.Schema(outputsID, false, of...))
			return t.print(schemaReply{api.Meta{APIVersion: api.Version, Kind: "Schema"}, schema}, func(ui.Style) string { return string(schema) })
		},
	}
}

func kinds() (all []string) {
	for _, o := range outputs {
		all = append(all, o.Kind)
	}
	return all
}
