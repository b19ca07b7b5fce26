// Package forge changes ledgers on a disk as a host can that knows the format and has no key: it finds the entries of a chunk file, changes one
// and makes its checksum right again. It is of docs/formats.md, "Chunk files", alone, and shares no code with package ledger.
//
// Trust: host
package forge

import (
	"encoding/binary"
	"hash/crc32"
	"path"
	"regexp"

	"github.com/cocoframework/coco/batch"
)

// chunk matches the names of files that are the ledger. A chunk that was set aside (.damaged), or is being fetched (.part), no node reads.
var chunk = regexp.MustCompile(`^ledger_[0-9]+(-[0-9]+)?$`)

// IsChunk reports whether a file, by its path, holds entries that a node reads, whose ledger is in a folder.
func IsChunk(folder, file string) bool {
	return path.Dir(file) == folder && chunk.MatchString(path.Base(file))
}

// Frames of the ledger's files: docs/formats.md, "Chunk files".
const (
	frameSum  = 8
	frameHead = 25
)

// Entry is one entry in a chunk file.
type Entry struct {
	Index    uint64
	Last     bool // of the file
	from, to int  // where it is
}

// frames returns where a chunk file's entries are.
func frames(b []byte) (all []Entry) {
	for at := 0; at+frameHead <= len(b); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n < frameHead-frameSum || n > len(b)-at-frameSum {
			break
		}
		all = append(all, Entry{from: at, to: at + frameSum + n, Index: binary.BigEndian.Uint64(b[at+17:])})
		at += frameSum + n
	}
	if n := len(all); n > 0 {
		all[n-1].Last = true
	}
	return all
}

// Seqno returns the first transaction of a batch.
func (f Entry) Seqno(b []byte) uint64 {
	batch, err := batch.Decode(b[f.from+frameHead : f.to])
	if err != nil {
		return 0 // an entry of another kind
	}
	return batch.Header.First
}

// Written is the size of a file without the room that a chunk has for more entries.
func Written(b []byte) int {
	if all := frames(b); len(all) > 0 {
		return all[len(all)-1].to
	}
	return len(b)
}

// EntryAt returns the entry that holds a byte of a chunk file, other than the bytes of its length.
func EntryAt(b []byte, at int) (Entry, bool) {
	all := frames(b)
	for _, f := range all {
		if f.from+4 <= at && at < f.to {
			return f, true
		}
	}
	return Entry{}, false
}

// Mend changes a byte of an entry's data and makes its checksum right again, which anybody can. Only what
// the enclave checks is left to find out.
func Mend(b []byte, at int) (Entry, bool) {
	for _, f := range frames(b) {
		if f.to <= at || f.to == f.from+frameHead {
			continue
		}
		b[max(at, f.from+frameHead)] ^= 0x10
		castagnoli := crc32.MakeTable(crc32.Castagnoli)
		crc := crc32.Update(crc32.Checksum(b[f.from:f.from+4], castagnoli), castagnoli, b[f.from+frameSum:f.to])
		binary.BigEndian.PutUint32(b[f.from+4:], crc)
		return f, true
	}
	return Entry{}, false
}
