package rows

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
)

// Head is what the next block and calls need of the newest one, whose own row may be in the ledger
// only. The row "head" of the meta table is
//
//	number u64 | time u64 | hash | mix | carried number u64 | carried root
type Head struct {
	Number  uint64
	Time    uint64 // seconds
	Hash    common.Hash
	Mix     common.Hash // the header's mix digest: PREVRANDAO
	Carried KnownRoot   // by the header; by the first block's, its own
}

const headSize = 3*8 + 3*common.HashLength

var KeyHead = []byte("head")

func (h *Head) Encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, headSize), h.Number)
	b = append(binary.BigEndian.AppendUint64(b, h.Time), h.Hash[:]...)
	b = binary.BigEndian.AppendUint64(append(b, h.Mix[:]...), h.Carried.Number)
	return append(b, h.Carried.Root[:]...)
}

// DecodeHead is the inverse of Head.Encode.
func DecodeHead(b []byte) (Head, error) {
	if len(b) != headSize {
		return Head{}, fmt.Errorf("%w: head row of %d bytes, expected %d", coco.ErrCorrupt, len(b), headSize)
	}
	return Head{
		Number: binary.BigEndian.Uint64(b), Time: binary.BigEndian.Uint64(b[8:]),
		Hash: common.BytesToHash(b[16:48]), Mix: common.BytesToHash(b[48:80]),
		Carried: KnownRoot{binary.BigEndian.Uint64(b[80:]), common.BytesToHash(b[88:])},
	}, nil
}

// Milestones is how many blocks share a milestone. Such a row stays in memory for ever, and says up to where
// in the ledger its blocks are.
const Milestones = 64

// EndsMilestone reports whether the milestone of a block is written with it.
func EndsMilestone(number uint64) bool { return number%Milestones == Milestones-1 }

// MilestoneKey is the key in the meta table of a block's milestone.
func MilestoneKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("milestone "), number/Milestones)
}

// EncodeMilestone returns the row of a milestone whose blocks' last transaction has a seqno.
func EncodeMilestone(last uint64) []byte { return binary.BigEndian.AppendUint64(nil, last) }

// Anywhere is the bound of a row of which nothing is known but its key.
const Anywhere = math.MaxUint64

// WrittenBy returns a seqno by which a block is written: that of the last transaction of the last block that
// has the same milestone. It is Anywhere for blocks whose milestone is still to come, which are close to the newest one.
func WrittenBy(src Source, number uint64) uint64 {
	if row, ok := src.Get(Meta, MilestoneKey(number)); ok && len(row) == 8 {
		return binary.BigEndian.Uint64(row)
	}
	return Anywhere
}

// KeyEmpty is the key in the meta table of how many of the newest blocks are without transactions. The row is
//
//	number u64 | count u64
//
// of the newest block without any, and holds as long as that is the newest block. Without a row the count is 0.
var KeyEmpty = []byte("empty")

// EncodeEmpty returns the row of a block without transactions.
func EncodeEmpty(number, count uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, number), count)
}

// EmptyBlocks returns how many of the newest blocks, of which the last has a number, are without transactions.
func EmptyBlocks(src Source, number uint64) uint64 {
	b, ok := src.Get(Meta, KeyEmpty)
	if !ok || len(b) != 16 || binary.BigEndian.Uint64(b) != number {
		return 0
	}
	return binary.BigEndian.Uint64(b[8:])
}

// KeyTerms is the key of what the newest block was made by, of what members may change: its gas limit and the address that
// receives its fees. It is written in block 0, and when it changes; a ledger from before has none until then.
var KeyTerms = []byte("terms")

// EncodeTerms returns the row of a header.
func EncodeTerms(h *types.Header) []byte {
	return append(binary.BigEndian.AppendUint64(nil, h.GasLimit), h.Coinbase[:]...)
}

// ReadTerms reads the row; it is not ok if there is none.
func ReadTerms(src Source) (gasLimit uint64, coinbase common.Address, ok bool, err error) {
	b, ok := src.Get(Meta, KeyTerms)
	if !ok {
		return 0, coinbase, false, nil
	}
	if len(b) != 8+common.AddressLength {
		return 0, coinbase, false, fmt.Errorf("%w: row of %d bytes of the newest block's terms, expected %d", coco.ErrCorrupt, len(b), 8+common.AddressLength)
	}
	return binary.BigEndian.Uint64(b), common.BytesToAddress(b[8:]), true, nil
}

// KnownRoot is a block's number and the state root after it.
type KnownRoot struct {
	Number uint64
	Root   common.Hash
}

// Extra is the extra data of a header: the number of the block whose state root it carries and, in a closed network, a salt that keeps the
// block's hash from confirming a guess at the rest of the header.
func Extra(carried uint64, salted bool, random io.Reader) []byte {
	b := binary.BigEndian.AppendUint64(nil, carried)
	if salted {
		b = append(b, make([]byte, params.MaximumExtraDataSize-8)...)
		if _, err := io.ReadFull(random, b[8:]); err != nil {
			panic(fmt.Sprintf("ethereum: the set's randomness fails: %v", err)) // it is the enclave's own
		}
	}
	return b
}

