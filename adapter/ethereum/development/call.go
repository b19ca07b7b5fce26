package development

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
)

// Kind is what a call does.
type Kind string

// The kinds, and which fields of a call they read.
const (
	Balance     Kind = "balance"     // Address, Data: big-endian
	Nonce       Kind = "nonce"       // Address, Number
	Code        Kind = "code"        // Address, Data
	Slot        Kind = "slot"        // Address, Word: which, Data: 32 bytes
	Increase    Kind = "increase"    // Number: seconds, which wrap around
	Next        Kind = "next"        // Number: the time of the next block
	Automine    Kind = "automine"    // Number: 1 for on
	Interval    Kind = "interval"    // Number: milliseconds
	GasLimit    Kind = "gas limit"   // Number
	Coinbase    Kind = "coinbase"    // Address
	Random      Kind = "random"      // Word
	Impersonate Kind = "impersonate" // Address
	Stop        Kind = "stop"        // Address: impersonated no more
	Everybody   Kind = "everybody"   // Number: 1 for impersonating all
	Take        Kind = "snapshot"    // the reply is its id
	Revert      Kind = "revert"      // Number: the snapshot's id; 0 is the beginning
	Drop        Kind = "drop"        // Word: the hash of a transaction that waits
	Mine        Kind = "mine"        // Number: blocks, Word: seconds between them in its last 8 bytes
)

// MaxMined is how many blocks one call makes at most.
const MaxMined = 64

// Call is one change of the mode, or of a state by the mode. A call of the kind Mine is executed by package chain.
type Call struct {
	Kind    Kind
	Address common.Address
	Number  uint64
	Word    common.Hash
	Data    []byte
}

// Payload returns what travels to the leader.
func (c *Call) Payload() []byte { return owncall.Development.Payload(c) }

// Decode reads a payload. It is not is if the payload is none of a Call. The error is coco.ErrCorrupt.
func Decode(payload []byte) (c *Call, is bool, err error) {
	c = new(Call)
	if is, err := owncall.Development.Decode(payload, c); !is || err != nil {
		return nil, is, err
	}
	return c, true, nil
}

// Transaction is what executing a Call reads and writes.
type Transaction interface {
	rows.Source
	rows.Sink
	Ranger
}

// Context is what a Call is executed in.
type Context struct {
	Now      uint64 // the ledger's time, in milliseconds
	Room     int    // how many bytes may be written
	GasLimit uint64 // the setting's
}

// Reply is what a call has come to: the id of a snapshot, the offset of the time, or 1 for yes and 0 for no.
type Reply uint64

// Encode returns the reply's bytes.
func (r Reply) Encode() []byte { return binary.BigEndian.AppendUint64(nil, uint64(r)) }

// DecodeReply is the inverse of Reply.Encode; 0 for anything else.
func DecodeReply(b []byte) Reply {
	if len(b) != 8 {
		return 0
	}
	return Reply(binary.BigEndian.Uint64(b))
}

// Execute executes a call of any kind but Mine. The errors are coco.ErrInvalid, and coco.ErrCorrupt; nothing of the transaction may be committed
// then.
func (c *Call) Execute(tx Transaction, in Context) (r Reply, err error) {
	m, err := Read(tx)
	if err != nil {
		return 0, err
	}
	j := NewJournal(tx).Over(tx)
	switch c.Kind {
	case Balance, Nonce, Code, Slot:
		r, err = 1, c.set(tx, j)
	case Revert:
		r, err = c.revert(tx, m, in)
	case Drop:
		r, err = c.drop(tx, j)
	default:
		r, err = c.configure(tx, m, in)
	}
	if err != nil {
		return 0, err
	}
	j.Close(tx, m)
	return r, nil
}

// set changes an account.
func (c *Call) set(src rows.Source, out rows.Sink) error {
	s := statedb.New(src)
	s.Sink = out
	switch c.Kind {
	case Balance:
		s.SetBalance(s.Ensure(c.Address), new(uint256.Int).SetBytes(c.Data))
	case Nonce:
		if now := s.GetNonce(c.Address); c.Number < now {
			return fmt.Errorf("%w: new nonce (%d) must not be smaller than the existing nonce (%d)", coco.ErrInvalid, c.Number, now)
		}
		s.SetNonce(c.Address, c.Number, 0)
	case Code:
		s.SetCode(c.Address, c.Data, 0)
	case Slot:
		s.SetState(c.Address, c.Word, common.BytesToHash(c.Data))
	}
	if s.Corrupt != nil {
		return s.Corrupt
	}
	s.Finish(false)
	return nil
}

