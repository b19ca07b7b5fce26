package batch

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/erase"
)

// Keys are an epoch's keys for the ledger. They are safe for concurrent use and never print. Once they are erased, whatever takes keys fails with coco.ErrPending: the
// epoch's secret may be opened again, which gives other Keys.
type Keys struct {
	epoch uint64
	*material
}

// material is what is secret of keys. Whoever uses it has the lock.
type material struct {
	mu     sync.RWMutex // written by Erase alone
	erased bool
	aead   cipher.AEAD
	salt   [32]byte
	sub    [32]byte
	reads  bool // sub is none
}

// NewKeys derives the keys of an epoch from its secret.
func NewKeys(epoch uint64, secret [32]byte) *Keys {
	k := &Keys{epoch, new(material)}
	erase.Do(func() {
		seal := derive(&secret, sealPurpose, epoch)
		k.aead = erase.AEAD(seal[:])
		clear(seal[:])
		k.salt, k.sub = derive(&secret, saltPurpose, epoch), derive(&secret, subPurpose, epoch)
		clear(secret[:])
	})
	return k
}

// Epoch returns the epoch that the keys belong to.
func (k *Keys) Epoch() uint64 { return k.epoch }

// Erase clears the keys, once those who use them are done.
func (k *Keys) Erase() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.erased {
		erase.Value(k.aead)
		clear(k.salt[:])
		clear(k.sub[:])
		k.erased = true
	}
}

// use has the keys stay until done is called. The error is coco.ErrPending if they are erased.
func (k *Keys) use() (done func(), err error) {
	k.mu.RLock()
	if k.erased {
		k.mu.RUnlock()
		return nil, fmt.Errorf("%w: the keys of epoch %d have expired on this node: ask again", coco.ErrPending, k.epoch)
	}
	return k.mu.RUnlock, nil
}

// Sub returns a key of the epoch for another purpose than the ledger, such as an index over it. The
// same purpose and salt give the same key; a file that gets a random salt of its own has a key of
// its own, under which nonces may begin anew. The error is coco.ErrPending if the keys are erased.
func (k *Keys) Sub(purpose string, salt []byte) ([32]byte, error) {
	done, err := k.use()
	if err != nil {
		return [32]byte{}, err
	}
	defer done()
	if k.reads {
		panic("batch: keys that only read an epoch make no others")
	}
	return erase.HKDF(k.sub[:], salt, string(binary.BigEndian.AppendUint64([]byte(purpose+"\x00"), k.epoch))), nil
}

// Salt returns the salt of a transaction. It MUST be given out only once the transaction is
// committed, and only to callers that may see all of it: with the salt, small values can be guessed. The error is coco.ErrPending if the keys are erased.
func (k *Keys) Salt(view, seqno uint64) (coco.Digest, error) {
	done, err := k.use()
	if err != nil {
		return coco.Digest{}, err
	}
	defer done()
	mac := erase.NewMAC(k.salt[:])
	defer mac.Erase()
	mac.Write(saltInput(make([]byte, 0, 16), view, seqno))
	return coco.Digest(mac.Sum(nil)), nil
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
