// Package proxy is the data plane of a host: it sends each request to the live colour
// of the app that claims its host and path, and moves an app from one colour to the
// other between two requests. teal-proxy runs it as a process of its own, with no
// Docker and no Git in it; the agent steers it over a control socket, whose client
// stands here too.
//
// It does not start or probe containers to decide anything (docker, health), and it
// never chooses a colour: it serves what the last Put said, also after a restart.
//
// Invariants:
//   - All routes of an app change at once. What a request may reach is one immutable
//     table behind one atomic pointer; a request takes no lock that a switch holds, but
//     for the one that reports a burst, which adds a line to the list of events.
//   - A generation never goes back. A request counts itself in on its generation and
//     then looks again whether that is still the current one. So once Put has stored
//     the new table, no request chooses the old one any more, and Put knows of every
//     request that did.
//   - Put is durable before it is visible, except on a disk that takes nothing: then
//     it moves the traffic all the same, says so, and tries again until it is durable.
//   - A state that cannot be read never becomes "no routes".
//   - A client's connection begins as a line: plain HTTP/1.1 on one goroutine, its heads
//     read by h1, which refuses what two readers could read in two ways. What is only
//     unusual (an upgrade, an expectation, chunks from the client, a pause, a page of the
//     proxy's own) goes to net/http with the bytes that were read, before anything of it
//     was sent anywhere. Both paths choose, count and drain alike.
//   - An idle connection to a target is looked at before it is used: bytes that nobody
//     asked for are never the next answer.
//   - A path is judged in the form in which it is passed on. What two readers could
//     read as two routes is refused.
//   - A request with a body or with a method that changes things is sent once. It gets
//     a connection of its own, since an app may close an idle one at any moment; only
//     a connection that never came about is tried on another replica.
//   - Pools belong to a set of targets. At a switch the old set's idle connections
//     close; what runs on it ends on it, until Drain cuts it.
//   - Every byte of a client or of a target is bounded in size, count or time.
//
// Start it with Server.Run, stop it by ending the context: it takes no new
// connections, finishes what is in flight for at most 30 s and returns. A crash leaves
// the state directory as it was after the last Put, and a socket file that the next
// start replaces after taking the lock beside it.
package proxy
