package sim

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/cocoframework/coco/internal/sim/forge"
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
	at := int(f.where[2] * float64(forge.Written(b)))
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
		if e, ok := forge.EntryAt(b, at); ok && !e.Last && forge.IsChunk(node.Dir, file) {
			report = &told{file: file, entry: e.Index, seqno: e.Seqno(b)}
		}
		b[at] ^= 1 << (at % 8)
	case mended:
		before := slices.Clone(b)
		if e, ok := forge.Mend(b, at); ok {
			report = &told{file: file, entry: e.Index, seqno: e.Seqno(before)}
			what += fmt.Sprintf(", entry %d", e.Index)
		}
	}
	if report != nil {
		report.bytes, report.since = slices.Clone(files[file]), r.witness.Logged(name)
	}
	return files, what, report
}

// victim picks a file. Every folder is as likely as any other; only the ledger has entries.
func victim(files map[string][]byte, f fault) string {
	folders := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if f.lie == mended && !forge.IsChunk(node.Dir, name) {
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

// reported looks whether a node has said in its log what it was lied to about. At the end it must have looked at all that it has.
func (r *run) reported(host int, end bool) {
	name := hostName(host)
	r.mu.Lock()
	lie := r.lies[host]
	r.mu.Unlock()
	if lie == nil {
		return
	}
	if line, ok := r.witness.Heard(name, lie.since, lie.entry); ok {
		r.witness.Say("%s has found out: %s", name, line)
	} else if bytes.Equal(r.network.World.Files(name, "")[lie.file], lie.bytes) {
		if end {
			r.witness.Fail("told", "%s never looked at entry %d, which its host had changed in %s", name, lie.entry, lie.file)
		}
		return // it has not looked yet
	} else if r.witness.Began(name, lie.since) >= lie.seqno {
		r.witness.Say("%s has begun with a snapshot beyond entry %d of %s, and dropped that", name, lie.entry, lie.file)
	} else {
		r.witness.Fail("told", "the host of %s changed entry %d in %s; the node put up with it and did not say so", name, lie.entry, lie.file)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lies[host] = nil
}
