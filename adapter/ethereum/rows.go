package ethereum

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
)

// head is what the next block and calls need of the newest one, whose own row may be in the ledger
// only. The row "head" of the meta table is
//
//	number u64 | time u64 | hash | mix | carried number u64 | carried root
type head struct {
	number  uint64
	time    uint64 // seconds
	hash    common.Hash
	mix     common.Hash // the header's mix digest: PREVRANDAO
	carried knownRoot   // by the header; by the first block's, its own
}

const headSize = 3*8 + 3*common.HashLength

var keyHead = []byte("head")

func (h *head) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, headSize), h.number)
	b = append(binary.BigEndian.AppendUint64(b, h.time), h.hash[:]...)
	b = binary.BigEndian.AppendUint64(append(b, h.mix[:]...), h.carried.number)
	return append(b, h.carried.root[:]...)
}

func decodeHead(b []byte) (head, error) {
	if len(b) != headSize {
		return head{}, fmt.Errorf("%w: head row of %d bytes, expected %d", coco.ErrCorrupt, len(b), headSize)
	}
	return head{
		number: binary.BigEndian.Uint64(b), time: binary.BigEndian.Uint64(b[8:]),
		hash: common.BytesToHash(b[16:48]), mix: common.BytesToHash(b[48:80]),
		carried: knownRoot{binary.BigEndian.Uint64(b[80:]), common.BytesToHash(b[88:])},
	}, nil
}

func readHead(src source) (head, bool, error) {
	b, ok := src.Get(tableMeta, keyHead)
	if !ok {
		return head{}, false, nil
	}
	h, err := decodeHead(b)
	return h, err == nil, err
}

func blockKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// blockRow is a block as its row holds it:
//
//	hash | view, first seqno, size uvarints | header's length uvarint, header in RLP | hashes of the transactions
type blockRow struct {
	hash   common.Hash
	view   uint64
	first  uint64 // seqno of the first transaction; those of a block follow each other
	size   uint64 // of the block in RLP
	header []byte
	txs    []byte // 32 bytes each
}

// lastOf returns the seqno of a block's last transaction, with which the block is written. That of a block
// without any is its first.
func lastOf(first uint64, txs int) uint64 { return first + uint64(max(txs, 1)) - 1 }

// last is lastOf of the row's block.
func (r *blockRow) last() uint64 { return lastOf(r.first, len(r.txs)/common.HashLength) }

func (r *blockRow) encode() []byte {
	b := make([]byte, 0, common.HashLength+4*binary.MaxVarintLen64+len(r.header)+len(r.txs))
	b = append(b, r.hash[:]...)
	b = binary.AppendUvarint(b, r.view)
	b = binary.AppendUvarint(b, r.first)
	b = binary.AppendUvarint(b, r.size)
	b = binary.AppendUvarint(b, uint64(len(r.header)))
	b = append(b, r.header...)
	return append(b, r.txs...)
}

func decodeBlockRow(b []byte) (blockRow, error) {
	var r blockRow
	d := reader{rest: b}
	r.hash = common.BytesToHash(d.take(common.HashLength))
	r.view, r.first, r.size = d.uvarint(), d.uvarint(), d.uvarint()
	r.header = d.take(d.length(1))
	r.txs = d.take(len(d.rest))
	if d.err == nil && len(r.txs)%common.HashLength != 0 {
		d.fail("part of a hash")
	}
	if d.err != nil {
		return blockRow{}, fmt.Errorf("%w: block row: %w", coco.ErrCorrupt, d.err)
	}
	return r, nil
}

// bloomAt is where a header's bloom begins in its RLP: behind the list's and the fixed fields'
// lengths, which do not vary because a header is longer than 255 and shorter than 65,536 bytes.
const bloomAt = 3 + 33 + 33 + 21 + 33 + 33 + 33 + 3

// bloom returns the bloom of a block row without decoding the header.
func (r *blockRow) bloom() (bloom types.Bloom, ok bool) {
	if len(r.header) < bloomAt+types.BloomByteLength {
		return bloom, false
	}
	copy(bloom[:], r.header[bloomAt:])
	return bloom, true
}

