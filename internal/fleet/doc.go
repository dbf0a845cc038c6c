// Package fleet grants a host its turn and takes it back, keeps quarantines,
// freezes and operators' orders. FSM is deterministic and clock-free: time arrives
// inside the command. All safety rules live in FSM.Apply; whoever proposes a command
// is not trusted to have checked anything.
//
// Local is the fleet of a single host: one voter, in this process, no listener. It
// makes each command durable before it answers. A fleet of several hosts puts Raft
// in the same place, behind the same methods.
//
// A crash leaves either the state before a command or the state after it; a command
// repeated with the same request id gives the same answer once more.
package fleet
