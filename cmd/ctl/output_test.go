package main

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/ui"
)

// openTerminal is a terminal of the kernel's: the end that a program has, and the one that
// shows.
func openTerminal(t *testing.T, width, height uint16) (tty, shows *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("a terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width}); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return slave, master
}

// TestStyle: what decides colour, symbols, width and times.
func TestStyle(t *testing.T) {
	tty, _ := openTerminal(t, 77, 20)
	for name, c := range map[string]struct {
		tty  bool
		env  map[string]string
		tool tool
		want ui.Style
	}{
		"terminal":                   {true, nil, tool{}, ui.Style{Human: true, Header: true, Colour: true, Width: 77}},
		"pipe":                       {false, nil, tool{}, ui.Style{Header: true}},
		"NO_COLOR":                   {true, map[string]string{"NO_COLOR": "1"}, tool{}, ui.Style{Human: true, Header: true, Width: 77}},
		"NO_COLOR that is empty":     {true, map[string]string{"NO_COLOR": ""}, tool{}, ui.Style{Human: true, Header: true, Colour: true, Width: 77}},
		"NO_COLOR beats FORCE_COLOR": {false, map[string]string{"NO_COLOR": "1", "FORCE_COLOR": "1"}, tool{}, ui.Style{Header: true}},
		"FORCE_COLOR":                {false, map[string]string{"FORCE_COLOR": "1"}, tool{}, ui.Style{Header: true, Colour: true}},
		"CLICOLOR_FORCE":             {false, map[string]string{"CLICOLOR_FORCE": "1"}, tool{}, ui.Style{Header: true, Colour: true}},
		"CLICOLOR=0":                 {true, map[string]string{"CLICOLOR": "0"}, tool{}, ui.Style{Human: true, Header: true, Width: 77}},
		"FORCE_COLOR beats CLICOLOR": {false, map[string]string{"CLICOLOR": "0", "FORCE_COLOR": "1"}, tool{}, ui.Style{Header: true, Colour: true}},
		"always beats NO_COLOR":      {false, map[string]string{"NO_COLOR": "1"}, tool{colour: "always"}, ui.Style{Header: true, Colour: true}},
		"never beats FORCE_COLOR":    {true, map[string]string{"FORCE_COLOR": "1"}, tool{colour: "never"}, ui.Style{Human: true, Header: true, Width: 77}},
		"dumb":                       {true, map[string]string{"TERM": "dumb"}, tool{}, ui.Style{Human: true, Header: true, Width: 77}},
		"C locale":                   {false, map[string]string{"LC_ALL": "C"}, tool{}, ui.Style{Header: true, ASCII: true}},
		"LC_ALL beats LANG":          {false, map[string]string{"LC_ALL": "de_DE.ISO-8859-1", "LANG": "C.UTF-8"}, tool{}, ui.Style{Header: true, ASCII: true}},
		"utf8 by another name":       {false, map[string]string{"LANG": "en_GB.utf8"}, tool{}, ui.Style{Header: true}},
		"ascii, wide, no header":     {false, nil, tool{ascii: true, format: "wide", noHeader: true}, ui.Style{ASCII: true, Wide: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "LC_ALL", "LC_CTYPE", "LANG"} {
				t.Setenv(v, c.env[v])
			}
			t.Setenv("TERM", "xterm")
			if term := c.env["TERM"]; term != "" {
				t.Setenv("TERM", term)
			}
			tool := c.tool
			tool.out = &lockedText{}
			if c.tty {
				tool.out = tty
			}
			if got := tool.style(); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
