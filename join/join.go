// Package join admits nodes to a network: the joiner, which asks until a node admits it, and the
// sponsor, the trusted node that answers.
//
// Joining is a conversation of four messages on one TLS connection. Both sides prove their code by
// evidence over the node key and the connection's exported keying material, so evidence cannot
// be replayed or relayed.
//
//	joiner                                  sponsor
//	   ── hello {version} ───────────────────▶
//	   ◀── welcome {evidence, constitution} ──    the joiner checks code and constitution, or leaves
//	   ── request {signed node record} ──────▶    the leader checks it and commits it
//	   ◀── answer {grant} ────────────────────    or a refusal, with the leader's address
//
// The operator approves a constitution by its digest, before the joiner starts, and names the service, whose certificate
// says which network it is: two networks may begin with one constitution. Every node that is asked must be endorsed by
// that service, or the one that an earlier life of this node belonged to, and so must what it grants. Such a node is
// believed a constitution of another digest, too: members have changed it by their votes.
//
// A ledger that is on the joiner's disk already belongs to some service (Folder). No node of another one is asked, and
// nothing of that ledger is changed or moved before it is known to be the network's.
//
// A joiner is no node yet. It has an identity and a ledger on its disk, and its result is one value:
//
//	Joiner.Join ──▶ Admission {identity, network, secrets, what is shared, snapshots}
//	Admission.Prepare ──▶ the ledger up to where consensus goes on, and a snapshot to begin with
//
// Whatever keeps it out is told as a RefusedError, and it asks again: after two seconds if only people
// can remove the reason, after a tenth of one otherwise. A joiner that crashes after the commit is a
// trusted node that never speaks; its successor, with the same owner and address, replaces it.
//
// A node that works may have to join again, because the network went on without it: LeftBehindError.
//
// Trust: enclave
package join

import (
	"crypto/sha256"
	"crypto/x509"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/succession"
	"github.com/cocoframework/coco/wire"
)

// version is the version of the conversation.
const version = 2

// Network is what a node must know of a network to take part in it.
type Network struct {
	Constitution *constitution.Constitution // when the node was admitted; members may have changed it since
	Service      *channel.Service           // with its key
	Origin       coco.NodeID                // the node that started the network: the log's first voter
	// Nodes are the trusted nodes with their addresses, as far as known when the node was admitted.
	Nodes map[coco.NodeID]string
	Seqno uint64 // of the transaction that makes the node a trusted one
}

// ID returns what names a network for ever: its constitution changes, its certificates are renewed,
// its service's key stays. It is table.NetworkID of the state.
func (n *Network) ID() coco.Digest { return serviceID(n.Service.Certificate()) }

// serviceID returns the id of the network that a certificate is of.
func serviceID(service *x509.Certificate) coco.Digest {
	id, err := succession.ID(service)
	if err != nil {
		return sha256.Sum256(service.RawSubjectPublicKeyInfo) // of no network: the certificate contradicts itself
	}
	return id
}

// LeftBehindError ends the life of a node that has to join the network again, under another key.
type LeftBehindError struct {
	Ask          []string    // addresses of nodes
	Constitution coco.Digest // in force when it was left behind
	Service      []byte      // certificate, DER
	Why          string
	Admission    *Admission // of the next life, if it was admitted already
}

func (e *LeftBehindError) Error() string { return e.Why }

// refuse makes a sponsor's refusal.
func refuse(err error, leader string) peer.JoinAnswer {
	return peer.JoinAnswer{Kind: wire.Number(err), Reason: err.Error(), Rule: string(reasonOf(err)), Address: leader}
}
