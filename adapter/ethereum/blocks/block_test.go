package blocks

import (
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

func FuzzRowsExpand(f *testing.F) {
	f.Add([]byte{0xc0})
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = (&Transaction{Logs: b}).EachLog(&Block{Header: new(types.Header)}, func(*types.Log) error { return nil })
		_, _ = blockOf(&rows.Block{Header: b})
	})
}