// CarriedBy returns the root that a block's header carries: its own, for the first block.
func CarriedBy(h *types.Header) KnownRoot {
	k := KnownRoot{Root: h.Root}
	if len(h.Extra) == 8 || uint64(len(h.Extra)) == params.MaximumExtraDataSize { // with a salt
		k.Number = binary.BigEndian.Uint64(h.Extra)
	}
	return k
}

func ReadHead(src Source) (Head, bool, error) {
	b, ok := src.Get(Meta, KeyHead)
	if !ok {
		return Head{}, false, nil
	}
	h, err := DecodeHead(b)
	return h, err == nil, err
}

func BlockKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// Block is a block as its row holds it:
//
//	hash | view, first seqno, size uvarints | header's length uvarint, header in RLP | hashes of the transactions
type Block struct {
	Hash   common.Hash
	View   uint64
	First  uint64 // seqno of the first transaction; those of a block follow each other
	Size   uint64 // of the block in RLP
	Header []byte
	Txs    []byte // 32 bytes each
}

// LastOf returns the seqno of a block's last transaction, with which the block is written. That of a block
// without any is its first.
func LastOf(first uint64, txs int) uint64 { return first + uint64(max(txs, 1)) - 1 }

// Last is lastOf of the row's block.
func (r *Block) Last() uint64 { return LastOf(r.First, len(r.Txs)/common.HashLength) }

func (r *Block) Encode() []byte {
	b := make([]byte, 0, common.HashLength+4*binary.MaxVarintLen64+len(r.Header)+len(r.Txs))
	b = append(b, r.Hash[:]...)
	b = binary.AppendUvarint(b, r.View)
	b = binary.AppendUvarint(b, r.First)
	b = binary.AppendUvarint(b, r.Size)
	b = binary.AppendUvarint(b, uint64(len(r.Header)))
	b = append(b, r.Header...)
	return append(b, r.Txs...)
}

func DecodeBlock(b []byte) (Block, error) {
	var r Block
	d := reader{rest: b}
	r.Hash = common.BytesToHash(d.take(common.HashLength))
	r.View, r.First, r.Size = d.uvarint(), d.uvarint(), d.uvarint()
	r.Header = d.take(d.length(1))
	r.Txs = d.take(len(d.rest))
	if d.err == nil && len(r.Txs)%common.HashLength != 0 {
		d.fail("part of a hash")
	}
	if d.err != nil {
		return Block{}, fmt.Errorf("%w: block row: %w", coco.ErrCorrupt, d.err)
	}
	return r, nil
}

// bloomAt is where a header's bloom begins in its RLP: behind the list's and the fixed fields'
// lengths, which do not vary because a header is longer than 255 and shorter than 65,536 bytes.
const bloomAt = 3 + 33 + 33 + 21 + 33 + 33 + 33 + 3

// Bloom returns the bloom of a block row without decoding the header.
func (r *Block) Bloom() (bloom types.Bloom, ok bool) {
	if len(r.Header) < bloomAt+types.BloomByteLength {
		return bloom, false
	}
	copy(bloom[:], r.Header[bloomAt:])
	return bloom, true
}

// Tx is an included transaction as its row holds it:
//
//	sender | view, seqno, block, index, index of the first log in the block, gas used, cumulative gas,
//	status uvarints | [actor | [how u8] | [length of the user's name uvarint, user]] | length of the logs uvarint, logs as an RLP list | the transaction as it was signed
//
// Where a user sent it, status is 2 more, and actor and user are there; where nobody has signed it (package calls), status is 4 more, and actor and how are there.
type Tx struct {
	Sender     common.Address
	View       uint64
	Seqno      uint64
	Block      uint64
	Index      uint64
	FirstLog   uint64
	GasUsed    uint64
	Cumulative uint64
	Status     uint64
	By         By
	Logs       []byte
	Raw        []byte
}

func (r *Tx) Encode() []byte {
	b := make([]byte, 0, common.AddressLength+73+len(r.By.User)+len(r.Logs)+len(r.Raw))
	b = append(b, r.Sender[:]...)
	status := r.Status | r.By.flags()
	for _, v := range [...]uint64{r.View, r.Seqno, r.Block, r.Index, r.FirstLog, r.GasUsed, r.Cumulative, status} {
		b = binary.AppendUvarint(b, v)
	}
	b = r.By.append(b)
	b = binary.AppendUvarint(b, uint64(len(r.Logs)))
	b = append(b, r.Logs...)
	return append(b, r.Raw...)
}

// EffectiveGasPrice is what a transaction pays per unit of gas (EIP-1559), which its row does not say. baseFee is its block's, or nil.
func EffectiveGasPrice(tx *types.Transaction, baseFee *big.Int) *big.Int {
	if baseFee == nil {
		return tx.GasPrice()
	}
	return new(big.Int).Add(tx.EffectiveGasTipValue(baseFee), baseFee)
}

