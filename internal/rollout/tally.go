package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// RuleErrorRate is the name of the traffic rule in samples.
const RuleErrorRate = "error_rate"

// proves reports whether passes of the rule are evidence that the release works: a
// container that runs and traffic without errors are not enough.
func proves(rule string) bool {
	return strings.HasPrefix(rule, "probe:") || strings.HasPrefix(rule, "smoke:")
}

// take counts a sample's outcome. A sample that could not be taken is an error; one
// that was cut short is none.
func (t *Tally) take(o Outcome, rules release.Bake, at time.Time) {
	switch {
	case o.Result == Interrupted || o.Result == Cancelled:
	case o.Result == OK && o.Sample != nil:
		t.add(*o.Sample, rules)
	default:
		t.Samples++
		t.ErrorsInRow++
		t.LastAt = at
	}
}

// add counts one sample. A sample fails when any rule fails; it is an error when
// none failed, none that proves something passed, and at least one could not be
// measured.
func (t *Tally) add(sample Sample, rules release.Bake) {
	t.Samples++
	t.LastAt = sample.At
	var failing []string
	proof, errors, traffic := 0, 0, true
	for _, r := range sample.Rules {
		if proves(r.Rule) {
			t.count(r)
		}
		switch r.Result {
		case Pass:
			switch {
			case proves(r.Rule):
				proof++
			case r.Rule == RuleErrorRate:
				t.TrafficProof++
			}
		case Fail:
			failing = append(failing, ruleText(r))
			traffic = traffic && r.Rule == RuleErrorRate
		case Error:
			errors++
		}
	}
	t.Proof += proof
	switch {
	case len(failing) > 0:
		t.Failed++
		t.ErrorsInRow = 0
		t.Failing = strings.Join(failing, "; ")
		if t.Failed >= max(1, rules.Failures) && traffic {
			t.Suspect, t.SuspectDetail = release.BakeErrorRate, t.Failing
		}
	case errors > 0 && proof == 0:
		t.ErrorsInRow++
	default:
		t.ErrorsInRow = 0
	}
}

func (t *Tally) count(r RuleSample) {
	if t.Passed == nil {
		t.Passed = map[string]int{}
	}
	n := t.Passed[r.Rule]
	if r.Result == Pass {
		n++
	}
	t.Passed[r.Rule] = n
}

// unproven names the rules that should have proved something and never passed.
func (t Tally) unproven() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.Passed)) {
		if t.Passed[name] == 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func ruleText(r RuleSample) string {
	if r.Detail == "" {
		return r.Rule
	}
	return r.Rule + ": " + r.Detail
}

// answer takes what the old colour said when it was asked about a suspicion. When it
// fails too, nobody's release is the cause. Any other answer leaves the suspicion,
// and the planner acts on it.
func (t *Tally) answer(o Outcome, burst uint64, calm time.Time) {
	if o.Result == Interrupted || o.Result == Cancelled {
		return // it is asked again
	}
	t.BurstSeen = max(t.BurstSeen, burst)
	if o.Result == Bad {
		t.SharedCause++
		t.SharedUntil = calm
		t.Suspect, t.SuspectDetail = "", ""
		t.Failed = 0
	}
}

// ErrorRate judges the share of 5xx between two counts against the baseline: no_data
// under minRequests, fail when the share above the baseline exceeds errorRate.
func ErrorRate(before, now Traffic, baseline float64, rules release.Bake) RuleSample {
	r := RuleSample{Rule: RuleErrorRate, Result: NoData}
	if now.Requests < before.Requests || now.Errors < before.Errors {
		before = Traffic{} // the proxy began to count anew
	}
	requests, errors := now.Requests-before.Requests, now.Errors-before.Errors
	if requests == 0 || requests < uint64(max(0, rules.MinRequests)) {
		r.Detail = fmt.Sprintf("%d requests, %d needed", requests, rules.MinRequests)
		return r
	}
	share := float64(errors) / float64(requests)
	r.Result = Pass
	r.Detail = fmt.Sprintf("%d of %d answers were errors (%.1f %%), before the switch %.1f %%", errors, requests, 100*share, 100*baseline)
	if share-baseline > rules.ErrorRate {
		r.Result = Fail
	}
	return r
}
