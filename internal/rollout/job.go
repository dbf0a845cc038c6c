package rollout

import (
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Job is one of a release's one-off runs, as the journal knows it.
type Job struct {
	Name    string          `json:"name"`
	When    release.JobWhen `json:"when"`
	Timeout time.Duration   `json:"timeout"`
}

// Timeout is how long a job of the set may run; 0 when it has no such job.
func (s Set) Timeout(job string) time.Duration {
	for _, j := range s.Jobs {
		if j.Name == job {
			return j.Timeout
		}
	}
	return 0
}

// jobTime is how long all jobs of one moment may take.
func (s *Set) jobTime(when release.JobWhen) (sum time.Duration) {
	for _, j := range s.Jobs {
		if j.When == when {
			sum += j.Timeout
		}
	}
	return sum
}

// pending is the first job of a moment that is not among those that ended; "" for none.
func (s *Set) pending(when release.JobWhen, ended []string) string {
	if s == nil {
		return ""
	}
	for _, j := range s.Jobs {
		if j.When == when && !slices.Contains(ended, j.Name) {
			return j.Name
		}
	}
	return ""
}

// forwardJob runs the next job before or after the switch, nil when there is none left.
// A release whose job fails goes back; an engine that does not answer is waited for, but
// not for ever.
func forwardJob(in Input, now time.Time, when release.JobWhen) Step {
	d := in.Past.Deploy
	name := d.To.pending(when, d.Ran)
	if name == "" || d.Kind != KindRelease {
		return nil
	}
	e := Effect{Kind: RunJob, Set: d.To, Job: name}
	switch {
	case !failing(d, RunJob):
		return act(in, e)
	case d.Last.Result != Retryable:
		return broken(d)
	case when == release.AfterSwitch && now.Sub(d.Since) > HandoverDeadline+d.To.StartDeadline()+d.To.jobTime(when):
		return goBack(d, d.Retry.Code, "job "+name+": "+d.Last.Detail, false)
	}
	return retrying(in, now, e)
}

// undo runs the next job of what is gone back from, nil when there is none left, or no
// time for it: an order waits.
func undo(in Input, now time.Time, of *Set) Step {
	d := in.Past.Deploy
	name := of.pending(release.OnRevert, d.Undone)
	if name == "" || in.Past.Rollback != nil || failing(d, RunJob) && now.Sub(d.Since) > RevertDeadline+of.jobTime(release.OnRevert) {
		return nil
	}
	return retrying(in, now, Effect{Kind: RunJob, Set: *of, Job: name, Back: true})
}

// jobEnded notes how a job ended.
func (d *Deployment) jobEnded(e Effect, o Outcome) {
	broken := o.Result == Bad || o.Result == NeedsPerson
	switch {
	case !e.Back && o.Result == OK:
		d.Ran = append(slices.Clone(d.Ran), e.Job)
	case e.Back && (o.Result == OK || broken):
		d.Undone = append(slices.Clone(d.Undone), e.Job)
		if broken {
			d.UndoFailed = "job " + e.Job + ": " + o.Detail
		}
	}
}

// undoText says what did not go well with the jobs of what was gone back from.
func undoText(d *Deployment, of *Set) string {
	if d.UndoFailed != "" {
		return d.UndoFailed
	}
	if name := of.pending(release.OnRevert, d.Undone); name != "" {
		return "job " + name + " was not run"
	}
	return ""
}
