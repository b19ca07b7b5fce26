// Package custody looks at who can open what in a simulated network: by its ledger, its members' keys and what its nodes keep, and without asking a node.
//
//	ledger ──audit──▶ Follower ─┬─▶ Open      any threshold of members opens all epochs and every batch, and fewer open none
//	                            ├─▶ Succession which key each committee has, and that shares of two committees do not combine
//	                            └─▶ Keeps     what a node keeps is of this network, and enough nodes open the archive
//	disks  ──────────────────────▶ Seals      no key seals two batches with one nonce, on whatever disk and however long it was there
//
// Each returns what is wrong, as errors for people.
//
// Trust: host
package custody
