package ui

import (
	"fmt"
	"time"
)

// Ago is how long before now t was: "12s ago" for people, RFC 3339 for pipes.
func (s Style) Ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if !s.Human {
		return t.UTC().Format(time.RFC3339)
	}
	if d := now.Sub(t); d >= 0 {
		return Short(d) + " ago"
	}
	return "in " + Short(t.Sub(now))
}

// Short is a duration in at most two units.
func Short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
