// Package wire defines what crosses a process as JSON, and the one table of errors. The two ends of a
// connection use the same type, so a field that one end writes cannot be forgotten by the other.
//
//	node ── gateway ──────── HTTP ──────── client ── command line ── shell
//	  │        └ status, code, Retry-After ┘   └─ kind ─┘   └ exit code ┘
//	  └─ number in a frame ── another node
//
// An error has a kind, one of the sentinels of package coco. Each row of the table (see [Problems]) says how
// a kind is told at each of these borders, and each border maps it back to the same kind. A process
// that receives an error therefore decides as if it had happened there: errors.Is finds the kind.
//
// Files on disk, the frames between nodes and the protocols of adapters have formats of their own.
//
// Trust: either
package wire
