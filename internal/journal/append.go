package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Going says which way an entry leads.
type Going int

const (
	// Forward entries leave the reserve alone: on a full disk they get ErrFull.
	Forward Going = iota
	// Back entries may use the reserve.
	Back
)

// ahead is how much is allocated at a time beyond what is needed.
const aheadStep = 64 << 10

// slew is how far back the clock may be set without the entries' times going back.
// Deadlines are counted from these times, so a clock that was wrong by more is
// followed at once.
const slew = time.Minute

// Append makes an entry of data, encoded as JSON, durable and returns it as Replay
// will. After an error nothing of it is in the journal: ErrFull may be tried again,
// ErrFailed not before the journal was opened again.
func (j *Journal) Append(app, kind string, data any, going Going) (Entry, error) {
	if kind == "" || kind == CheckpointKind || len(kind) > maxName || len(app) > maxName {
		return Entry{}, fmt.Errorf("append to the journal: no entry of kind %.60q may be written for app %.60q", kind, app)
	}
	j.write.Lock()
	defer j.write.Unlock()
	return j.append(app, kind, data, going, maxRecord)
}

// Checkpoint makes v, the state after all entries so far, the new start of a replay,
// and lets old segments go. The caller sees to it that no entry is appended between
// taking v and the call. Without a new entry since the last checkpoint it does nothing.
func (j *Journal) Checkpoint(v any) error {
	j.write.Lock()
	defer j.write.Unlock()
	j.view.Lock()
	last := j.checkpoint.Seq
	j.view.Unlock()
	if last > 0 && last == j.seq && j.failed == nil {
		return nil
	}
	if _, err := j.append("", CheckpointKind, v, Forward, maxCheckpoint); err != nil {
		return err
	}
	j.retire()
	return nil
}

func (j *Journal) append(app, kind string, data any, going Going, limit int) (Entry, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return Entry{}, fmt.Errorf("append to the journal: %w", err)
	}
	if j.failed != nil {
		return Entry{}, fmt.Errorf("append to the journal: %w", j.failed)
	}
	e := Entry{Seq: j.seq + 1, Time: j.stamp(), App: app, Kind: kind, Data: raw}
	if going == Forward {
		if err := j.rotate(e.Time); err != nil {
			return Entry{}, err
		}
	}
	line, head, err := encode(j.head, e)
	if err != nil {
		return Entry{}, fmt.Errorf("append to the journal: %w", err)
	}
	if len(line)-1 > limit {
		return Entry{}, fmt.Errorf("append to the journal: an entry of %d bytes, more than %d", len(line)-1, limit)
	}
	end := j.end()
	need := end + int64(len(line))
	if going == Forward {
		if err := j.ahead(need); err != nil {
			return Entry{}, j.full(err)
		}
	}
	if err := j.put(line, end); err != nil {
		return Entry{}, j.full(err)
	}
	e.Data = entryData(line)
	j.head, j.seq, j.last = head, e.Seq, e.Time
	j.allocated = max(j.allocated, need)
	j.publish(e, need)
	return e, nil
}

// entryData is the data as the line holds it, so that Append and Replay give the same.
func entryData(line []byte) json.RawMessage {
	var e Entry
	_ = json.Unmarshal(line[hexLen+1:], &e) // encode wrote it
	return e.Data
}

// stamp is the entry's time.
func (j *Journal) stamp() time.Time {
	now := j.now().UTC().Round(0)
	back := j.last.Sub(now)
	switch {
	case back <= 0:
		return now
	case back <= slew:
		return j.last
	}
	j.log.Warn("the clock went back", "was", j.last, "now", now)
	return now
}

// end is where the last segment's durable lines end.
func (j *Journal) end() int64 {
	j.view.Lock()
	defer j.view.Unlock()
	return j.segments[len(j.segments)-1].end
}

// ahead gives the last segment blocks up to upTo and for the whole reserve after it,
// so that a forward entry is refused before it is written, and one that goes back
// needs nothing from a full disk.
func (j *Journal) ahead(upTo int64) error {
	want := upTo + j.reserve
	if want <= j.allocated {
		return nil
	}
	from := j.end()
	err := j.allocate(j.file, from, want+aheadStep)
	if isFull(err) {
		if err = j.allocate(j.file, from, want); err == nil {
			j.allocated = want
		}
		return err
	}
	if err == nil {
		j.allocated = want + aheadStep
	}
	return err
}

// allocate is f.allocate on filesystems that can.
func (j *Journal) allocate(f handle, from, to int64) error {
	if j.unable || from >= to {
		return nil
	}
	err := f.allocate(from, to)
	if cannotAllocate(err) {
		j.unable = true
		j.log.Warn("the filesystem cannot allocate ahead: a rollback has no reserve on a full disk", "dir", j.dir, "err", err)
		return nil
	}
	return err
}

// put writes a line at the end and makes it durable. After an error the line is gone;
// when that is not sure, the journal has failed.
func (j *Journal) put(line []byte, end int64) error {
	_, err := j.file.WriteAt(line, end)
	synced := err == nil
	if synced {
		err = j.file.Sync()
	}
	if err == nil {
		return nil
	}
	j.allocated = end // cutting off gives the blocks behind it back
	if cerr := j.file.Truncate(end); cerr != nil {
		return j.fail(errors.Join(err, cerr))
	}
	if !isFull(err) {
		return j.fail(err)
	}
	if synced { // no room, found late: what the disk holds is known again after a good fsync
		if serr := j.file.Sync(); serr != nil {
			return j.fail(errors.Join(err, serr))
		}
	}
	_ = j.ahead(end) // best effort: keep what is left for going back
	return err
}

// fail marks the journal as failed. After a failed fsync the kernel may call pages
// clean that never reached the disk: no later fsync can be believed.
func (j *Journal) fail(err error) error {
	if j.failed == nil {
		close(j.broken)
	}
	j.failed = fmt.Errorf("%w: %w; restart the agent when the disk is sound", ErrFailed, err)
	j.log.Error("the journal failed", "dir", j.dir, "err", err)
	return j.failed
}

// full says ErrFull where err means it.
func (j *Journal) full(err error) error {
	if errors.Is(err, ErrFailed) {
		return fmt.Errorf("append to the journal: %w", err)
	}
	if isFull(err) {
		return fmt.Errorf("%w: %w; free space on the filesystem of %s", ErrFull, err, j.dir)
	}
	return fmt.Errorf("append to the journal: %w", err)
}

// publish lets readers see a durable entry.
func (j *Journal) publish(e Entry, end int64) {
	j.view.Lock()
	defer j.view.Unlock()
	seg := &j.segments[len(j.segments)-1]
	seg.end, seg.newest = end, e.Time
	j.durable = e.Seq
	if e.Kind == CheckpointKind {
		j.checkpoint = e
	}
	if !j.closed {
		close(j.changed)
		j.changed = make(chan struct{})
	}
}
