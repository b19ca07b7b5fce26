// Package rows says what the rows of the Ethereum ledger's tables hold, byte for byte, and what its
// receipts prove. docs/tables.md is the same for readers without the code.
//
// Accounts, storage and code are the state. Blocks, their hashes and transactions are archives: their rows
// leave memory once they are old, and are read from the ledger then, so nothing that is executed reads
// them. What a decoder accepts encodes to the same bytes again.
//
// Trust: enclave
package rows

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// The names of the tables, and what a row of each holds.
const (
	Accounts = "ethereum.accounts" // address -> account
	Storage  = "ethereum.storage"  // address, slot, generation -> value
	Code     = "ethereum.code"     // Keccak-256 -> code
	Recent   = "ethereum.recent"   // number modulo recentHashes -> hash of the newest such block
	Meta     = "ethereum.meta"     // "head" -> what execution needs of the newest block; milestones (Milestones)
	Links    = "ethereum.links"    // address -> whose it is; holder -> its addresses (package links)
	Sessions = "ethereum.sessions" // SHA-256 of a token -> its session; holder -> its sessions (package sessions)
	Policies = "ethereum.policies" // contract -> its deployer's policy (package policies)

	// The archives: rows of long ago are in the ledger only, so nothing that is executed reads them.
	Blocks      = "ethereum.blocks"      // number -> block
	BlockHashes = "ethereum.blockhashes" // block hash -> number
	Txs         = "ethereum.txs"         // transaction hash -> transaction

	// What only a network in development mode has (package development): its blocks can be taken back, so no archive holds them.
	Development    = "ethereum.development"    // the mode, what waits for a block, and what to restore
	DevBlocks      = "ethereum.devblocks"      // as Blocks
	DevBlockHashes = "ethereum.devblockhashes" // as BlockHashes
	DevTxs         = "ethereum.devtxs"         // as Txs
)

// InDevelopment is the table that holds the rows of an archive in development mode; any other table is itself.
func InDevelopment(table string) string {
	switch table {
	case Blocks:
		return DevBlocks
	case BlockHashes:
		return DevBlockHashes
	case Txs:
		return DevTxs
	}
	return table
}

// Tables are the tables of the ledger.
func Tables() []store.Table {
	return []store.Table{
		{Name: Accounts, Private: true, Ordered: true}, // read whole by state roots
		{Name: Storage, Private: true, Ordered: true},
		{Name: Code, Private: true},
		{Name: Recent, Private: true},
		{Name: Meta, Private: true},
		{Name: Links, Private: true, Ordered: true},    // those of an organisation are listed
		{Name: Sessions, Private: true, Ordered: true}, // and these
		{Name: Policies, Private: true},
		{Name: Development, Private: true, Ordered: true}, // what waits is listed
		{Name: DevBlocks, Private: true},
		{Name: DevBlockHashes, Private: true},
		{Name: DevTxs, Private: true},
		{Name: Blocks, Private: true, Archive: true},
		{Name: BlockHashes, Private: true, Archive: true},
		{Name: Txs, Private: true, Archive: true},
	}
}

// Account is an account as its row holds it:
//
//	flags byte | nonce uvarint | length byte, balance big-endian | code hash, if flagged | generation uvarint, if flagged
//
// Nonce, balance and code hash are there only if the account exists. The generation is a part of
// the keys of the account's storage, so that destroying an account needs no range deletion: it
// leaves a row that holds only the next generation. Numbers are in their shortest form.
type Account struct {
	Exists   bool
	Stored   bool // this generation has had storage
	Nonce    uint64
	Balance  *uint256.Int // immutable
	CodeHash common.Hash  // types.EmptyCodeHash without code
	Gen      uint64
}

const (
	flagExists = 1 << iota
	flagCode
	flagStored
	flagGeneration
)

var (
	ZeroBalance = new(uint256.Int)
	NoAccount   = Account{Balance: ZeroBalance, CodeHash: types.EmptyCodeHash}
)

func (r *Account) Empty() bool {
	return r.Nonce == 0 && r.Balance.IsZero() && r.CodeHash == types.EmptyCodeHash
}

func (r *Account) Equal(o *Account) bool {
	return r.Exists == o.Exists && r.Stored == o.Stored && r.Nonce == o.Nonce && r.Gen == o.Gen &&
		(r.Balance == o.Balance || r.Balance.Eq(o.Balance)) && r.CodeHash == o.CodeHash
}

// Encode returns the row, or nil if there is nothing to keep.
func (r *Account) Encode() []byte {
	if !r.Exists && r.Gen == 0 {
		return nil
	}
	var flags byte
	if r.Gen > 0 {
		flags |= flagGeneration
	}
	b := make([]byte, 1, 24)
	if r.Exists {
		flags |= flagExists
		if r.Stored {
			flags |= flagStored
		}
		b = binary.AppendUvarint(b, r.Nonce)
		n := r.Balance.ByteLen()
		b = append(b, byte(n))
		b = appendTrimmed(b, r.Balance.Bytes32(), n)
		if r.CodeHash != types.EmptyCodeHash {
			flags |= flagCode
			b = append(b, r.CodeHash[:]...)
		}
	}
	if r.Gen > 0 {
		b = binary.AppendUvarint(b, r.Gen)
	}
	b[0] = flags
	return b
}

func appendTrimmed(b []byte, word [32]byte, n int) []byte { return append(b, word[32-n:]...) }

// DecodeAccount is the inverse of encode; what it accepts encodes to the same bytes.
func DecodeAccount(b []byte) (Account, error) {
	r := NoAccount
	d := reader{rest: b}
	flags := d.byte()
	if flags > flagExists|flagCode|flagStored|flagGeneration {
		d.fail("unknown flags")
	}
	if flags&flagExists != 0 {
		r.Exists = true
		r.Stored = flags&flagStored != 0
		r.Nonce = d.uvarint()
		n := int(d.byte())
		if balance := d.take(n); n > 32 || n > 0 && len(balance) == n && balance[0] == 0 {
			d.fail("balance not in its shortest form")
		} else if n > 0 {
			r.Balance = new(uint256.Int).SetBytes(balance)
		}
		if flags&flagCode != 0 {
			r.CodeHash = common.BytesToHash(d.take(common.HashLength))
			if r.CodeHash == types.EmptyCodeHash {
				d.fail("hash of no code")
			}
		}
	} else if flags != flagGeneration {
		d.fail("flags of an account that does not exist")
	}
	if flags&flagGeneration != 0 {
		if r.Gen = d.uvarint(); r.Gen == 0 {
			d.fail("generation 0")
		}
	}
	if err := d.end(); err != nil {
		return NoAccount, fmt.Errorf("%w: account row: %w", coco.ErrCorrupt, err)
	}
	return r, nil
}

// AppendStorageKey appends address, slot and, after the first generation, the generation.
func AppendStorageKey(b []byte, addr *common.Address, slot *common.Hash, gen uint64) []byte {
	b = append(append(b, addr[:]...), slot[:]...)
	if gen > 0 {
		b = binary.AppendUvarint(b, gen)
	}
	return b
}

// DecodeWord reads a storage row: 1 to 32 bytes without leading zeros.
func DecodeWord(b []byte) (common.Hash, error) {
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

// Source is what a state reads: a transaction set, an open transaction, or a snapshot.
type Source interface {
	Get(table string, key []byte) (value []byte, ok bool)
}

// Sink is where a state writes what a transaction changed.
type Sink interface {
	Put(table string, key, value []byte)
	Delete(table string, key []byte)
}
