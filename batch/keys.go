package batch

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
)

// Keys are an epoch's keys for the ledger. They are safe for concurrent use and never print.
type Keys struct {
	epoch uint64
	aead  cipher.AEAD
	salt  []byte
	sub   []byte
}

// NewKeys derives the keys of an epoch from its secret.
func NewKeys(epoch uint64, secret [32]byte) *Keys {
	return newKeys(epoch, derive(secret, sealPurpose, epoch), derive(secret, saltPurpose, epoch), derive(secret, subPurpose, epoch))
}

// Epoch returns the epoch that the keys belong to.
func (k *Keys) Epoch() uint64 { return k.epoch }

// Sub returns a key of the epoch for another purpose than the ledger, such as an index over it. The
// same purpose and salt give the same key; a file that gets a random salt of its own has a key of
// its own, under which nonces may begin anew.
func (k *Keys) Sub(purpose string, salt []byte) [32]byte {
	if k.sub == nil {
		panic("batch: keys that only read an epoch make no others")
	}
	info := binary.BigEndian.AppendUint64([]byte(purpose+"\x00"), k.epoch)
	key, err := hkdf.Key(sha256.New, k.sub, salt, string(info), 32)
	if err != nil {
		panic(err) // only for a length that HKDF cannot give
	}
	return [32]byte(key)
}

// Salt returns the salt of a transaction. It MUST be given out only once the transaction is
// committed, and only to callers that may see all of it: with the salt, small values can be guessed.
func (k *Keys) Salt(view, seqno uint64) coco.Digest {
	mac := hmac.New(sha256.New, k.salt)
	mac.Write(saltInput(make([]byte, 0, 16), view, seqno))
	return coco.Digest(mac.Sum(nil))
}

func saltInput(b []byte, view, seqno uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, view), seqno)
}

// nonce returns the nonce of the sealed part; the header's check bounds the view.
func nonce(h *Header) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 12), uint32(h.View))
	return binary.BigEndian.AppendUint64(b, h.Index)
}

// String prints the epoch and nothing secret.
func (k Keys) String() string { return fmt.Sprintf("ledger keys of epoch %d", k.epoch) }

// Format implements fmt.Formatter.
func (k Keys) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// MarshalText implements encoding.TextMarshaler. Loggers end up here, in Format or in MarshalJSON.
func (k Keys) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalJSON implements json.Marshaler.
func (k Keys) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }
