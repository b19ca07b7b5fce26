package batch

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cocoframework/coco/internal/erase"
)

// Reading opens the batches of one epoch, and nothing else: it is the epoch's seal key and its salt key. Neither the epoch's secret follows from it, nor the keys of
// snapshots, of other files or of other epochs. It never prints.
type Reading [64]byte

// ReadingOf returns what opens the batches of an epoch.
func ReadingOf(epoch uint64, secret [32]byte) (r Reading) {
	seal, salt := derive(&secret, sealPurpose, epoch), derive(&secret, saltPurpose, epoch)
	copy(r[:32], seal[:])
	copy(r[32:], salt[:])
	clear(seal[:])
	clear(salt[:])
	clear(secret[:])
	return r
}

// Keys returns the keys with which batches of the epoch are opened. They MUST NOT be asked for keys of other files (Sub).
func (r Reading) Keys(epoch uint64) *Keys {
	k := &Keys{epoch, &material{aead: erase.AEAD(r[:32]), salt: [32]byte(r[32:]), reads: true}}
	clear(r[:])
	return k
}

// Format writes a placeholder, whatever the verb.
func (Reading) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[keys that read an epoch]") }

const (
	sealPurpose = "coco ledger seal"
	saltPurpose = "coco ledger salt"
	subPurpose  = "coco ledger sub"
)

// derive returns the key of an epoch for a purpose.
func derive(secret *[32]byte, purpose string, epoch uint64) [32]byte {
	return erase.HKDF(secret[:], nil, string(binary.BigEndian.AppendUint64([]byte(purpose+"\x00"), epoch)))
}
