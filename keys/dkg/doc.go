// Package dkg makes a key for package tdh2 whose private part is never in one place, and shares an old one anew.
//
// It is a distributed key generation over a broadcast channel, which is the ledger: every statement is seen by everyone, in one order. Its shape is
// that of ETHDKG (Schindler, Judmayer, Stifter, Weippl: "ETHDKG: Distributed Key Generation with Ethereum Smart Contracts", 2019), which verifies
// shares as Feldman does and settles disputes in public. Dealers commit to what they deal before any of them shows it, since with bare
// joint-Feldman the last dealer would choose the key's distribution (Gennaro, Jarecki, Krawczyk, Rabin: "Secure Distributed Key Generation for
// Discrete-Log Based Cryptosystems", EUROCRYPT '99).
//
//	phase        statement   of              says
//	Registering  Register    each receiver   an ephemeral key, with a proof of its possession
//	Committing   Commit      dealers         an ephemeral key, with a proof, and the digest of a dealing
//	Revealing    Reveal      dealers         the dealing: commitments to a polynomial, and each receiver's value of it, encrypted
//	Judging      Verdict     each receiver   nothing to object, or disputes: the key of a box that holds the wrong value, with a proof
//	Confirming   Confirm     each receiver   a public key of its own, and what it holds in secret, sealed to its actor
//	Done                                     a committee (package committee): a key, and a seat for each receiver
//
// A receiver is a place in the new key. Whoever acts for it (the actor's node, or another actor's attested node that forgets the share after
// it sealed it) is the caller's business, and so is that a statement comes from there.
//
// A new key's dealers are its receivers, and the private key is the sum of what they dealt. In a resharing, the dealers are the holders of the old key,
// each deals its old share, and the new shares are Lagrange's combination of what the first threshold of them dealt (Desmedt, Jajodia:
// "Redistributing Secret Shares to New Access Structures", 1997): the public key stays, and old and new shares are on different polynomials.
//
// # Two halves
//
// Ceremony is what everyone knows: it applies statements in the ledger's order, and comes to the same conclusion on every node and in every audit.
// Party is what one of them keeps to itself, and says which statements it owes. Both are pure: no clock, no goroutine, no network. A phase ends when all
// who may speak in it have spoken; a Close ends it without them, once Window transactions have followed its beginning.
//
// # What holds
//
// With fewer dishonest parties than a threshold: nobody learns the private key or an honest party's share; every receiver's share matches the Key; whoever deals
// wrongly is disqualified by name, and an honest dealer never is. A dealer that committed may still refuse to reveal, or reveal a wrong box, once it has
// seen what others reveal. That lets it choose between two public keys, in exchange for being named. Any one party can make a ceremony fail by silence, and is named: a new ceremony begins without it.
//
// Trust: enclave
package dkg
