// Package lint states the rules about the tree that the compiler does not.
package lint

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tealops/teal/"

// What each room of ours may import of ours (STYLE 1). Crossing it is a decision:
// change the line, and say why in the commit.
var (
	pure  = []string{"internal/release", "internal/trust", "internal/rollout"}
	allow = map[string][]string{
		"internal/vocab":     {},
		"internal/release":   {"internal/vocab"},
		"internal/trust":     {"internal/release"},
		"internal/rollout":   {"internal/release", "internal/trust"},
		"internal/gitops":    pure,
		"internal/docker":    pure,
		"internal/proxy":     {"internal/vocab"}, // not release: teal-proxy does not link how a manifest is read
		"internal/health":    pure,
		"internal/journal":   pure,
		"internal/hostcare":  pure,
		"internal/registry":  pure,
		"internal/webhook":   pure,
		"internal/secrets":   pure,
		"internal/fleet":     pure,
		"internal/reconcile": pure,
		"internal/api":       pure,
		"internal/ui":        append([]string{"internal/api"}, pure...),
		"internal/sim":       append([]string{"internal/reconcile", "internal/fleet"}, pure...),
		"cmd/agent": append([]string{"internal/gitops", "internal/docker", "internal/proxy", "internal/health", "internal/journal",
			"internal/hostcare", "internal/registry", "internal/webhook", "internal/secrets", "internal/fleet", "internal/reconcile", "internal/api"}, pure...),
		"cmd/ctl":   append([]string{"internal/api", "internal/ui", "internal/gitops", "internal/registry", "internal/secrets", "internal/hostcare", "internal/journal"}, pure...),
		"cmd/proxy": {"internal/proxy"},
	}
	// What pure rooms never touch: the machine, the network, the log.
	forbidden = []string{"os", "os/exec", "os/user", "net", "net/http", "syscall", "log", "log/slog", "io/ioutil", "golang.org/x/sys/unix"}
)

type pkg struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
	Dir        string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,GoFiles,Dir", module+"...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsPointOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(room, "test/") || strings.HasPrefix(room, "examples/") {
			continue
		}
		key := room
		may, known := allow[key]
		for !known && strings.Count(key, "/") > 1 { // a folder inside a room follows the room
			key = key[:strings.LastIndex(key, "/")]
			may, known = allow[key]
			may = append(slices.Clone(may), key)
		}
		if !known {
			t.Errorf("%s is in no room: give it a line here and a sentence in docs/architecture.md", room)
			continue
		}
		seen[key] = true
		for _, imp := range p.Imports {
			if ours, ok := strings.CutPrefix(imp, module); ok && !slices.Contains(may, ours) && ours != room && !strings.HasPrefix(ours, room+"/") {
				t.Errorf("%s imports %s", room, ours)
			}
			if (room == "internal/vocab" || slices.Contains(pure, room)) && slices.Contains(forbidden, imp) {
				t.Errorf("%s is pure and imports %s", room, imp)
			}
		}
	}
	for room := range allow {
		if !seen[room] {
			t.Errorf("%s has a rule and no package", room)
		}
	}
}

// Pure rooms take the time as an argument.
func TestPureRoomsKnowNoClock(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		if !slices.Contains(pure, room) {
			continue
		}
		for _, file := range p.GoFiles {
			out, err := exec.Command("grep", "-nE", `time\.(Now|Since|Until|Sleep|After|Tick|NewTimer|NewTicker)\(`, p.Dir+"/"+file).Output()
			if err == nil {
				t.Errorf("%s/%s reads the clock: %s", room, file, out)
			}
		}
	}
}
