package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/ledger"
)

// An audit on many cores says of a damaged ledger what one does that has one core: how much holds, and what the first fault is.
func TestDamagedGoldenLedgersHaveTheSameFirstFaultOnManyCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			disk := golden(t, "testdata/golden/"+version)
			whole := bytes.TrimRight(disk.Data("ledger/ledger_1"), "\x00")
			faults := map[uint64]bool{}
			for seed := range uint64(12) {
				disk.Put("ledger/ledger_1", damaged(rand.New(rand.NewPCG(seed, 1)), whole))
				var want, got outcome
				runtime.GOMAXPROCS(1)
				want.audit(t, disk)
				runtime.GOMAXPROCS(3)
				got.audit(t, disk)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d: three cores: %+v, %v\none core: %+v, %v", seed, got.report, got.err, want.report, want.err)
				}
				var f *ledger.Fault
				if !errors.As(want.err, &f) {
					t.Fatalf("seed %d: %v", seed, want.err)
				}
				faults[f.Index] = true
			}
			if len(faults) < 4 {
				t.Errorf("the damages led to faults in %d entries only", len(faults))
			}
		})
	}
}

// outcome is what an audit comes to.
type outcome struct {
	report ledger.Report
	err    error
	counts any
}

func (o *outcome) audit(t *testing.T, disk *mem.Disk) {
	a := audit.New(audit.Config{Verifiers: govtest.Verifiers})
	o.report, o.err = ledger.Audit(t.Context(), disk, "ledger", a, nil)
	if a.Constitution() != nil {
		o.counts, _ = a.Governance()
	}
}

// damaged returns a chunk of a ledger in which one to three bytes are changed, each under its frame's right checksum.
func damaged(r *rand.Rand, whole []byte) []byte {
	data := bytes.Clone(whole)
	var frames [][]byte
	for at := 0; at+4 <= len(data); {
		size := 8 + int(binary.BigEndian.Uint32(data[at:]))
		if size > 25 { // a leader's first entry has no data
			frames = append(frames, data[at:at+size])
		}
		at += size
	}
	for range 1 + r.IntN(3) {
		f := frames[1+r.IntN(len(frames)-1)]
		f[25+r.IntN(len(f)-25)] ^= 1 << r.IntN(8)
		sum := crc32.Checksum(append(bytes.Clone(f[:4]), f[8:]...), crc32.MakeTable(crc32.Castagnoli))
		binary.BigEndian.PutUint32(f[4:], sum)
	}
	return data
}
