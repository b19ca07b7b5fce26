package logs

import (
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// A term is one byte that says which condition it is for, and what the condition compares. Files of the index hold hashes
// of them: they never change.
const (
	termAny     = 0 // there is a log
	termAddress = 1 // and the address
	termTopic   = 2 // plus the topic's position, and the topic
)

// Terms calls add with the terms of a row of table rows.Txs: those of each of its logs. A row that cannot be decoded has
// none; whoever reads it will notice.
func Terms(row []byte, add func(term []byte)) {
	r, err := rows.DecodeTx(row)
	if err != nil {
		return
	}
	var space [1 + 32]byte
	first := true
	_ = Each(r.Logs, func(_ int, l *types.Log) error {
		if first {
			add([]byte{termAny})
			first = false
		}
		add(append(append(space[:0], termAddress), l.Address[:]...))
		for i := range l.Topics {
			add(append(append(space[:0], termTopic+byte(i)), l.Topics[i][:]...))
		}
		return nil
	})
}

// Groups returns the terms of which a batch must have one of each group, for the filter to select any of its logs.
func (f *Filter) Groups() (groups [][][]byte) {
	if len(f.Addresses) > 0 {
		var g [][]byte
		for i := range f.Addresses {
			g = append(g, append([]byte{termAddress}, f.Addresses[i][:]...))
		}
		groups = append(groups, g)
	}
	for i, any := range f.Topics {
		var g [][]byte
		for j := range any {
			g = append(g, append([]byte{termTopic + byte(i)}, any[j][:]...))
		}
		if len(g) > 0 {
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 {
		groups = [][][]byte{{{termAny}}}
	}
	return groups
}
