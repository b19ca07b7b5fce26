// Package peer carries what nodes of one network say to each other: the connections, every frame
// and its codec, the forwarding of work to the leader, and the fetching of what a disk lacks.
//
// # Connections
//
// All of them are attested TLS 1.3 (package channel), and each one has a single purpose:
//
//	sender ── frames ──▶ receiver       one per ordered pair of trusted nodes, kept up by the sender
//	fetcher ── request ──▶ node         one per fetch; answer and pieces come back on it
//	joiner ── hello ──▶ sponsor         one per attempt to join; see package join
//
// A node therefore has two connections with every other trusted node: the one that it dialed, on
// which it only writes, and the one that the other node dialed, on which it only reads. Frames of
// one sender arrive in order, at most once. What the other side may do is for a function to say that
// the transport is given (Standing); this package knows no constitution. It is asked for every frame and every piece
// of a fetch, because members may remove a node while it is connected. A node that is removed sends
// consensus messages and replies until consensus does without it. It forwards nothing: the leader believes
// a node whom a call is from.
//
// # Frames
//
// The first byte of a frame is its kind, the rest its body: CBOR in the one form of package canon,
// except that a consensus message is its own encoding and "behind" has no body. A body that does
// not decode is logged and dropped.
//
//	kind                from → to            if the connection is lost
//	1 consensus         any → any            consensus is told that the receiver cannot be reached, and sends again
//	2 forward           any → leader         not sent yet: not committed; sent: the outcome is unknown
//	3 reply             leader → asker       the asker's patience ends: the outcome is unknown
//	4 fetch             fetcher ↔ node       the fetch fails; the fetcher asks another node
//	5 behind            leader → any         the leader says so again
//	6 secret            holder → any         the leader offers it again; a node that needs it asks again
//	7 secret held       any → leader         the leader offers it again, and is answered again
//	8 secret wanted     any → any            the node asks again, until it has the secret or rejoins
//	9 beat              any → any            the next one follows within a second, the first one with a new connection
//	13 resume asked     any → any            the node asks again; the only frame on its connection
//	14 resume told      any → asker          the node asks again
//	19 program          any → any            it is the first frame on the next one
//	20 payload          any → any            the writer counts the node as one that has kept nothing; a node that wants it asks again
//	21 payload word     any → any            the same
//
// A node of an earlier build logs and drops frames of a kind that it does not know.
//
// # Memory
//
// A peer makes this node allocate at most one frame (channel.DefaultMaxFrame) per connection; what
// waits for one peer is bounded by maxQueued bytes; what waits for the leader's answers is bounded
// like the leader's own queue, and as fair.
//
// Trust: enclave
package peer
