package ethereum

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
)

// The tables of the ledger. What their rows hold is said in this file and in rows.go.
const (
	tableAccounts = "ethereum.accounts" // address -> account
	tableStorage  = "ethereum.storage"  // address, slot, generation -> value
	tableCode     = "ethereum.code"     // Keccak-256 -> code
	tableRecent   = "ethereum.recent"   // number modulo recentHashes -> hash of the newest such block
	tableMeta     = "ethereum.meta"     // "head" -> what execution needs of the newest block; milestones (past.go)

	// The archives: rows of long ago are in the ledger only, so nothing that is executed reads them.
	tableBlocks      = "ethereum.blocks"      // number -> block
	tableBlockHashes = "ethereum.blockhashes" // block hash -> number
	tableTxs         = "ethereum.txs"         // transaction hash -> transaction
)

// record is an account as its row holds it:
//
//	flags byte | nonce uvarint | length byte, balance big-endian | code hash, if flagged | generation uvarint, if flagged
//
// Nonce, balance and code hash are there only if the account exists. The generation is a part of
// the keys of the account's storage, so that destroying an account needs no range deletion: it
// leaves a row that holds only the next generation. Numbers are in their shortest form.
type record struct {
	exists   bool
	stored   bool // this generation has had storage
	nonce    uint64
	balance  *uint256.Int // immutable
	codeHash common.Hash  // types.EmptyCodeHash without code
	gen      uint64
}

const (
	flagExists = 1 << iota
	flagCode
	flagStored
	flagGeneration
)

var (
	zeroBalance = new(uint256.Int)
	noAccount   = record{balance: zeroBalance, codeHash: types.EmptyCodeHash}
)

func (r *record) empty() bool {
	return r.nonce == 0 && r.balance.IsZero() && r.codeHash == types.EmptyCodeHash
}

func (r *record) equal(o *record) bool {
	return r.exists == o.exists && r.stored == o.stored && r.nonce == o.nonce && r.gen == o.gen &&
		(r.balance == o.balance || r.balance.Eq(o.balance)) && r.codeHash == o.codeHash
}

// encode returns the row, or nil if there is nothing to keep.
func (r *record) encode() []byte {
	if !r.exists && r.gen == 0 {
		return nil
	}
	var flags byte
	if r.gen > 0 {
		flags |= flagGeneration
	}
	b := make([]byte, 1, 24)
	if r.exists {
		flags |= flagExists
		if r.stored {
			flags |= flagStored
		}
		b = binary.AppendUvarint(b, r.nonce)
		n := r.balance.ByteLen()
		b = append(b, byte(n))
		b = appendTrimmed(b, r.balance.Bytes32(), n)
		if r.codeHash != types.EmptyCodeHash {
			flags |= flagCode
			b = append(b, r.codeHash[:]...)
		}
	}
	if r.gen > 0 {
		b = binary.AppendUvarint(b, r.gen)
	}
	b[0] = flags
	return b
}

func appendTrimmed(b []byte, word [32]byte, n int) []byte { return append(b, word[32-n:]...) }

// decodeRecord is the inverse of encode; what it accepts encodes to the same bytes.
func decodeRecord(b []byte) (record, error) {
	r := noAccount
	d := reader{rest: b}
	flags := d.byte()
	if flags > flagExists|flagCode|flagStored|flagGeneration {
		d.fail("unknown flags")
	}
	if flags&flagExists != 0 {
		r.exists = true
		r.stored = flags&flagStored != 0
		r.nonce = d.uvarint()
		n := int(d.byte())
		if balance := d.take(n); n > 32 || n > 0 && len(balance) == n && balance[0] == 0 {
			d.fail("balance not in its shortest form")
		} else if n > 0 {
			r.balance = new(uint256.Int).SetBytes(balance)
		}
		if flags&flagCode != 0 {
			r.codeHash = common.BytesToHash(d.take(common.HashLength))
			if r.codeHash == types.EmptyCodeHash {
				d.fail("hash of no code")
			}
		}
	} else if flags != flagGeneration {
		d.fail("flags of an account that does not exist")
	}
	if flags&flagGeneration != 0 {
		if r.gen = d.uvarint(); r.gen == 0 {
			d.fail("generation 0")
		}
	}
	if err := d.end(); err != nil {
		return noAccount, fmt.Errorf("%w: account row: %w", coco.ErrCorrupt, err)
	}
	return r, nil
}

// appendStorageKey appends address, slot and, after the first generation, the generation.
func appendStorageKey(b []byte, addr *common.Address, slot *common.Hash, gen uint64) []byte {
	b = append(append(b, addr[:]...), slot[:]...)
	if gen > 0 {
		b = binary.AppendUvarint(b, gen)
	}
	return b
}

// decodeWord reads a storage row: 1 to 32 bytes without leading zeros.
func decodeWord(b []byte) (common.Hash, error) {
	if len(b) == 0 || len(b) > common.HashLength || b[0] == 0 {
		return common.Hash{}, fmt.Errorf("%w: storage row of %d bytes: expected 1 to 32 without leading zeros", coco.ErrCorrupt, len(b))
	}
	return common.BytesToHash(b), nil
}

// reader decodes rows. Its first error sticks, and later reads give zeros.
type reader struct {
	rest []byte
	err  error
}

func (d *reader) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s, %d bytes before the end", what, len(d.rest))
	}
	d.rest = nil
}

func (d *reader) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// take returns the next n bytes, or nil.
func (d *reader) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.fail("ends early")
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *reader) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || n > 1 && d.rest[n-1] == 0 {
		d.fail("number not in its shortest form")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// length reads a number of elements that take at least size bytes each.
func (d *reader) length(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/size) {
		d.fail("length exceeds the row")
		return 0
	}
	return int(n)
}

func (d *reader) end() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("something follows")
	}
	return d.err
}
