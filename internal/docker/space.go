package docker

import (
	"context"
	"fmt"
	"math"
	"syscall"
)

// Space is the room on the filesystem of the engine's data root.
type Space struct {
	DataRoot   string `json:"dataRoot"`
	FreeBytes  uint64 `json:"freeBytes"`  // for a process without privileges
	FreeInodes uint64 `json:"freeInodes"` // the largest number when the filesystem does not count them
}

// Space measures the room for images and containers. The error wraps fs.ErrNotExist
// or fs.ErrPermission when the engine's data root cannot be seen from here, as with
// an engine on another machine; then nothing is known.
func (e *Engine) Space(ctx context.Context) (Space, error) {
	info, err := e.Info(ctx)
	if err != nil {
		return Space{}, err
	}
	s := Space{DataRoot: info.DataRoot}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(info.DataRoot, &fs); err != nil {
		return s, fmt.Errorf("measure free space of %s: %w", info.DataRoot, err)
	}
	s.FreeBytes, s.FreeInodes = fs.Bavail*uint64(fs.Bsize), fs.Ffree
	if fs.Files == 0 {
		s.FreeInodes = math.MaxUint64
	}
	return s, nil
}
