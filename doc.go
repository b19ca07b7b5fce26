// Package coco holds the nouns that every part of Coco shares, and the kinds of errors.
//
// Coco runs confidential consortium ledgers: organisations that do not trust one another operate
// one network whose nodes execute inside trusted execution environments (TEEs), prove their code
// to each other by remote attestation, and therefore need only crash-fault-tolerant consensus.
// Start with docs/architecture.md; the command is cmd/coco.
//
// Trust: either
package coco
