// Package decide is how members change the network: from the state, a signed statement and the rules follow the rows to
// be written and a coded outcome.
//
//	statement ──► Submit ──► signer, time ──► questions to the policies ──► Open, Rejected, Expired
//	                                                      └──► Accepted: Apply ──► next constitution, effects
//
// Policies, one for each kind of action, say when votes are enough. The vote that decides writes the next version in its
// own transaction. Expire does the same for what time decides. Effects are data: one of them, EpochRotated, asks the
// caller for a new epoch in the same transaction.
//
// The package is pure: it depends on the transaction alone, so that package audit repeats each decision with the same
// code. What it depends on beside the tables are the rules, numbers and checks that belong to a version which the
// constitution names.
//
// Trust: enclave
package decide
