package api

import "testing"

func TestConnectionsPerUser(t *testing.T) {
	l := &perPeer{open: map[uint32]int{}}
	for i := range maxPerPeer {
		if !l.count(1000, 1) {
			t.Fatalf("connection %d is refused", i+1)
		}
	}
	if l.count(1000, 1) {
		t.Error("one more than allowed is taken")
	}
	if !l.count(1001, 1) || !l.count(0, 1) {
		t.Error("one user's connections keep others out")
	}
	for range 2 * maxPerPeer {
		if !l.count(0, 1) {
			t.Fatal("root is refused")
		}
	}
	l.count(1000, -1)
	if !l.count(1000, 1) {
		t.Error("a closed connection still counts")
	}
	for range maxPerPeer {
		l.count(1000, -1)
	}
	if _, left := l.open[1000]; left {
		t.Error("a user without connections is remembered")
	}
}
