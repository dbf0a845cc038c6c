package trust

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones mean the same on a host without them
)

// Window is a time in which releases may start: it opens at each minute that Cron names
// and stays open For. Source: windows: [{cron, zone, for}]. Wall-clock times that a zone
// skips in spring open nothing; those that it has twice in autumn open twice.
type Window struct {
	Cron string // five fields, as crontab(5)
	Zone string // IANA name; default UTC
	For  time.Duration

	when cron
	zone *time.Location
}

// maxWindow bounds how long one window stays open.
const maxWindow = 7 * 24 * time.Hour

// NewWindow reads a window.
func NewWindow(expression, zone string, open time.Duration) (Window, error) {
	w := Window{Cron: expression, Zone: zone, For: open}
	var err error
	if w.when, err = parseCron(expression); err != nil {
		return Window{}, err
	}
	if w.zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
		return Window{}, fmt.Errorf("%q is no time zone", zone)
	}
	if open <= 0 || open > maxWindow {
		return Window{}, fmt.Errorf("it stays open for %s, want more than 0 and at most %s", open, maxWindow)
	}
	return w, nil
}

// Open reports whether the window is open.
func (w Window) Open(at time.Time) bool { return !w.Closes(at).IsZero() }

// Closes is when the window that is open at a time closes; zero when none is open. Of
// several openings the last counts.
func (w Window) Closes(at time.Time) time.Time {
	if w.zone == nil {
		return time.Time{}
	}
	for t := at.Truncate(time.Minute); at.Sub(t) < w.For; t = t.Add(-time.Minute) {
		if w.when.matches(t.In(w.zone)) {
			return t.Add(w.For)
		}
	}
	return time.Time{}
}

// NextOpen is the next minute at which one of the windows opens; zero when none does
// within a year.
func NextOpen(windows []Window, at time.Time) time.Time {
	var first time.Time
	for _, w := range windows {
		if t := w.next(at); !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func (w Window) next(at time.Time) time.Time {
	if w.zone == nil {
		return time.Time{}
	}
	end := at.AddDate(1, 0, 0)
	for t := at.Truncate(time.Minute).Add(time.Minute); t.Before(end); {
		local := t.In(w.zone)
		switch {
		case w.when.matches(local):
			return t
		case !w.when.day(local) || !w.when.hour[local.Hour()]:
			t = t.Add(time.Duration(60-local.Minute()) * time.Minute)
		default:
			t = t.Add(time.Minute)
		}
	}
	return time.Time{}
}

// cron is one expression of five fields. Each field is a set of allowed values.
type cron struct {
	minute, hour, dom, month, dow [61]bool
	anyDay, anyWeekday            bool
}

// parseCron reads minute, hour, day of month, month and day of week (0 and 7 are
// Sunday) of numbers, ranges, lists and steps. As in crontab(5), a day matches either of
// day of month and day of week when both are restricted.
func parseCron(text string) (cron, error) {
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return cron{}, fmt.Errorf("%q: want five fields: minute, hour, day of month, month, day of week", text)
	}
	var c cron
	for i, f := range []struct {
		set       *[61]bool
		low, high int
	}{{&c.minute, 0, 59}, {&c.hour, 0, 23}, {&c.dom, 1, 31}, {&c.month, 1, 12}, {&c.dow, 0, 7}} {
		if err := cronField(fields[i], f.set, f.low, f.high); err != nil {
			return cron{}, fmt.Errorf("%q: %w", text, err)
		}
	}
	c.dow[0] = c.dow[0] || c.dow[7]
	c.anyDay, c.anyWeekday = fields[2] == "*", fields[4] == "*"
	return c, nil
}

func cronField(text string, set *[61]bool, low, high int) error {
	for part := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			n, err := strconv.Atoi(stepText)
			if err != nil || n < 1 || n > high {
				return fmt.Errorf("%q is no step", part)
			}
			step = n
		}
		from, to := low, high
		if span != "*" {
			a, b, ranged := strings.Cut(span, "-")
			n, err := strconv.Atoi(a)
			if err != nil {
				return fmt.Errorf("%q is no number", part)
			}
			from, to = n, n
			if ranged {
				if to, err = strconv.Atoi(b); err != nil {
					return fmt.Errorf("%q is no range", part)
				}
			} else if stepped {
				to = high
			}
		}
		if from < low || to > high || from > to {
			return fmt.Errorf("%q is not within %d to %d", part, low, high)
		}
		for v := from; v <= to; v += step {
			set[v] = true
		}
	}
	return nil
}

func (c cron) matches(t time.Time) bool { return c.minute[t.Minute()] && c.hour[t.Hour()] && c.day(t) }

func (c cron) day(t time.Time) bool {
	if !c.month[t.Month()] {
		return false
	}
	dom, dow := c.dom[t.Day()], c.dow[t.Weekday()]
	if c.anyDay || c.anyWeekday {
		return dom && dow
	}
	return dom || dow
}