// revert takes back what came after a snapshot, which ends with the ones after it.
func (c *Call) revert(tx Transaction, m *Mode, in Context) (Reply, error) {
	if c.Number == 0 {
		if err := m.takeBack(tx, 0, in.Room); err != nil {
			return 0, err
		}
		*m = Mode{Arrived: m.Arrived, Changes: m.Changes}
		return 1, nil
	}
	at := slices.IndexFunc(m.Snapshots, func(s Snapshot) bool { return s.ID == c.Number })
	if at < 0 {
		return 0, nil
	}
	s := m.Snapshots[at]
	if err := m.takeBack(tx, s.Steps, in.Room); err != nil {
		return 0, err
	}
	// The chain's time goes on from when the snapshot was taken. As in Hardhat, it is rounded up.
	m.Offset = s.Offset - (in.Now-s.Taken)/1000
	m.Next, m.Coinbase, m.Random, m.Snapshots = s.Next, s.Coinbase, s.Random, m.Snapshots[:at]
	return 1, nil
}

// drop forgets a transaction that waits.
func (c *Call) drop(tx Transaction, out rows.Sink) (Reply, error) {
	if _, mined := tx.Get(rows.DevTxs, c.Word[:]); mined {
		return 0, fmt.Errorf("%w: transaction %v cannot be dropped because it's already mined", coco.ErrInvalid, c.Word)
	}
	pool, err := Pool(tx)
	if err != nil {
		return 0, err
	}
	for _, w := range pool {
		if crypto.Keccak256Hash(w.Raw) == c.Word {
			w.Forget(out)
			return 1, nil
		}
	}
	return 0, nil
}

// configure changes the mode alone.
func (c *Call) configure(tx rows.Source, m *Mode, in Context) (Reply, error) {
	switch c.Kind {
	case Increase:
		m.Offset += c.Number
		return Reply(m.Offset), nil
	case Next:
		head, _, err := rows.ReadHead(tx)
		if err != nil {
			return 0, err
		}
		if c.Number <= head.Time {
			return 0, fmt.Errorf("%w: timestamp %d is lower than or equal to previous block's timestamp %d", coco.ErrInvalid, c.Number, head.Time)
		}
		m.Next = c.Number
		return Reply(c.Number), nil
	case Automine:
		m.Held = c.Number == 0
	case Interval:
		m.Interval, m.Due = c.Number, in.Now+c.Number
	case GasLimit:
		if c.Number == 0 || c.Number > in.GasLimit {
			return 0, fmt.Errorf("%w: block gas limit %d: expected 1 to %d, the setting gas_limit of the network (coco up --dev --set adapters.ethereum.gas_limit=…)", coco.ErrInvalid, c.Number, in.GasLimit)
		}
		m.GasLimit = c.Number
	case Coinbase:
		m.Coinbase = bytes.Clone(c.Address[:])
	case Random:
		m.Random = bytes.Clone(c.Word[:])
	case Impersonate:
		if at, found := slices.BinarySearchFunc(m.Impersonated, c.Address, common.Address.Cmp); !found {
			m.Impersonated = slices.Insert(m.Impersonated, at, c.Address)
		}
	case Stop:
		at, found := slices.BinarySearchFunc(m.Impersonated, c.Address, common.Address.Cmp)
		if !found {
			return 0, nil
		}
		m.Impersonated = slices.Delete(m.Impersonated, at, at+1)
	case Everybody:
		m.Everybody = c.Number == 1
	case Take:
		m.Last++
		m.Snapshots = append(m.Snapshots, Snapshot{ID: m.Last, Steps: m.Steps, Taken: in.Now, Offset: m.Offset, Next: m.Next, Coinbase: m.Coinbase, Random: m.Random})
		return Reply(m.Last), nil
	default:
		return 0, fmt.Errorf("%w: call of the development mode: unknown kind %.40q: the node's program is older than the caller's", coco.ErrInvalid, c.Kind)
	}
	return 1, nil
}
