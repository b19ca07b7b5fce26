package blocks

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Views read what has left memory from the ledger, through Env.Past: blocks, transactions and their
// indexes, and the rows of states that the store does not retain. Each request has a
// adapter.PastReader, which bounds what that may cost it.

// archived reads a row of an archive, from memory or else from the ledger; it was written by a transaction
// up to the seqno by, if ever. The ledger is looked through from there backwards, so the time that it takes
// grows with what was written between the row and by. written is the seqno of the transaction that wrote
// it, rows.Anywhere if the row is in memory. coco.ErrNotFound means that there is no such row.
func (v *View) archived(ctx context.Context, table string, key []byte, by uint64) (row []byte, written uint64, err error) {
	if row, ok := v.snapshot.Get(v.archive.table(table), key); ok {
		return row, rows.Anywhere, nil
	}
	if v.archive.facts.Development { // what was taken back is in the ledger, and does not count
		return nil, 0, errNoRow
	}
	// Asked in this order nothing can be missed: what has left memory until now was written up to the
	// oldest version. So the newest batches, which the ledger's index may lack, are not waited for,
	// and a young network is not asked at all.
	at := min(by, v.archive.env.State.Oldest())
	if at == 0 {
		return nil, 0, errNoRow
	}
	p, err := v.past.Get(ctx, table, key, at)
	if err == nil && p.Deleted {
		err = fmt.Errorf("%w: row %x of %s is deleted in transaction %v", coco.ErrCorrupt, key, table, p.TxID)
	}
	return p.Value, p.TxID.Seqno, err
}

var errNoRow = fmt.Errorf("%w: no such row", coco.ErrNotFound)

// oldState is a state that the store does not hold any more: rows as of a seqno, read one by one.
type oldState struct {
	seqno uint64

	mu   sync.Mutex
	rows map[string][]byte // what was read already; nil for no row
}

// maxOldRows bounds what a view remembers of an old state. An estimation executes the same call some
// twenty times.
const maxOldRows = 1 << 14

func newOldState(b *Block) *oldState {
	return &oldState{seqno: rows.LastOf(b.First, len(b.Txs)), rows: map[string][]byte{}}
}

// oldRow reads a row of an old state; nil if there was none.
func (v *View) oldRow(ctx context.Context, table string, key []byte) ([]byte, error) {
	o, name := v.old, table+"\x00"+string(key)
	o.mu.Lock()
	row, ok := o.rows[name]
	o.mu.Unlock()
	if ok {
		return row, nil
	}
	p, err := v.past.Get(ctx, table, key, o.seqno)
	if err != nil && !errors.Is(err, coco.ErrNotFound) {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rows) < maxOldRows {
		o.rows[name] = p.Value
	}
	return p.Value, nil
}

// State is the source that a view's state is read from, for one execution or one read. Its first
// failure sticks: what was read then is worth nothing. It belongs to one goroutine.
type State struct {
	Stop func() // ends the execution that reads, unless nil
	Err  error  // the first failure

	ctx  context.Context // of the one request
	view *View
}

// State returns the view's state for one execution.
func (v *View) State(ctx context.Context) *State { return &State{ctx: ctx, view: v} }

// Get implements rows.Source.
func (s *State) Get(table string, key []byte) ([]byte, bool) {
	if see := s.view.see; see != nil && (table == rows.Accounts || table == rows.Storage) && !see(common.Address(key[:common.AddressLength])) {
		return nil, false
	}
	// Code is named by its content and never removed, so the newest state has all of it.
	if s.view.old == nil || table == rows.Code {
		return s.view.snapshot.Get(table, key)
	}
	if s.Err != nil {
		return nil, false
	}
	row, err := s.view.oldRow(s.ctx, table, key)
	if err != nil {
		s.fail(err)
	}
	return row, row != nil
}

// Hash returns the hash of a block that is too old for BLOCKHASH.
func (s *State) Hash(number uint64) common.Hash {
	if s.Err != nil {
		return common.Hash{}
	}
	b, err := s.view.Block(s.ctx, number)
	if err != nil {
		s.fail(err)
		return common.Hash{}
	}
	return b.Hash
}

func (s *State) fail(err error) {
	s.Err = err
	if s.Stop != nil {
		s.Stop()
	}
}
