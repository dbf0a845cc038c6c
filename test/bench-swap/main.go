// Command bench-swap swaps the example shop under load, again and again, and counts
// what a client that never retries saw. Then it kills the proxy under the same load,
// to show that the client would have seen a failure.
//
// It exits non-zero when a request failed in a swap, when the proxy stamped the choice
// of an old colour after the switch call had returned, when a switch met too few
// requests in flight to prove anything, or when the control run shows no failure.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/rig"
)

// What each switch must meet to prove anything.
const (
	minInFlight = 32
	minMiddle   = 8
	slowFor     = 2 * time.Second
	margin      = 200 * time.Millisecond // "in the middle" of a slow answer
)

func main() {
	swaps := flag.Int("swaps", 100, "how many swaps")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 40*time.Minute)
	defer cancel()
	if err := run(ctx, *swaps); err != nil {
		fmt.Fprintln(os.Stderr, "bench-swap: "+err.Error())
		os.Exit(1)
	}
}

// swap is one switch of traffic, as the journal has it.
type swap struct {
	generation   uint64
	at, returned time.Time
	unfinished   int
	lastRead     time.Time // by the old backends
}

func run(ctx context.Context, swaps int) (err error) {
	r, err := rig.New(ctx, rig.Options{Bake: "{for: 1s, every: 500ms}", ProxyArgs: []string{"-expose"}}, nil)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	if err := r.StartProxy(ctx); err != nil {
		return err
	}
	if err := r.StartAgent(ctx); err != nil {
		return err
	}
	if err := deploy(ctx, r, 1); err != nil {
		return err
	}
	shape := rig.LoadShape{Fast: 6, Posts: 4, Slow: 44, SlowFor: slowFor, Pause: 20 * time.Millisecond, Trace: true}
	load := r.StartLoad(shape)
	defer load.Stop()
	time.Sleep(2 * slowFor) // every loop has begun
	began := time.Now()
	var all []swap
	seen := uint64(0)
	for n := 2; n <= swaps+1; n++ {
		old, err := r.App(ctx, "shop")
		if err != nil {
			return err
		}
		if err := deploy(ctx, r, n); err != nil {
			return err
		}
		s, last, err := switched(ctx, r, seen)
		if err != nil {
			return err
		}
		seen = last
		if s.lastRead, err = lastRead(ctx, r, old.Live); err != nil {
			return err
		}
		all = append(all, s)
		if n%10 == 1 {
			fmt.Fprintf(os.Stderr, "%d swaps, %d requests, %d failed\n", len(all), load.Sent.Load(), load.Failed.Load())
		}
	}
	took := time.Since(began)
	load.Stop()
	bad := report(load, all, took, shape)

	failed, err := control(ctx, r, shape)
	if err != nil {
		return err
	}
	fmt.Printf("control: the proxy killed with SIGKILL under the same load: %d requests failed (must be more than 0)\n", failed)
	if failed == 0 {
		bad = append(bad, "the control run shows no failure: the client would not have noticed one")
	}
	for _, b := range bad {
		fmt.Println("FAIL " + b)
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d claims do not hold", len(bad))
	}
	fmt.Println("all claims hold")
	return nil
}

func deploy(ctx context.Context, r *rig.Rig, n int) error {
	version := fmt.Sprintf("v1.%d.0", n)
	if _, err := r.Release(ctx, rig.Manifest{Version: version, Sequence: n, Minimal: true}); err != nil {
		return err
	}
	_, err := r.Await(ctx, "shop", 2*time.Minute, version+" live", rig.Live(version))
	return err
}

// switched finds the newest switch in the journal after a record.
func switched(ctx context.Context, r *rig.Rig, since uint64) (s swap, last uint64, err error) {
	generations := map[string]uint64{}
	err = api.NewClient(r.Socket()).Events(ctx, "shop", since, false, func(e api.Event) error {
		last = e.Seq
		var rec rollout.Record
		if e.Kind != "record" {
			return nil
		}
		if err := json.Unmarshal(e.Data, &rec); err != nil {
			return err
		}
		switch {
		case rec.Intent != nil && rec.Intent.Kind == rollout.SwitchTo:
			generations[rec.Intent.ID] = rec.Intent.Generation
		case rec.Outcome != nil && rec.Outcome.Kind == rollout.SwitchTo && rec.Outcome.Result == rollout.OK:
			s = swap{generation: generations[rec.Outcome.Effect], at: rec.Outcome.At, returned: rec.Outcome.Returned, unfinished: rec.Outcome.Unfinished}
		}
		return nil
	})
	if err == nil && s.at.IsZero() {
		err = fmt.Errorf("the journal has no switch after record %d", since)
	}
	return s, last, err
}

