package sim

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/internal/sim/trace"
	"github.com/cocoframework/coco/internal/sim/witness"
)

func TestALieHitsEveryFolderAndTheLedgerOnlyIfItMustBeReported(t *testing.T) {
	files := map[string][]byte{
		"ledger/ledger_1-2": {1}, "ledger/ledger_3": {1}, "snapshots/s": {1}, "history/i": {1}, "ledger-damaged-1/ledger_1": {1}, "history/empty": {},
		"ledger/ledger_1-2.damaged": {1}, "ledger/incoming_ledger_1-2.part": {1}, "ledger/service.pem": {1},
	}
	hit, changed := map[string]bool{}, map[string]bool{}
	for i := range 100 {
		where := [3]float64{float64(i%10) / 10, float64(i/10) / 10}
		hit[victim(files, fault{lie: flipped, where: where})] = true
		changed[victim(files, fault{lie: mended, where: where})] = true
	}
	if len(hit) != len(files)-2 || hit["history/empty"] || hit["ledger-damaged-1/ledger_1"] {
		t.Errorf("hit %v", hit)
	}
	if !maps.Equal(changed, map[string]bool{"ledger/ledger_1-2": true, "ledger/ledger_3": true}) {
		t.Errorf("entries are mended in %v", changed)
	}
	if victim(nil, fault{}) != "" {
		t.Error("a file was found on an empty disk")
	}
}

// entry is one of a chunk file: a length, a checksum, and 17 bytes of kind, view and index before the data.
func entry(index byte) []byte {
	b := make([]byte, 125)
	b[3], b[24] = 125-8, index
	return b
}

// A node reads neither what it has set aside nor what it had begun to fetch, so there is nothing that it could say of a lie in them.
func TestALieInAFileThatNoNodeReadsNeedNotBeTold(t *testing.T) {
	w := sim.New(1)
	whole := slices.Concat(entry(1), entry(2), entry(3))
	for file, must := range map[string]bool{
		"ledger/ledger_1": true, "ledger/ledger_1-3": true, "ledger/ledger_1-3.damaged": false, "ledger/incoming_ledger_1-3.part": false, "history/ledger_1": false,
	} {
		w.SetFiles(hostName(0), map[string][]byte{file: bytes.Clone(whole)})
		r := &run{network: network{Network: &nettest.Network{World: w}}, witness: witness.New(t, trace.New(io.Discard, nil))}
		files, _, report := r.tell(fault{lie: flipped, where: [3]float64{0, 0, 0.1}})
		if bytes.Equal(files[file], whole) {
			t.Fatalf("%s is not changed", file)
		}
		if (report != nil) != must {
			t.Errorf("a changed entry in %s must be told: %t, expected %t", file, report != nil, must)
		}
	}
}