func (r *blockRow) block() (*Block, error) {
	h := new(types.Header)
	if err := rlp.DecodeBytes(r.header, h); err != nil {
		return nil, fmt.Errorf("%w: header of block %v: %w", coco.ErrCorrupt, r.hash, err)
	}
	txs := make([]common.Hash, len(r.txs)/common.HashLength)
	for i := range txs {
		copy(txs[i][:], r.txs[i*common.HashLength:])
	}
	return &Block{Header: h, Hash: r.hash, Size: r.size, Txs: txs, First: r.first, View: r.view}, nil
}

// txRow is an included transaction as its row holds it:
//
//	sender | view, seqno, block, index, index of the first log in the block, gas used, cumulative gas,
//	status uvarints | length of the logs uvarint, logs as an RLP list | the transaction as it was signed
type txRow struct {
	sender     common.Address
	view       uint64
	seqno      uint64
	block      uint64
	index      uint64
	firstLog   uint64
	gasUsed    uint64
	cumulative uint64
	status     uint64
	logs       []byte
	raw        []byte
}

func (r *txRow) encode() []byte {
	b := make([]byte, 0, common.AddressLength+32+len(r.logs)+len(r.raw))
	b = append(b, r.sender[:]...)
	for _, v := range [...]uint64{r.view, r.seqno, r.block, r.index, r.firstLog, r.gasUsed, r.cumulative, r.status} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(r.logs)))
	b = append(b, r.logs...)
	return append(b, r.raw...)
}

func decodeTxRow(b []byte) (txRow, error) {
	var r txRow
	d := reader{rest: b}
	r.sender = common.BytesToAddress(d.take(common.AddressLength))
	for _, p := range [...]*uint64{&r.view, &r.seqno, &r.block, &r.index, &r.firstLog, &r.gasUsed, &r.cumulative, &r.status} {
		*p = d.uvarint()
	}
	if r.status > types.ReceiptStatusSuccessful {
		d.fail("unknown status")
	}
	r.logs = d.take(d.length(1))
	r.raw = d.take(len(d.rest))
	if d.err != nil {
		return txRow{}, fmt.Errorf("%w: transaction row: %w", coco.ErrCorrupt, d.err)
	}
	return r, nil
}

func (r *txRow) txID() coco.TxID { return coco.TxID{View: r.view, Seqno: r.seqno} }

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

func lengthLen(n int) int {
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

func stringSize(s []byte) int {
	if len(s) == 1 && s[0] < 0x80 {
		return 1
	}
	return lengthLen(len(s)) + len(s)
}

func logSize(l *types.Log) int {
	topics := 33 * len(l.Topics)
	return 21 + lengthLen(topics) + topics + stringSize(l.Data)
}

// encodeLogs returns the logs' list as a receipt contains it.
func encodeLogs(logs []*types.Log) []byte {
	size := 0
	for _, l := range logs {
		n := logSize(l)
		size += lengthLen(n) + n
	}
	b := appendLength(make([]byte, 0, lengthLen(size)+size), 0xc0, size)
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

// encodeClaims returns what a receipt of Coco proves about a transaction: the RLP list of its hash,
// block number, index and consensus receipt (EIP-2718), and the receipt alone, which is the end of
// it. Receipts before Byzantium would hold an intermediate state root instead of the status; this
// ledger has none.
func encodeClaims(hash *common.Hash, kind uint8, r *txRow, bloom *types.Bloom) (claims, receipt []byte) {
	const bloomSize = 3 + types.BloomByteLength
	body := uintSize(r.status) + uintSize(r.cumulative) + bloomSize + len(r.logs)
	size := lengthLen(body) + body
	if kind != types.LegacyTxType {
		size++
	}
	// The receipt is longer than 55 bytes: it has a bloom.
	all := 33 + uintSize(r.block) + uintSize(r.index) + lengthLen(size) + size
	b := appendLength(make([]byte, 0, lengthLen(all)+all), 0xc0, all)
	b = append(append(b, 0x80+common.HashLength), hash[:]...)
	b = appendUint(b, r.block)
	b = appendUint(b, r.index)
	b = appendLength(b, 0x80, size)
	start := len(b)
	if kind != types.LegacyTxType {
		b = append(b, kind)
	}
	b = appendLength(b, 0xc0, body)
	b = appendUint(b, r.status)
	b = appendUint(b, r.cumulative)
	b = append(appendLength(b, 0x80, types.BloomByteLength), bloom[:]...)
	b = append(b, r.logs...)
	return b, b[start:]
}
