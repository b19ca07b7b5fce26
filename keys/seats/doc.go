// Package seats is a node's part in committees: it speaks for the seats that the node acts for while their key is made, keeps their packages, and
// brings parts together to open what is sealed to a committee.
//
//	ceremony runs      each node: Speak, for every seat and old seat that it acts for ──▶ the ledger
//	                   the leader: Close, once the ledger would end a phase without those who are silent
//	ceremony is done   the leader ── Wanted ──▶ the nodes of the old committee's seats
//	                              ◀── Given ───  their parts, for the old archive
//	                   the leader: Install, with what the old archive holds
//	installed          each node keeps the packages of the new committee, and wipes those of the old one
//
// A node acts for the seat of its own organisation, and keeps its package for as long as the committee is in force. It may have to act for an actor without a node:
// then it forgets the package once the ledger has it sealed to the actor, so that no organisation's nodes collect the packages of others. Such a
// seat takes no part in openings by nodes; its actor opens the package with its own key.
//
// Parts are secret: whoever has those of a threshold of seats has what is sealed. A node gives its parts in an archive only to the node that leads, while a ceremony is done
// whose committee replaces the one that the archive is sealed to, and once in Window ticks.
//
// Machine is a pure machine, as that of package rotation: no clock, no goroutine, no network, no log. A step has an input and the committed state, and
// returns messages, statements for the ledger, and what an operator should hear of. Everything durable is in the ledger, and what a
// machine keeps to itself is lost with its node: the network makes another committee. Where the constitution has nodes go on by themselves after all have stopped, its
// node keeps the packages sealed (Kept, Restore).
//
// Trust: enclave
package seats
