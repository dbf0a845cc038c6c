package api

import "testing"

func TestConnectionsPerUser(t *testing.T) {
	l := &perPeer{roles: Roles{Operators: 7, Viewers: 8}, open: map[uint32]int{}}
	operator := func(uid uint32) Peer { return Peer{UID: uid, GID: 7} }
	for i := range maxPerPeer {
		if !l.enter(operator(1000)) {
			t.Fatalf("connection %d is refused", i+1)
		}
	}
	if l.enter(operator(1000)) {
		t.Error("one more than allowed is taken")
	}
	if !l.enter(operator(1001)) || !l.enter(Peer{}) {
		t.Error("one user's connections keep others out")
	}
	for range 2 * maxPerPeer {
		if !l.enter(Peer{}) {
			t.Fatal("root is refused")
		}
	}
	l.leave(operator(1000))
	if !l.enter(operator(1000)) {
		t.Error("a closed connection still counts")
	}
	for range maxPerPeer {
		l.leave(operator(1000))
	}
	if _, left := l.open[1000]; left {
		t.Error("a user without connections is remembered")
	}
}

// One person with a range of user ids (subuid(5)) and no role cannot use up the agent's
// connections.
func TestConnectionsOfStrangers(t *testing.T) {
	l := &perPeer{roles: Roles{Operators: 7, Viewers: 8}, open: map[uint32]int{}}
	for i := range uint32(maxStrangers) {
		if !l.enter(Peer{UID: 100000 + i, GID: 100000}) {
			t.Fatalf("stranger %d is refused", i+1)
		}
	}
	if l.enter(Peer{UID: 200000, GID: 100000}) {
		t.Error("one more than allowed is taken")
	}
	if !l.enter(Peer{UID: 1000, GID: 8}) || !l.enter(Peer{UID: 1001, GID: 7}) || !l.enter(Peer{}) {
		t.Error("strangers keep those with a role out")
	}
	l.leave(Peer{UID: 100000, GID: 100000})
	if !l.enter(Peer{UID: 200000, GID: 100000}) {
		t.Error("a closed connection still counts")
	}
}
