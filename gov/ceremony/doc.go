// Package ceremony lets committees come to be by the ledger: who opens, together, what the network has sealed.
//
//	Need      ─▶ why a ceremony is needed now, and which one; nil if none is
//	Begin        a transaction that begins it
//	Speak        a transaction with a statement of a node that acts for a party       ┐ Registering … Confirming:
//	Close        a transaction that ends a phase, or the ceremony, without the silent ┘ see package keys/dkg
//	Install      a transaction that brings the committee into force, with its archive, and reduces the row of the one before
//	Announce     an epoch, sealed to the committee in force
//
// What each of them writes is a function of the tables, the transaction and what it is given. So an audit repeats it without any key (package audit), and it is
// the same again if a leader loses its view and another one goes on.
//
// # Who acts
//
// A receiver's statements come from one node, which the ceremony's record names: a trusted one of the member itself, or, if it has none or those were silent in the
// attempts before, which failed one after the other, a trusted one of another. In a resharing the dealers' statements come from the nodes that acted for the old seats. A node keeps a package
// only if it is its own organisation's. So a seat is held while its node is the actor's own and trusted: a node
// that restarts is another one, or has kept its packages sealed (package resume).
//
// # When a ceremony is needed, and which
//
// Need says so: no committee yet, other members, another threshold or encryption key, a node with a package that is not trusted any more, a node for a member that had none, a
// vote. It makes a new key if an old seat's actor is no member any more, as a threshold of old shares would open whatever is sealed to the old key; if the
// threshold rises, since the old shares need fewer; and if fewer seats than the old threshold are held, which includes a committee that one enclave has dealt.
// Otherwise it shares the same key anew.
//
// # How a phase ends
//
// Once all have spoken; or by Close, if keys.window transactions or PhaseMillis have passed since it began, since an idle network has no transactions; or if all that the
// phase waits for are parties whose nodes cannot speak any more. A ceremony whose receivers or threshold are not the constitution's any more ends without a committee.
//
// Trust: enclave
package ceremony
