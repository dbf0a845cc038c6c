package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/storage/memory"
)

// clones: the first look at a repository of 10,000 commits. The whole history comes, for
// separation of duties asks who changed a directory since the last accepted release; it
// goes to the disk through a stream, so memory is that of the pack's index.
func (b *bench) clones() {
	const rounds = 3
	fmt.Println("A clone of 10,000 commits over HTTP, each of a process of its own:")
	long, short := b.history("long.git", 10_000), b.history("short.git", 1_000)
	var ours, less, memoryClone, cli, floor []usage
	for i := range rounds {
		state := func(name string) string { return filepath.Join(b.dir, fmt.Sprintf("clone-%s-%d", name, i)) }
		ours = append(ours, measured(os.Args[0], "clone-teal", b.url+long, state("teal")))
		memoryClone = append(memoryClone, measured(os.Args[0], "clone-go-git", b.url+long))
		cli = append(cli, measured("git", "clone", "-q", "--bare", b.url+long, state("cli")))
		less = append(less, measured(os.Args[0], "clone-teal", b.url+short, state("short")))
		floor = append(floor, measured(os.Args[0], "nothing"))
		for _, name := range []string{"teal", "cli", "short"} {
			must(os.RemoveAll(state(name)))
		}
	}
	o, l, m, c, f := median(ours), median(less), median(memoryClone), median(cli), median(floor)
	b.note("this program, doing nothing", f.String())
	b.note("ours, 1,000 commits", l.String())
	b.bound("ours, 10,000 commits", o.String(), o.rss <= 96<<20, "96 MiB")
	b.note("go-git's clone into memory", m.String())
	b.note("git clone --bare", c.String())
	b.bound("peak memory, ours / go-git's clone into memory", fmt.Sprintf("%.3f", float64(o.rss)/float64(m.rss)), o.rss <= m.rss, "1")
	per := float64(o.rss-l.rss) / 9000
	b.bound("peak memory for each further commit", fmt.Sprintf("%.0f B", per), per <= 8192, "8,192 B")
	b.bound("CPU, ours / go-git's clone into memory", fmt.Sprintf("%.3f", o.cpu/m.cpu), o.cpu <= m.cpu, "1")
	fmt.Println()
}

// usage is what a process took.
type usage struct {
	rss int64   // peak, bytes
	cpu float64 // seconds
}

func (u usage) String() string {
	return fmt.Sprintf("%.1f MiB, %.2f s CPU", float64(u.rss)/(1<<20), u.cpu)
}

func measured(name string, args ...string) usage {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), gitEnv(os.TempDir())...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		must(fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out))
	}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	// Our own say it themselves: the system counts what this process had at the fork.
	if peak, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64); err == nil {
		u.Maxrss = peak
	}
	return usage{rss: u.Maxrss << 10, cpu: float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9}
}

func median(all []usage) usage {
	rss, cpu := make([]int64, 0, len(all)), make([]float64, 0, len(all))
	for _, u := range all {
		rss, cpu = append(rss, u.rss), append(cpu, u.cpu)
	}
	slices.Sort(rss)
	slices.Sort(cpu)
	return usage{rss[len(rss)/2], cpu[len(cpu)/2]}
}

// history makes a repository of so many commits, each a release of one of 20 apps.
func (b *bench) history(name string, commits int) string {
	dir := filepath.Join(b.dir, name)
	git(b.dir, "", "init", "-q", "--bare", "-b", "main", dir)
	var in strings.Builder
	for i := range commits {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ann <ann@example.com> %d +0000\n", 1700000000+i)
		data(&in, fmt.Sprintf("release %d", i))
		if i == 0 {
			file(&in, "teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: "+repoID+"\n")
		}
		app := i % 20
		file(&in, fmt.Sprintf("environments/staging/app-%05d/release.yaml", app), manifest(app, i+1))
	}
	git(dir, in.String(), "fast-import", "--quiet")
	git(dir, "", "repack", "-a", "-d", "-q")
	return name
}

// sayPeak prints the most memory that this process had, in KiB.
func sayPeak() {
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	for line := range strings.Lines(string(status)) {
		if peak, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Println(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(peak), "kB")))
		}
	}
}

func cloneGoGit(url string) {
	_, err := gogit.Clone(memory.NewStorage(), nil, &gogit.CloneOptions{URL: url})
	must(err)
}
