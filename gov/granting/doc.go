// Package granting brings what an auditor reads with onto the ledger, once members have voted for it: a grant's key, sealed to the committee in force; for each epoch a box for
// that key; and the parts of the committee's seats, each encrypted to the auditor (package keys/grant).
//
//	Seal     a transaction of the node that leads: the grant's key, for the committee in force
//	Add      a transaction of the node that leads: boxes of epochs
//	Give     a transaction with the part of a seat, which the seat's own node asks for
//
// What each of them writes is a function of the tables, the transaction and what it is given. So an audit repeats it without any key (package audit), and another leader goes on
// where one has stopped. All of it may be asked for again: what is there is not written twice.
//
// A grant is complete once every epoch has its box and as many seats as open something together have given their parts: then the auditor reads, from any copy of the ledger. The other seats give
// theirs, too, so that a wrong part does no harm. If the committee is replaced before enough parts are there, the seats that are left cannot
// give any more, and Seal begins anew for the new committee: it deletes the boxes and parts for the one before.
//
// A grant can be brought to its end for Millis after the vote. What is not complete then stays so, and needs another vote. What is on the ledger cannot be taken
// back.
//
// Trust: enclave
package granting
