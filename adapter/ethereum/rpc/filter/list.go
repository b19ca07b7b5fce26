package filter

import (
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/internal/budget"
)

// List is a JSON list of logs that is being written, block by block.
type List struct {
	Out   *budget.Buffer
	Count int

	block uint64 // of the last log
	whole int    // length of the list up to the block before
}

// Add writes a log. Errors are those of Out.
func (l *List) Add(log *types.Log) error {
	if l.Count == 0 {
		if _, err := l.Out.WriteString("["); err != nil {
			return err
		}
	}
	if l.Count == 0 || log.BlockNumber != l.block {
		l.block, l.whole = log.BlockNumber, l.Out.Len()
	}
	l.Count++
	return encode.WriteLog(l.Out, log, l.Count-1)
}

// Drop takes the logs of a block back, if those are the last that were added.
func (l *List) Drop(block uint64) {
	if l.Count > 0 && l.block == block {
		l.Out.Truncate(l.whole)
	}
}

// End closes the list.
func (l *List) End() error {
	end := "]"
	if l.Out.Len() == 0 {
		end = "[]"
	}
	_, err := l.Out.WriteString(end)
	return err
}
