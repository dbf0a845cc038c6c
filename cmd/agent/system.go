package main

import (
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"
)

// owner is the uid of a file.
func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// notify tells systemd how the service stands (sd_notify(3)); without systemd it does
// nothing.
func notify(log *slog.Logger, state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		log.Debug("systemd not told", "err", err)
		return
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		log.Debug("systemd not told", "err", err)
	}
}
