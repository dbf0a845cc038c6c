package docker

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Bounds of the log lines that go into a message.
const (
	tailLines = 10
	tailLine  = 240 // bytes of one line
	tailBytes = 64 << 10
	tailTime  = 5 * time.Second
)

// Logs is what a container wrote, standard output and error in the order the engine
// has them, with the last tail lines first (0 or less: from the beginning). With
// follow it goes on until the container ends or ctx does. The bytes are the
// container's: whoever prints them escapes them. The caller closes it.
func (e *Engine) Logs(ctx context.Context, containerID string, follow bool, tail int) (io.ReadCloser, error) {
	have, err := e.inspect(ctx, containerID)
	if err != nil {
		return nil, classify(ctx, "read the log of "+containerID, err)
	}
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow}
	if tail > 0 {
		options.Tail = strconv.Itoa(tail)
	}
	within, cancel := context.WithCancel(ctx)
	slow := time.AfterFunc(quickCall, cancel) // bounds the answer's head, not the reading
	raw, err := e.api.ContainerLogs(within, have.ID, options)
	if !slow.Stop() && err != nil && ctx.Err() == nil {
		err = errEngineSlow
	}
	if err != nil {
		cancel()
		return nil, classify(ctx, "read the log of "+nameOf(have), err)
	}
	if have.Config.Tty {
		return &logStream{Reader: raw, cancel: cancel, raw: raw}, nil
	}
	r, w := io.Pipe()
	s := &logStream{Reader: r, cancel: cancel, raw: raw, pipe: r, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_, err := stdcopy.StdCopy(w, w, raw)
		w.CloseWithError(err) // nil reads as io.EOF
	}()
	return s, nil
}

// logStream is a log with its two streams put together. Close ends the request and
// waits for the goroutine that copies.
type logStream struct {
	io.Reader
	cancel context.CancelFunc
	raw    io.Closer
	pipe   *io.PipeReader
	done   chan struct{}
}

func (s *logStream) Close() error {
	s.cancel()
	err := s.raw.Close()
	if s.pipe != nil {
		s.pipe.Close()
		<-s.done
	}
	return err
}

// tail is the last lines of a container's log on one line, escaped and bounded; ""
// when there are none or the log driver cannot be read.
func (e *Engine) tail(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(ctx, tailTime)
	defer cancel()
	r, err := e.Logs(ctx, id, false, tailLines)
	if err != nil {
		return ""
	}
	defer r.Close()
	data, _ := io.ReadAll(io.LimitReader(r, tailBytes)) // what came until an error is good enough
	var lines []string
	for scan := bufio.NewScanner(bytes.NewReader(data)); scan.Scan(); {
		if line := strings.TrimSpace(scan.Text()); line != "" {
			lines = append(lines, clip(escape(line), tailLine))
		}
	}
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, " | ")
}