// lastRead asks the stopped containers of the old colour when they read their last
// request: they write it to their log when they end.
func lastRead(ctx context.Context, r *rig.Rig, set *rollout.Set) (time.Time, error) {
	found, err := r.Lab.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).
		Add("label", release.LabelRelease+"="+string(set.ID.Digest)).Add("label", release.LabelService+"=backend")})
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	for _, c := range found.Items {
		log, err := r.Lab.API.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "5"})
		if err != nil {
			return last, err
		}
		pr, pw := io.Pipe()
		go func() {
			_, err := stdcopy.StdCopy(pw, pw, log)
			pw.CloseWithError(err)
		}()
		for lines := bufio.NewScanner(pr); lines.Scan(); {
			if _, text, ok := strings.Cut(lines.Text(), "last request read at "); ok {
				ns, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
				if err != nil {
					return last, err
				}
				if t := time.Unix(0, ns); t.After(last) {
					last = t
				}
			}
		}
		log.Close()
	}
	if last.IsZero() {
		return last, fmt.Errorf("the old backends of %s did not say when they read their last request", set.Version)
	}
	return last, nil
}

// report prints the figures and says which claims do not hold.
func report(load *rig.Load, all []swap, took time.Duration, shape rig.LoadShape) (bad []string) {
	trips := load.Trips()
	var inFlight, middle []int
	for _, s := range all {
		n, m := 0, 0
		for _, t := range trips {
			if t.Begin.Before(s.at) && t.End.After(s.at) {
				n++
				if t.Slow && s.at.Sub(t.Begin) > margin && t.End.Sub(s.at) > margin {
					m++
				}
			}
		}
		inFlight, middle = append(inFlight, n), append(middle, m)
	}
	returned := map[uint64]time.Time{} // generation → when the switch away from it had returned
	for i, s := range all {
		if i > 0 {
			returned[all[i-1].generation] = s.returned
		} else {
			returned[s.generation-1] = s.returned
		}
	}
	late, stamped, worst := 0, 0, time.Duration(0)
	for _, t := range trips {
		if t.Chosen.IsZero() {
			continue
		}
		stamped++
		if end, ok := returned[t.Generation]; ok && t.Chosen.After(end) {
			late++
			worst = max(worst, t.Chosen.Sub(end))
		}
	}
	var reads, calls []time.Duration
	unfinished := 0
	for _, s := range all {
		reads = append(reads, s.lastRead.Sub(s.at))
		calls = append(calls, s.returned.Sub(s.at))
		unfinished += s.unfinished
	}
	fmt.Printf("load: %d loops of GET, %d of POST, %d of answers that take %s, a pause of %s between two requests of a loop; none retries\n",
		shape.Fast, shape.Posts, shape.Slow, shape.SlowFor, shape.Pause)
	fmt.Printf("swaps                                     %d in %s\n", len(all), took.Round(time.Second))
	fmt.Printf("offered                                   %d requests, %.0f a second\n", load.Sent.Load(), float64(load.Sent.Load())/took.Seconds())
	fmt.Printf("good, errors of the app, failed           %d, %d, %d\n", load.Good.Load(), load.Errors.Load(), load.Failed.Load())
	fmt.Printf("in flight at a switch                     %s\n", spread(inFlight))
	fmt.Printf("of these in the middle of a %s answer     %s\n", slowFor, spread(middle))
	fmt.Printf("old colour chosen after the call returned %d of %d stamped choices\n", late, stamped)
	fmt.Printf("switch → its call returned                %s\n", spread(calls))
	fmt.Printf("heads not written after 1 s               %d\n", unfinished)
	fmt.Printf("switch → old backends read their last     %s\n", spread(reads))
	check := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	check(load.Failed.Load() == 0, "%d requests failed: %v", load.Failed.Load(), load.Failures())
	check(load.Errors.Load() == 0, "%d answers were errors of the app", load.Errors.Load())
	check(late == 0, "%d requests chose the old colour after the switch call had returned, the worst by %s", late, worst)
	check(stamped > len(trips)*9/10, "only %d of %d answers carry the proxy's stamp", stamped, len(trips))
	check(slices.Min(inFlight) >= minInFlight, "a switch met only %d requests in flight, %d are needed", slices.Min(inFlight), minInFlight)
	check(slices.Min(middle) >= minMiddle, "a switch met only %d requests in the middle of a slow answer, %d are needed", slices.Min(middle), minMiddle)
	return bad
}

// spread is minimum, median and maximum.
func spread[T int | time.Duration](values []T) string {
	s := slices.Sorted(slices.Values(values))
	return fmt.Sprintf("min %v, median %v, max %v", s[0], s[len(s)/2], s[len(s)-1])
}

// control kills the proxy under load and starts it again.
func control(ctx context.Context, r *rig.Rig, shape rig.LoadShape) (failed int64, err error) {
	shape.Trace = false
	load := r.StartLoad(shape)
	defer load.Stop()
	time.Sleep(2 * time.Second)
	if err := r.KillProxy(); err != nil {
		return 0, err
	}
	if err := r.StartProxy(ctx); err != nil {
		return 0, err
	}
	time.Sleep(time.Second)
	load.Stop()
	return load.Failed.Load(), nil
}
