package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// measure loads one proxy once and keeps what came of it.
func (b *bench) measure(ctx context.Context, r row, c *contestant) error {
	what := fmt.Sprintf("%s, %s", r.name, c.name)
	answered, bad, err := b.counts(ctx)
	if err != nil {
		return err
	}
	var before, after time.Duration
	if c.process != nil {
		if before, err = c.process.cpu(); err != nil {
			return err
		}
	}
	o, err := b.order(ctx, order{Do: "run", Address: c.address, Conns: r.conns, Kind: string(r.kind), Warm: b.warm, Window: b.window})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	s := sample{rate: float64(o.Window) / b.window.Seconds(), p50: micros(o.P50), p99: micros(o.P99)}
	if c.process != nil {
		if after, err = c.process.cpu(); err != nil {
			return err
		}
		// Of all requests, those of the warm-up too: nothing of it belongs to anything else.
		s[cpu] = micros(after-before) / float64(o.Right)
		if r.memory {
			size, err := c.process.pss()
			if err != nil {
				return err
			}
			s[memory] = float64(size) / (1 << 20)
		}
	}
	if err := b.agree(ctx, what, o, answered, bad); err != nil {
		return err
	}
	b.results.add(r.name, c.name, s)
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// agree fails the run when an answer was wrong, or when the backend counted anything
// but what the client did.
func (b *bench) agree(ctx context.Context, what string, o outcome, answered, bad int64) error {
	nowAnswered, nowBad, err := b.counts(ctx)
	switch {
	case err != nil:
		return err
	case o.Errors > 0:
		return fmt.Errorf("%s: %d connections met an error or a wrong answer, the first: %s", what, o.Errors, o.First)
	case nowBad != bad:
		return fmt.Errorf("%s: the backend got %d requests that the client did not send\n%s", what, nowBad-bad, b.backend.tail())
	case nowAnswered-answered != o.Right:
		return fmt.Errorf("%s: the client has %d right answers, the backend gave %d", what, o.Right, nowAnswered-answered)
	case o.Right == 0:
		return fmt.Errorf("%s: nothing was answered", what)
	}
	return nil
}

// counts are the backend's.
func (b *bench) counts(ctx context.Context) (answered, bad int64, err error) {
	text, err := b.backend.ask(ctx, "")
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(text, &answered, &bad)
	return answered, bad, err
}

// order has the client do something.
func (b *bench) order(ctx context.Context, o order) (out outcome, err error) {
	data, err := json.Marshal(o)
	if err != nil {
		return out, err
	}
	text, err := b.client.ask(ctx, string(data))
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal([]byte(text), &out)
}

// idlers has each proxy hold many connections that have had one answer each, in a fresh
// process, and prints what that adds to its memory.
func (b *bench) idlers(ctx context.Context) error {
	fmt.Fprintf(b.out, "\n%d idle keep-alive connections, each after one answer, fresh processes, one round (no bound; the kernel's memory is not in it)\n", b.config.idlers)
	fmt.Fprintf(b.out, "  %-8s %12s %12s %16s\n", "proxy", "before MiB", "with MiB", "KiB/connection")
	for _, name := range b.proxies {
		if name == direct {
			continue
		}
		if err := b.idle(ctx, name); err != nil {
			return fmt.Errorf("%s, %s: %w", rowIdle, name, err)
		}
	}
	return nil
}

func (b *bench) idle(ctx context.Context, name string) error {
	c, err := launch(ctx, name, b.setting("idle-"+name, b.config.idlers, false))
	if err != nil {
		return err
	}
	defer c.process.stop()
	before, err := c.process.pss()
	if err != nil {
		return err
	}
	answered, bad, err := b.counts(ctx)
	if err != nil {
		return err
	}
	held, err := b.order(ctx, order{Do: "hold", Address: c.address, Conns: b.config.idlers})
	if err != nil {
		return err
	}
	if err := b.agree(ctx, "to open them", held, answered, bad); err != nil {
		return err
	}
	with, err := c.process.pss()
	if err != nil {
		return err
	}
	// Were they all still there? Each answers once more.
	again, err := b.order(ctx, order{Do: "again"})
	if err != nil {
		return err
	}
	if err := b.agree(ctx, "to use them again", again, answered+held.Right, bad); err != nil {
		return err
	}
	if _, err := b.order(ctx, order{Do: "drop"}); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "  %-8s %12.1f %12.1f %16.2f\n", name, float64(before)/(1<<20), float64(with)/(1<<20), float64(with-before)/float64(b.config.idlers)/1024)
	return nil
}

// echo asks the backend through a proxy what it got, and names the headers that the
// proxy added.
func echo(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/"+string(rune(kindEcho))+"/"+strings.Repeat("0", markSize), nil)
	if err != nil {
		return "", err
	}
	req.Host, req.Close = host, true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %s: %s", resp.Status, data)
	}
	got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
	if err != nil {
		return "", err
	}
	if got.Host != host {
		return "", errors.New("it passes another Host on: " + got.Host)
	}
	var added []string
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id"} {
		if got.Header.Get(name) != "" {
			added = append(added, name)
		}
	}
	if added == nil {
		return "no header", nil
	}
	return strings.Join(added, ", "), nil
}
