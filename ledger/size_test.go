package ledger_test

import (
	"testing"

	"github.com/cocoframework/coco/ledger"
)

func TestBytesCountsEntriesAndNotTheZerosAhead(t *testing.T) {
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 4000})
	var sizes [3]int64 // after 0, 1 and 2 rounds, of several chunks each
	for round := range sizes {
		sizes[round] = l.Bytes()
		if err := l.Append(entriesOf(1, l.Last()+1, 1000, 2000, 3000, 500)); err != nil {
			t.Fatal(err)
		}
	}
	if sizes[0] != 0 || sizes[1] < 6500 || sizes[1] > 6500+4*100 || sizes[2] != 2*sizes[1] {
		t.Errorf("%v bytes after 0, 1 and 2 times 6500 bytes of data", sizes)
	}
	if err := l.TruncateAfter(4); err != nil {
		t.Fatal(err)
	}
	if got := l.Bytes(); got != sizes[1] {
		t.Errorf("%d bytes after cutting, want %d", got, sizes[1])
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := openLog(t, disk, ledger.Options{ChunkBytes: 4000}).Bytes(); got != sizes[1] {
		t.Errorf("%d bytes after opening, want %d", got, sizes[1])
	}
}
