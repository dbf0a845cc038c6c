package trust

import "time"

// Window is a time in which releases may start: it opens at each time that Cron names
// and stays open For. Source: windows: [{cron, zone, for}].
type Window struct {
	Cron string // five fields, as crontab(5)
	Zone string // IANA name
	For  time.Duration
}
