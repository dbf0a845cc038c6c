// Package api is the agent's control side: JSON over a Unix socket, server and
// client side by side. Who may do what follows from the peer's credentials and
// groups, which the kernel vouches for (SO_PEERCRED, SO_PEERGROUPS): the socket
// itself is open to all (0666), so that a refusal can say what is missing.
//
// The server decides nothing: it asks a Backend and turns its answers into replies.
// Start it with Server.Serve, stop it by ending the context. A crash leaves a socket
// file; the next start replaces it after taking the lock beside it.
package api
