package gitops

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// addPack receives a pack from write, checks that it stays within the limits, indexes
// it and adds it to the clone durably. A pack without objects adds nothing.
func addPack(ctx context.Context, clone string, limits Limits, write func(io.Writer) error) (err error) {
	dir := filepath.Join(clone, "objects", "pack")
	f, err := os.CreateTemp(dir, "tmp_pack_*")
	if err != nil {
		return fmt.Errorf("receive pack: %w", err)
	}
	defer func() {
		_ = f.Close() // a second close after success is harmless
		_ = os.Remove(f.Name())
	}()
	buf := bufio.NewWriterSize(&limitedWriter{w: f, left: limits.Pack, what: "the download", limit: limits.Pack}, 64<<10)
	if err := write(buf); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("receive pack: %w", err)
	}
	index, err := indexPack(ctx, f, limits)
	if err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	if len(index.entries) == 0 {
		return nil
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	// The index last: Git and go-git look for indexes and then open the pack.
	base := filepath.Join(dir, "pack-"+index.sum.String())
	if err := os.Rename(f.Name(), base+".pack"); err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	return writeIndex(base+".idx", index)
}

// limitedWriter fails with *tooLargeError beyond its limit.
type limitedWriter struct {
	w           io.Writer
	left, limit int64
	what        string
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, &tooLargeError{l.what, l.limit}
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}

// caught turns a panic over a pack into an error; the pack came from outside.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the pack broke its parser: %v", p)
	}
}
