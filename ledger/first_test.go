package ledger_test

import (
	"testing"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/ledger"
)

func TestANetworkHasBegunOnceABatchIsThereOrEntriesAreMissing(t *testing.T) {
	const size = 1000
	for name, test := range map[string]struct {
		write func(*ledger.Log) error
		want  bool
	}{
		"nothing": {func(*ledger.Log) error { return nil }, false},
		"other entries": {func(l *ledger.Log) error {
			return l.Append([]batch.Entry{{View: 1, Index: 1, Kind: batch.KindView}, {View: 1, Index: 2, Kind: batch.KindView}})
		}, false},
		"a batch": {func(l *ledger.Log) error {
			return l.Append([]batch.Entry{{View: 1, Index: 1, Kind: batch.KindView}, {View: 1, Index: 2, Kind: batch.KindBatch, Data: []byte("batch")}})
		}, true},
		"a complete chunk of other entries": {func(l *ledger.Log) error {
			for i := range uint64(size) {
				if err := l.Append([]batch.Entry{{View: 1, Index: i + 1, Kind: batch.KindView}}); err != nil {
					return err
				}
			}
			return nil
		}, true},
		"entries that follow missing ones": {func(l *ledger.Log) error {
			if err := l.StartAt(6); err != nil {
				return err
			}
			return l.Append([]batch.Entry{{View: 1, Index: 6, Kind: batch.KindView}})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ledger.Open(mem.New(), "ledger", ledger.Options{ChunkBytes: size})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := test.write(l); err != nil {
				t.Fatal(err)
			}
			if got, err := l.Begun(); err != nil || got != test.want {
				t.Errorf("begun: %v, %v", got, err)
			}
		})
	}
}
