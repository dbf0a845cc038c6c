package api

import (
	"net/http"
	"time"

	"github.com/tealops/teal/internal/release"
)

// limits bound what one peer can hold of the agent by being slow. How much it can hold is
// bounded by maxPerPeer and maxStrangers.
type limits struct {
	head  time.Duration // to send a request's head
	body  time.Duration // to send its body, from the head on
	reply time.Duration // to take one reply
	// stream is how long a follower may take nothing: a pager holds its writer while a
	// person reads.
	stream time.Duration
	idle   time.Duration // between two requests
}

var defaultLimits = limits{head: 5 * time.Second, body: 10 * time.Second, reply: 30 * time.Second, stream: 10 * time.Minute, idle: time.Minute}

func (s *Server) within() limits {
	if s.limits == (limits{}) {
		return defaultLimits
	}
	return s.limits
}

// bounded holds every request to the limits, known path or not. Only commands have a
// body; whoever sends one with a question loses the connection.
func (l limits) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		// Neither call fails on a connection; the deadlines end with the request.
		_ = c.SetWriteDeadline(time.Now().Add(l.reply))
		if r.ContentLength != 0 {
			_ = c.SetReadDeadline(time.Now().Add(l.body))
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				w.Header().Set("Connection", "close")
				fail(w, Fail(http.StatusBadRequest, release.BadRequest, "only commands have a body"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// paced is a stream's writer: each write may take as long as stream allows, and is sent
// at once.
type paced struct {
	http.ResponseWriter
	limit time.Duration
}

func (p paced) Write(b []byte) (int, error) {
	c := http.NewResponseController(p.ResponseWriter)
	if err := c.SetWriteDeadline(time.Now().Add(p.limit)); err != nil {
		return 0, err
	}
	n, err := p.ResponseWriter.Write(b)
	if err == nil {
		err = c.Flush()
	}
	return n, err
}
