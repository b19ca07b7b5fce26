// Package development is the development mode of an Ethereum ledger: what the nodes of Hardhat and Foundry do for tests beside what Ethereum
// does. It is the rows of that mode, and the calls that change them. Only a network whose constitution says that it is insecure has it.
//
//	tests ── evm_…, hardhat_…, anvil_… ──> Call ──┬── Execute: a transaction of the ledger that is in no block
//	                                              └── mining: package chain makes blocks
//
// Each change is a transaction of the ledger, so all nodes have it alike, and a restart keeps it. The time of blocks, whether they are made
// at once, what waits for one, and who is impersonated are in one row, the Mode.
//
// # Taking back
//
// The ledger only grows; the chain does not. Every block and every change writes a row that holds what it has replaced (Journal), and a
// revert puts the oldest of that back, newer rows aside: the state, the blocks with their numbers, what is read by hashes, and what waits. What is
// taken back is in no table then, so no reader has to tell it from what counts.
//
// Trust: enclave
package development

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Notice is what every user of such a network is told.
const Notice = "DEVELOPMENT: everybody who reaches a node sends transactions from any account, changes balances and code, and takes blocks back."

// Mode is how the next block is made. It is stored in RLP. Its zero value is that of a new network.
type Mode struct {
	// Offset is how many seconds the chain's time is ahead of the ledger's; it wraps around for a time that is behind.
	Offset uint64
	// Next is the time of the next block; 0 if its time is the ledger's and Offset.
	Next uint64
	// Held says that transactions wait until a block is mined by a call.
	Held bool
	// Interval is after how many milliseconds another block is made, transactions or not; 0 for never. Due is when, by the ledger's time.
	Interval, Due uint64
	// GasLimit is a block's; 0 for the setting's.
	GasLimit uint64
	// Coinbase is an address, or empty for the setting's.
	Coinbase []byte
	// Random is PREVRANDAO of the next block, 32 bytes, or empty for one that is drawn.
	Random []byte
	// Everybody says that all addresses are impersonated; Impersonated are those that are without it, in order.
	Everybody    bool
	Impersonated []common.Address
	// Snapshots are those that a revert may name, the oldest first; Last is how many there were.
	Snapshots []Snapshot
	Last      uint64
	// Steps is how many rows hold what was replaced, and Arrived how many transactions have waited. Changes only grows: it is another one
	// after each block and each change.
	Steps, Arrived, Changes uint64
}

// Snapshot is what a revert goes back to beside the rows that Steps counts.
type Snapshot struct {
	ID, Steps    uint64
	Taken        uint64 // the ledger's time, in milliseconds
	Offset, Next uint64
	Coinbase     []byte
	Random       []byte
}

var keyMode = []byte("mode")

// Read returns the mode of a state. The error is coco.ErrCorrupt.
func Read(src rows.Source) (*Mode, error) {
	m := new(Mode)
	row, ok := src.Get(rows.Development, keyMode)
	if !ok {
		return m, nil
	}
	if err := rlp.DecodeBytes(row, m); err != nil {
		return nil, fmt.Errorf("%w: row of the development mode: %w", coco.ErrCorrupt, err)
	}
	return m, nil
}

// Write makes the mode that of the state from now on.
func (m *Mode) Write(out rows.Sink) { out.Put(rows.Development, keyMode, encode(m)) }

func encode(v any) []byte {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(err) // it has no type that cannot be encoded
	}
	return b
}

// Time is the time of the block after one of the time parent, in seconds; now is the ledger's, in milliseconds. A block is later than its parent.
func (m *Mode) Time(parent, now uint64) uint64 {
	t := m.Next
	if t == 0 {
		t = now/1000 + m.Offset
	}
	return max(t, parent+1)
}

// Mined says that a block of a time was made: the chain's time goes on from there.
func (m *Mode) Mined(time, now uint64) {
	m.Offset, m.Next, m.Random = time-now/1000, 0, nil
	if m.Interval > 0 {
		m.Due = now + m.Interval
	}
}

// Impersonates reports whether transactions may be sent from an address without a signature.
func (m *Mode) Impersonates(addr common.Address) bool {
	_, found := slices.BinarySearchFunc(m.Impersonated, addr, common.Address.Cmp)
	return m.Everybody || found
}

// Waiting is a transaction that waits for a block.
type Waiting struct {
	Arrived uint64
	Owner   coco.ActorID // whose request it came with
	Raw     []byte       // as it was signed
}

var prefixWaiting = []byte("waiting ")

func (w *Waiting) key() []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(prefixWaiting), w.Arrived)
}

// Hold has a transaction wait.
func (m *Mode) Hold(out rows.Sink, owner coco.ActorID, raw []byte) {
	m.Arrived++
	w := Waiting{m.Arrived, owner, raw}
	out.Put(rows.Development, w.key(), encode(&w))
}

// Forget has a transaction wait no more.
func (w *Waiting) Forget(out rows.Sink) { out.Delete(rows.Development, w.key()) }

// Ranger is a state that can be listed.
type Ranger interface {
	Range(table string, from, to []byte, fn func(key, value []byte) bool)
}

// Pool returns what waits, in the order in which it came. The error is coco.ErrCorrupt.
func Pool(state Ranger) (list []Waiting, err error) {
	to := slices.Clone(prefixWaiting)
	to[len(to)-1]++
	state.Range(rows.Development, prefixWaiting, to, func(_, value []byte) bool {
		var w Waiting
		if err = rlp.DecodeBytes(value, &w); err != nil {
			err = fmt.Errorf("%w: row of a transaction that waits: %w", coco.ErrCorrupt, err)
			return false
		}
		list = append(list, w)
		return true
	})
	return list, err
}
