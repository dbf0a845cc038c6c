// Package journal is the host's durable memory: an append-only, fsynced, hash-chained
// log of everything the agent meant and did. The state is what its replay gives;
// history, events and audit are readers of it. It knows nothing of what its entries
// mean, and it does not deliver them anywhere.
//
// Invariants: Append returns after the entry is on disk, or with an error and nothing
// of it left; one process writes at a time; numbers have no gap; an entry is never
// changed. Forward entries never touch the reserve, the blocks that are allocated
// ahead for entries that go back.
//
// Open it, append, Close it; it starts nothing by itself. A crash leaves at most one
// half-written entry at the end, which the next Open cuts off; any other damage is
// ErrCorrupt. See DESIGN.md for the format and the reasons.
package journal
