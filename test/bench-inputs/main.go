// Command bench-inputs measures what following a Git repository costs: a look without a
// change, the reading of 10,000 manifests of which one changed, and a clone of 10,000
// commits, against go-git and the git program in the same run. Alternating rounds, medians
// and ratios; CPU is the process's own (getrusage), so a busy machine moves it little. It
// ends with 1 when a bound is missed.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tealops/teal/internal/gitops"
)

const repoID = "0b6f3f0e-6a1f-4c0e-9f6a-3d2f6a1c9e55"

func main() {
	parts := []string{"clones", "polls", "manifests"}
	if len(os.Args) > 1 && !slices.Contains(parts, os.Args[1]) {
		child(os.Args[1], os.Args[2:])
		return
	}
	if len(os.Args) > 1 {
		parts = os.Args[1:]
	}
	dir, err := os.MkdirTemp("", "teal-bench-inputs-")
	must(err)
	fmt.Printf("bench-inputs: alternating rounds, medians of CPU time; %d cores, %s, %s\n\n", runtime.NumCPU(), runtime.Version(), gitVersion())
	b := &bench{dir: dir, ok: true}
	b.serve()
	// Clones first: what a process has at its fork counts as the child's peak memory, so
	// this one has to be small then.
	for _, part := range parts {
		switch part {
		case "clones":
			b.clones()
		case "polls":
			b.polls()
		case "manifests":
			b.manifests()
		}
	}
	b.stop()
	_ = os.RemoveAll(dir) // of the system's temporary directory
	if !b.ok {
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	dir    string
	url    string // of the Git server, with a slash at its end
	server *exec.Cmd
	ok     bool
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-inputs:", err)
		os.Exit(1)
	}
}

// child is this program as another process, so that its memory and CPU are told apart.
func child(what string, args []string) {
	switch what {
	case "serve":
		serveChild(args[0])
	case "clone-teal":
		r, err := gitops.Open(config(args[0], args[1]))
		must(err)
		_, err = r.Sync(context.Background())
		must(err)
		sayPeak()
	case "clone-go-git":
		cloneGoGit(args[0])
		sayPeak()
	case "nothing":
		sayPeak()
	default:
		must(fmt.Errorf("%s is nothing that bench-inputs does", what))
	}
}

// config follows main of a repository with a state directory.
func config(url, dir string) gitops.Config {
	return gitops.Config{URL: url, Dir: dir, RepoID: repoID, Timeout: 10 * time.Minute, Environment: "staging", Log: slog.New(slog.DiscardHandler)}
}

// serve starts a smart HTTP server of its own process for everything below dir.
func (b *bench) serve() {
	b.server = exec.Command(os.Args[0], "serve", b.dir)
	b.server.Stderr = os.Stderr
	out, err := b.server.StdoutPipe()
	must(err)
	must(b.server.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(err)
	b.url = strings.TrimSpace(line) + "/"
}

func (b *bench) stop() {
	_ = b.server.Process.Kill() // it holds nothing
	_ = b.server.Wait()
}

func serveChild(dir string) {
	core, err := exec.Command("git", "--exec-path").Output()
	must(err)
	srv := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env:  append(gitEnv(dir), "GIT_PROJECT_ROOT="+dir, "GIT_HTTP_EXPORT_ALL=1", "PATH="+os.Getenv("PATH")),
	})
	fmt.Println(srv.URL)
	select {}
}

var _ http.Handler = (*cgi.Handler)(nil)

func gitEnv(home string) []string {
	return []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "HOME=" + home,
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com"}
}

func gitVersion() string {
	out, err := exec.Command("git", "--version").Output()
	must(err)
	return strings.TrimSpace(string(out))
}

// git runs the git program.
func git(dir, input string, args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, append(os.Environ(), gitEnv(dir)...), strings.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		must(fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, stderr.String()))
	}
	return strings.TrimSpace(string(out))
}

// cpu is what a process and the threads of it have used, user and system.
func cpu(who int) time.Duration {
	var u syscall.Rusage
	must(syscall.Getrusage(who, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// self is the CPU time that f takes in this process.
func self(f func()) time.Duration {
	runtime.GC()
	began := cpu(syscall.RUSAGE_SELF)
	f()
	return cpu(syscall.RUSAGE_SELF) - began
}

// children is the CPU time of the processes that f starts and waits for.
func children(f func()) time.Duration {
	began := cpu(syscall.RUSAGE_CHILDREN)
	f()
	return cpu(syscall.RUSAGE_CHILDREN) - began
}

// alternate measures several things in turn and gives the median of each.
func alternate(rounds int, measures ...func() time.Duration) []time.Duration {
	all := make([][]time.Duration, len(measures))
	for _, m := range measures {
		m() // warm
	}
	for range rounds {
		for i, m := range measures {
			all[i] = append(all[i], m())
		}
	}
	out := make([]time.Duration, len(measures))
	for i, times := range all {
		slices.Sort(times)
		out[i] = times[len(times)/2]
	}
	return out
}

// bound prints one figure with its bound.
func (b *bench) bound(what, figure string, ok bool, bound string) {
	mark := "ok"
	if !ok {
		mark, b.ok = "FAIL", false
	}
	fmt.Printf("  %-62s %28s  (bound %s) %s\n", what, figure, bound, mark)
}

func (b *bench) note(what, figure string) { fmt.Printf("  %-62s %28s\n", what, figure) }

func ms(d time.Duration) string { return fmt.Sprintf("%.3f ms", float64(d)/1e6) }

func share(x, y time.Duration) string { return fmt.Sprintf("%.4f", float64(x)/float64(y)) }
