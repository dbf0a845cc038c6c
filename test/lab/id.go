package lab

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// An id is tl<pid>x<start of the process in clock ticks>x<number of the lab>.
var idPattern = regexp.MustCompile(`^(tl(\d+)x(\d+)x\d+)(-|$)`)

func newID(pid int, n int64) (string, error) {
	start, err := startTime(pid)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("tl%dx%dx%d", pid, start, n), nil
}

// idOf is the lab id that a label's value or an object's name begins with, or "".
func idOf(name string) string {
	m := idPattern.FindStringSubmatch(strings.TrimPrefix(name, "/"))
	if m == nil {
		return ""
	}
	return m[1]
}

// dead reports whether the process that opened the lab is gone.
func dead(id string) bool {
	m := idPattern.FindStringSubmatch(id)
	if m == nil {
		return false
	}
	pid, err := strconv.Atoi(m[2])
	if err != nil {
		return false
	}
	start, err := startTime(pid)
	if err != nil {
		return os.IsNotExist(err)
	}
	return strconv.FormatUint(start, 10) != m[3]
}

// startTime is when a process began, in clock ticks since the machine's start: with
// the pid it names a process for good, until the next boot.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in brackets and may hold anything.
	rest := string(data)[strings.LastIndexByte(string(data), ')')+1:]
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return 0, fmt.Errorf("read /proc/%d/stat: too few fields", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
