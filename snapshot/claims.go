package snapshot

import (
	"encoding/binary"

	"github.com/cocoframework/coco"
)

// claimsContext begins what the transaction that records a snapshot claims.
const claimsContext = "coco snapshot\x00\x01"

// Claims returns what the transaction that records a snapshot claims, so that its receipt proves the
// snapshot: the digest covers the header too. bytes is the size of the body.
func Claims(h Header, digest coco.Digest, bytes uint64) []byte {
	b := []byte(claimsContext)
	for _, n := range []uint64{h.Index, h.View, h.Seqno, bytes} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, digest[:]...)
}
