package journal

import (
	"errors"
	"slices"
	"time"
)

// rotate begins a new segment when the last one is large or old. Without room the old
// one goes on.
func (j *Journal) rotate(now time.Time) error {
	j.view.Lock()
	last := j.segments[len(j.segments)-1]
	j.view.Unlock()
	if j.seq < last.first || last.end < j.segSize && now.Sub(last.began) < segmentAge {
		return nil
	}
	f, seg, head, err := j.create(j.seq+1, j.head, now)
	if err != nil {
		if errors.Is(err, ErrFailed) {
			return j.full(err)
		}
		j.log.Warn("no new segment of the journal", "err", err)
		return nil
	}
	if err := j.file.Truncate(last.end); err != nil { // gives its reserve back
		j.log.Warn("reserve of the old segment not freed", "file", last.path, "err", err)
	}
	if err := j.file.Close(); err != nil {
		j.log.Warn("old segment not closed", "file", last.path, "err", err)
	}
	j.file, j.head, j.allocated = f, head, seg.end+j.reserve
	j.view.Lock()
	j.segments = append(j.segments, seg)
	j.view.Unlock()
	return nil
}

// retire removes old segments that lie wholly before the last checkpoint: all that
// make the journal larger than it may be, and one whose entries are older than they
// need be kept. Not more than one, so that a clock that is wrong for a moment costs
// little.
func (j *Journal) retire() {
	for n := 0; ; n++ {
		seg, early, ok := j.retirable(n > 0)
		if !ok {
			return
		}
		if early {
			j.log.Warn("the journal is larger than it may be: entries go early", "file", seg.path, "newest", seg.newest.Format(time.RFC3339))
		}
		// The oldest first, each durably: a gap would be damage. Readers know first.
		j.view.Lock()
		j.segments = slices.Clone(j.segments[1:])
		j.view.Unlock()
		if err := j.disk.remove(seg.path); err != nil {
			j.log.Warn("old segment not removed", "file", seg.path, "err", err)
			j.view.Lock()
			j.segments = slices.Insert(j.segments, 0, seg)
			j.view.Unlock()
			return
		}
		if err := j.disk.syncDir(j.dir); err != nil {
			j.log.Warn("old segment not removed durably", "file", seg.path, "err", err)
			return
		}
		j.log.Info("old segment removed", "file", seg.path)
	}
}

// retirable is the oldest segment when it may go; early says that only size makes it.
func (j *Journal) retirable(bySize bool) (seg segment, early, ok bool) {
	j.view.Lock()
	defer j.view.Unlock()
	if len(j.segments) < 2 || j.segments[1].first > j.checkpoint.Seq {
		return segment{}, false, false
	}
	total := int64(0)
	for _, s := range j.segments {
		total += s.end
	}
	seg = j.segments[0]
	old := j.now().Sub(seg.newest) > j.keep
	return seg, !old, total > j.maxSize || old && !bySize
}
