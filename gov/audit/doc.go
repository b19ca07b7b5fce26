// Package audit follows governance through a ledger by its public records alone, without any key.
//
//	batch ──► Apply ──► each transaction: genesis │ decision, repeated by package decide │ renewal
//	             │            └──► epochs, nodes, snapshots: the checks of package members
//	             └──► Signer: the key that must have signed the next batch
//
// Every decision is repeated from the statements that the members signed, by the rules of its time. What a transaction
// wrote must be exactly what follows. The Auditor implements ledger.Checker.
//
// Trust: either
package audit
