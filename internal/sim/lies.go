package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/node"
)

// told is a lie that the node which gets to see it has to report.
type told struct {
	file  string
	entry uint64 // the first one that is not what it was
	seqno uint64 // its first transaction's; 0 if it holds none
	bytes []byte // of the file, as the host left it
	since int    // records of the node's log by then
}

// tell returns the files of a host that lies, what it did in words, and what its node has to report.
func (r *run) tell(f fault) (files map[string][]byte, what string, report *told) {
	name := hostName(f.host)
	files = r.network.World.Files(name, "")
	r.mu.Lock()
	before := r.backups[f.host]
	r.mu.Unlock()
	switch f.lie {
	case lost:
		return nil, string(f.lie), nil
	case rollBack:
		return maps.Clone(before), string(f.lie), nil
	case foreign:
		return r.network.World.Files(hostName(f.other), ""), string(f.lie), nil
	}
	file := victim(files, f)
	if file == "" {
		return files, "there is no file to lie with", nil
	}
	what = fmt.Sprintf("%s: %s", f.lie, file)
	b := files[file]
	at := int(f.where[2] * float64(written(b)))
	switch f.lie {
	case truncated:
		files[file] = b[:at]
	case older:
		if old, ok := before[file]; ok {
			files[file] = slices.Clone(old)
		}
	case gone:
		delete(files, file)
	case flipped:
		// A changed last frame may be the trace of a crash, which is nothing to report.
		if e, ok := entryAt(b, at); ok && !e.last && ledgerFile.MatchString(file) {
			report = &told{file: file, entry: e.index, seqno: e.seqno(b)}
		}
		b[at] ^= 1 << (at % 8)
	case mended:
		before := slices.Clone(b)
		if e, ok := mend(b, at); ok {
			report = &told{file: file, entry: e.index, seqno: e.seqno(before)}
			what += fmt.Sprintf(", entry %d", e.index)
		}
	}
	if report != nil {
		report.bytes, report.since = slices.Clone(files[file]), r.witness.logged(name)
	}
	return files, what, report
}

// victim picks a file. Every folder is as likely as any other; only the ledger has entries.
func victim(files map[string][]byte, f fault) string {
	folders := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if f.lie == mended && !ledgerFile.MatchString(name) {
			continue // it has no entries, or none that a node reads
		}
		if len(files[name]) > 0 && !strings.Contains(name, "-damaged-") {
			folders[path.Dir(name)] = append(folders[path.Dir(name)], name)
		}
	}
	if len(folders) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(folders))
	folder := folders[names[int(f.where[0]*float64(len(names)))]]
	return folder[int(f.where[1]*float64(len(folder)))]
}

// ledgerFile matches the files that are the ledger: docs/formats.md, "Chunk files". A chunk that was set aside (.damaged), or is being fetched (.part), no
// node believes, so that a lie in it is nothing to report.
var ledgerFile = regexp.MustCompile("^" + node.Dir + `/ledger_[0-9]+(-[0-9]+)?$`)

// Frames of the ledger's files: docs/formats.md, "Chunk files".
const (
	frameSum  = 8
	frameHead = 25
)

// frame is one entry in a file.
type frame struct {
	from, to int
	index    uint64
	last     bool
}

// frames returns where a chunk file's entries are.
func frames(b []byte) (all []frame) {
	for at := 0; at+frameHead <= len(b); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n < frameHead-frameSum || n > len(b)-at-frameSum {
			break
		}
		all = append(all, frame{from: at, to: at + frameSum + n, index: binary.BigEndian.Uint64(b[at+17:])})
		at += frameSum + n
	}
	if n := len(all); n > 0 {
		all[n-1].last = true
	}
	return all
}

// seqno returns the first transaction of a batch.
func (f frame) seqno(b []byte) uint64 {
	batch, err := batch.Decode(b[f.from+frameHead : f.to])
	if err != nil {
		return 0 // an entry of another kind
	}
	return batch.Header.First
}

// written is the size of a file without the room that a chunk has for more entries.
func written(b []byte) int {
	if all := frames(b); len(all) > 0 {
		return all[len(all)-1].to
	}
	return len(b)
}

// entryAt returns the entry that holds a byte of a chunk file, other than the bytes of its length.
func entryAt(b []byte, at int) (frame, bool) {
	all := frames(b)
	for _, f := range all {
		if f.from+4 <= at && at < f.to {
			return f, true
		}
	}
	return frame{}, false
}

// mend changes a byte of an entry's data and makes its checksum right again, which anybody can. Only what
// the enclave checks is left to find out.
func mend(b []byte, at int) (frame, bool) {
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
	return frame{}, false
}

// reported looks whether a node has said in its log what it was lied to about. At the end it must have looked at all that it has.
func (r *run) reported(host int, end bool) {
	name := hostName(host)
	r.mu.Lock()
	lie := r.lies[host]
	r.mu.Unlock()
	if lie == nil {
		return
	}
	if line, ok := r.witness.heard(name, lie); ok {
		r.witness.say("%s has found out: %s", name, line)
	} else if bytes.Equal(r.network.World.Files(name, "")[lie.file], lie.bytes) {
		if end {
			r.witness.fail("told", "%s never looked at entry %d, which its host had changed in %s", name, lie.entry, lie.file)
		}
		return // it has not looked yet
	} else if r.witness.began(name, lie) >= lie.seqno {
		r.witness.say("%s has begun with a snapshot beyond entry %d of %s, and dropped that", name, lie.entry, lie.file)
	} else {
		r.witness.fail("told", "the host of %s changed entry %d in %s; the node put up with it and did not say so", name, lie.entry, lie.file)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lies[host] = nil
}
