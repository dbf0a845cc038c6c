package docker

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// Between two attempts to listen to the engine: the first, doubled up to the last,
// until one of them lasted.
const (
	firstListen = 100 * time.Millisecond
	lastListen  = 10 * time.Second
)

// refusal is how long after the client says that the engine took the request a
// refusal may still come: the client says so in either case.
const refusal = 20 * time.Millisecond

// watched is what can change what Observe says. exec_* is not in it: health checks
// make three of them at each run.
var watched = []events.Action{
	events.ActionCreate, events.ActionStart, events.ActionRestart, events.ActionDie, events.ActionOOM, events.ActionDestroy,
	events.ActionPause, events.ActionUnPause, events.ActionRename, events.ActionUpdate, events.ActionHealthStatus,
}

// Watch calls wake with an app's name whenever one of our containers of it changes,
// and with "" (look at all of them) each time it has begun to listen, since events
// may have been missed before. It listens again by itself when the engine goes away,
// and returns nil when ctx ends. wake must not block.
func (e *Engine) Watch(ctx context.Context, wake func(app string)) error {
	filters := make(client.Filters).Add("type", string(events.ContainerEventType)).Add("label", e.mine())
	for _, a := range watched {
		filters.Add("event", string(a))
	}
	pause := firstListen
	for ctx.Err() == nil {
		began := time.Now()
		err := e.listen(ctx, filters, wake)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > lastListen {
			pause = firstListen
		}
		e.log.Warn("the engine's events ended; listening again", "err", bound(err), "pause", pause)
		select {
		case <-time.After(pause + rand.N(pause/4)):
		case <-ctx.Done():
		}
		pause = min(2*pause, lastListen)
	}
	return nil
}

// listen follows the events once, until they end, and says why.
func (e *Engine) listen(ctx context.Context, filters client.Filters, wake func(app string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()                            // ends the client's goroutine
	slow := time.AfterFunc(quickCall, cancel) // bounds the answer's head
	stream := e.api.Events(ctx, client.EventsListOptions{Filters: filters})
	if !slow.Stop() {
		return errEngineSlow
	}
	select {
	case err := <-stream.Err:
		return err
	case <-time.After(refusal):
	}
	wake("")
	for {
		select {
		case m := <-stream.Messages:
			if app := m.Actor.Attributes[release.LabelApp]; app != "" {
				wake(app)
			}
		case err := <-stream.Err:
			if err == nil || errors.Is(err, io.EOF) {
				err = errors.New("the engine closed the stream")
			}
			return err
		}
	}
}