func DecodeTx(b []byte) (Tx, error) {
	var r Tx
	d := reader{rest: b}
	r.Sender = common.BytesToAddress(d.take(common.AddressLength))
	for _, p := range [...]*uint64{&r.View, &r.Seqno, &r.Block, &r.Index, &r.FirstLog, &r.GasUsed, &r.Cumulative, &r.Status} {
		*p = d.uvarint()
	}
	if r.Status > hasHow|hasBy|types.ReceiptStatusSuccessful {
		d.fail("unknown status")
	}
	r.By = d.by(r.Status)
	r.Status &= types.ReceiptStatusSuccessful
	r.Logs = d.take(d.length(1))
	r.Raw = d.take(len(d.rest))
	if d.err != nil {
		return Tx{}, fmt.Errorf("%w: transaction row: %w", coco.ErrCorrupt, d.err)
	}
	return r, nil
}

func (r *Tx) TxID() coco.TxID { return coco.TxID{View: r.View, Seqno: r.Seqno} }

// The rest of this file appends RLP to a buffer.

// appendLength appends the head of a string (base 0x80) or list (base 0xc0) of n bytes.
func appendLength(b []byte, base byte, n int) []byte {
	if n < 56 {
		return append(b, base+byte(n))
	}
	k := uintLen(uint64(n))
	b = append(b, base+55+byte(k))
	return appendUintBytes(b, uint64(n), k)
}

func LengthLen(n int) int {
	if n < 56 {
		return 1
	}
	return 1 + uintLen(uint64(n))
}

func uintLen(v uint64) int {
	n := 0
	for ; v > 0; v >>= 8 {
		n++
	}
	return n
}

func appendUintBytes(b []byte, v uint64, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

func appendUint(b []byte, v uint64) []byte {
	if v > 0 && v < 0x80 {
		return append(b, byte(v))
	}
	n := uintLen(v)
	return appendUintBytes(append(b, 0x80+byte(n)), v, n)
}

func uintSize(v uint64) int {
	if v > 0 && v < 0x80 {
		return 1
	}
	return 1 + uintLen(v)
}

func appendString(b, s []byte) []byte {
	if len(s) == 1 && s[0] < 0x80 {
		return append(b, s[0])
	}
	return append(appendLength(b, 0x80, len(s)), s...)
}

func StringSize(s []byte) int {
	if len(s) == 1 && s[0] < 0x80 {
		return 1
	}
	return LengthLen(len(s)) + len(s)
}

func logSize(l *types.Log) int {
	topics := 33 * len(l.Topics)
	return 21 + LengthLen(topics) + topics + StringSize(l.Data)
}

// EncodeLogs returns the logs' list as a receipt contains it.
func EncodeLogs(logs []*types.Log) []byte {
	size := 0
	for _, l := range logs {
		n := logSize(l)
		size += LengthLen(n) + n
	}
	b := appendLength(make([]byte, 0, LengthLen(size)+size), 0xc0, size)
	for _, l := range logs {
		b = appendLength(b, 0xc0, logSize(l))
		b = append(append(b, 0x80+common.AddressLength), l.Address[:]...)
		b = appendLength(b, 0xc0, 33*len(l.Topics))
		for i := range l.Topics {
			b = append(append(b, 0x80+common.HashLength), l.Topics[i][:]...)
		}
		b = appendString(b, l.Data)
	}
	return b
}

// EncodeClaims returns what a receipt of Coco proves about a transaction: the RLP list of its hash,
// block number, index and consensus receipt (EIP-2718), and the receipt alone, which is the end of
// it. Receipts before Byzantium would hold an intermediate state root instead of the status; this
// ledger has none.
func EncodeClaims(hash *common.Hash, kind uint8, r *Tx, bloom *types.Bloom) (claims, receipt []byte) {
	const bloomSize = 3 + types.BloomByteLength
	body := uintSize(r.Status) + uintSize(r.Cumulative) + bloomSize + len(r.Logs)
	size := LengthLen(body) + body
	if kind != types.LegacyTxType {
		size++
	}
	// The receipt is longer than 55 bytes: it has a bloom.
	all := 33 + uintSize(r.Block) + uintSize(r.Index) + LengthLen(size) + size
	b := appendLength(make([]byte, 0, LengthLen(all)+all), 0xc0, all)
	b = append(append(b, 0x80+common.HashLength), hash[:]...)
	b = appendUint(b, r.Block)
	b = appendUint(b, r.Index)
	b = appendLength(b, 0x80, size)
	start := len(b)
	if kind != types.LegacyTxType {
		b = append(b, kind)
	}
	b = appendLength(b, 0xc0, body)
	b = appendUint(b, r.Status)
	b = appendUint(b, r.Cumulative)
	b = append(appendLength(b, 0x80, types.BloomByteLength), bloom[:]...)
	b = append(b, r.Logs...)
	return b, b[start:]
}

// IsClaims reports whether claims are of the form of EncodeClaims.
func IsClaims(claims []byte) bool {
	var is struct {
		Hash         common.Hash
		Block, Index uint64
		Receipt      []byte
	}
	return rlp.DecodeBytes(claims, &is) == nil
}
