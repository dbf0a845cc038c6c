package trust

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/tealops/teal/internal/release"
)

// HeartbeatFile is a statement that the pipeline renews: that a server answers does not
// show that what it serves is new (attack 56).
const HeartbeatFile = "trust/heartbeat.json"

// PredicateTypeHeartbeat is its predicate: {repoId, at}.
const PredicateTypeHeartbeat = "urn:teal:heartbeat:v1"

const maxHeartbeat = 64 << 10

// readHeartbeat reads the file; nil when it is not there or not plain.
func readHeartbeat(fsys fs.FS) []byte {
	data, why, err := readPlain(fsys, HeartbeatFile, maxHeartbeat)
	if err != nil || why != "" {
		return nil
	}
	return data
}

// heartbeat says that the repository may be an old state of itself; nil when its
// heartbeat is young enough, or when the policy asks for none. It refuses nothing: what
// was approved stays approved.
func (j *judgement) heartbeat(now time.Time) *Finding {
	limit := j.policy.MaxStaleness
	if limit == 0 {
		return nil
	}
	stale := func(format string, args ...any) *Finding {
		f := found(release.RepoStale, fmt.Sprintf(format, args...), "")
		return &f
	}
	if j.in.Evidence.Heartbeat == nil {
		return stale("no %s", HeartbeatFile)
	}
	env, err := ParseEnvelope(j.in.Evidence.Heartbeat)
	if err != nil {
		_, detail := faultOf(err, "")
		return stale("%s: %s", HeartbeatFile, detail)
	}
	key, err := signerOf(env, j.policy.ServiceKeys(j.in.Release.App))
	if err != nil {
		_, detail := faultOf(err, "")
		return stale("%s: %s", HeartbeatFile, detail)
	}
	if why := j.mayState(key, StateHeartbeat, now); why != "" {
		return stale("%s: %s", HeartbeatFile, why)
	}
	st, err := ParseInToto(env.Payload)
	if err != nil || st.PredicateType != PredicateTypeHeartbeat {
		return stale("%s: not a heartbeat", HeartbeatFile)
	}
	r := frame{cursor: cursor{data: st.Predicate}}
	var at time.Time
	repo := ""
	r.strict("predicate", []string{"repoId", "at"}, nil, func(name string) {
		if name == "at" {
			at = r.time("predicate.at")
		} else {
			repo = r.need("predicate.repoId")
		}
	})
	switch {
	case r.err != nil:
		return stale("%s: not a heartbeat", HeartbeatFile)
	case repo != j.policy.RepoID:
		return stale("%s is of repository %s", HeartbeatFile, Escape(repo))
	case at.After(now.Add(MaxSkew)):
		return stale("%s is of %s, in this host's future", HeartbeatFile, at.Format(timeForm))
	case now.Sub(at) > limit:
		return stale("the last heartbeat is of %s, more than %s ago", at.Format(timeForm), limit)
	}
	return nil
}
