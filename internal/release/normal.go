package release

import (
	"context"
	"fmt"

	"github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"
)

// normalise has Compose's own loader bring a model into its one form: defaults, short
// forms written out, the implicit network. The model is handed over as values, never as
// a file; every part of the loader that reads files, follows references, takes
// variables or resolves paths is off. So is its check against Compose's schema: the
// shapes are stricter, and compiling the schema asks for the working directory.
func normalise(name string, model map[string]any) (project *composetypes.Project, err error) {
	// What reaches the loader came from anybody who could push. A panic in it is an
	// answer about the manifest, not an end of the agent.
	defer func() {
		if p := recover(); p != nil {
			project, err = nil, fmt.Errorf("the loader gave up: %v", p)
		}
	}()
	details := composetypes.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []composetypes.ConfigFile{{Filename: Manifest, Config: model}},
		Environment: composetypes.Mapping{},
	}
	return loader.LoadWithContext(context.Background(), details, func(o *loader.Options) {
		o.SetProjectName(name, true)
		o.SkipValidation = true
		o.SkipInterpolation = true
		o.SkipInclude = true
		o.SkipExtends = true
		o.ResolvePaths = false
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.PruneUnnecessaryResources = true
	})
}
