package warm
import (
 _ "github.com/moby/moby/client"
 _ "github.com/compose-spec/compose-go/v2/loader"
 _ "github.com/go-git/go-git/v5"
 _ "github.com/google/go-containerregistry/pkg/registry"
 _ "github.com/google/go-containerregistry/pkg/v1/remote"
 _ "github.com/spf13/cobra"
 _ "pgregory.net/rapid"
 _ "github.com/rogpeppe/go-internal/testscript"
 _ "golang.org/x/crypto/ssh/agent"
 _ "github.com/fsnotify/fsnotify"
 _ "github.com/docker/cli/cli/config"
 _ "golang.org/x/term"
 _ "github.com/google/go-cmp/cmp"
 _ "golang.org/x/sync/errgroup"
)
