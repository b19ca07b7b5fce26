// Package resume has the nodes of a network go on together after all of them have stopped, such as by a loss of power, without the members'
// shares, where the constitution allows it (recovery.unattended).
//
// # What a node keeps
//
// While it takes part in such a network, a node keeps what it needs to go on in one file (Keeper): its key, the service's key, the epochs' secrets and the packages of its seats, sealed to its
// code and its machine (attest.Seal). The file is written when one of these changes, never for a transaction, and removed when the setting is turned
// off, or when the node leaves. A node that joins under a new key removes the file of the old one first, so an identity that was replaced is gone.
//
// # How nodes go on
//
// A node that starts with such a file does two things at once: it asks to be admitted, as always, and it looks for other nodes that wait like it. If there is a
// network, it joins it under a new key. Where the secrets of old epochs are kept no longer, it begins with a snapshot; one that has lost its own fetches it from another node first, by the digest
// that its ledger records, and waits once it has it. If enough nodes wait (Needed), one of them gathers them into a generation:
//
//	gatherer                                    each of the others
//	   ── meet ─────────────────────────────────▶   where its ledger ends, which nodes that ledger trusts
//	   ── promise {generation, view, members} ──▶   keeps the view, sealed; leaves the generation before
//	   ◀── its ledger's end, secrets ────────────
//	   all have promised: the longest end is the floor
//	   ── begin {floor, secrets} ───────────────▶   takes part in consensus, in views from the promised one on
//
// This is the view change of Viewstamped Replication (Liskov and Cowling, "Viewstamped Replication Revisited", section 4.2) without its leader: Raft then elects one whose
// ledger ends at the floor or later. What it does first is to announce a new epoch (epochs.Driver.Open); nothing is ever sealed again under an old one.
//
// # Why there is one network
//
// A generation's members are processes: a node's identity and the certificate that one process alone shows. A process is of one generation at a time, and
// talks to its members only. Of n voters, of whom q commit, a generation has Needed(n) ≥ n−q+2. So
//
//   - two generations have two voters in common. One of them may have been started twice from a copy of its disk; the other has left the earlier generation
//     when it promised to the later one. What is left of the earlier one, at most n−Needed(n) voters and the doubled one, is no quorum.
//   - each entry that was committed is in the ledgers of q voters, of whom a generation has two. One of them may show an older disk; the other one's ledger
//     has the entry, so the floor has it.
//
// A view is promised that is higher than all that the members know by 65,536 and a random number, so a transaction id means one thing, even if the ledger
// was continued elsewhere.
//
// # What this gives up
//
// There is no counter that a host cannot turn back. One host may show an old disk or start a node twice, and nothing is lost. Hosts of two nodes that do so together can have
// committed transactions forgotten, or continue the ledger twice.
//
// Trust: enclave
package resume
