package epochs

import (
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/constitution"
)

// Each epoch leaves a row and a secret for ever, and a joining node can be given 2^20 of them: members who vote for very short
// epochs must not use them up.
func TestEpochsEndByTheirLengthWhileManyAreLeft(t *testing.T) {
	most := constitution.Epochs{Transactions: 100, Bytes: 1 << 20, Seconds: 10}
	for name, long := range map[string]length{
		"transactions": {transactions: 100},
		"bytes":        {transactions: 1, bytes: 1 << 20},
		"seconds":      {transactions: 1, lasted: 10 * time.Second},
	} {
		for epoch, want := range map[uint64]bool{1: true, maxByLength - 1: true, maxByLength: false, maxByLength + 1: false} {
			long.epoch = epoch
			if got := long.over(most); got != want {
				t.Errorf("%s: epoch %d ends by its length: %t, expected %t", name, epoch, got, want)
			}
		}
	}
}
