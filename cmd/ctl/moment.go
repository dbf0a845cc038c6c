package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment reads a time that a person writes: RFC 3339, a day and an hour in this machine's
// zone, a day alone, or a distance from now as 4h or 7d, in the direction of sign. It must
// lie in that direction.
func moment(text string, now time.Time, sign int) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if err != nil {
			at, err = time.ParseInLocation(form, text, time.Local)
		}
	}
	if err != nil {
		var d time.Duration
		if d, err = distance(text); err == nil {
			at = now.Add(time.Duration(sign) * d)
		}
	}
	switch {
	case err != nil:
		return at, fmt.Errorf("%q: give a time as 2026-12-24T08:00:00Z or \"2026-12-24 08:00\", or a duration as 4h or 7d", text)
	case sign > 0 && !at.After(now):
		return at, fmt.Errorf("%q is not to come; give a time to come as 2026-12-24T08:00:00Z, or a duration as 4h", text)
	case sign < 0 && !at.Before(now):
		return at, fmt.Errorf("%q is not past; give a time that is, or how long ago as 24h or 7d", text)
	}
	return at, nil
}

// distance is a duration, in days too.
func distance(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n <= 0 || n > 36500 {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(text)
}
