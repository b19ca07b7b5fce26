// Package reexecute executes a chain again with unmodified go-ethereum, as an auditor does who has its blocks: it knows the genesis and go-ethereum's
// state processor, and nothing of how Coco executes. What a header, receipts and the ledger say of transactions must be what go-ethereum comes to.
//
// A header of Coco carries the state root of an earlier block, which the first 8 bytes of its extra data name. In a closed network 24 random bytes follow
// them: the salt, which nothing executes and only the block's hash depends on. A header of another chain carries the root of its own block.
//
// The state is in a database on disk, or in memory. In memory beside it are the blocks of one call and a cache of 64 MiB.
//
// Trust: either
package reexecute

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/consensus"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	gethstate "github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/ethdb"
	"github.com/ethereum/go-ethereum/ethdb/leveldb"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/ethereum/go-ethereum/triedb"
	"github.com/ethereum/go-ethereum/triedb/hashdb"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
)

// Chain is what was executed so far. It is not safe for concurrent use, and cannot be used after an error.
type Chain struct {
	config *params.ChainConfig
	db     ethdb.Database
	tries  *triedb.Database
	state  gethstate.Database
	newest *types.Header
	root   common.Hash // after the newest block
}

// New begins with a genesis, in memory.
func New(spec *core.Genesis) (*Chain, error) {
	c, err := begin(spec, rawdb.NewMemoryDatabase())
	if err == nil {
		err = c.genesis(spec)
	}
	return c, err
}

// cacheMiB is what the database keeps in memory, and handles the files that it has open.
const (
	cacheMiB = 64
	handles  = 256
)

// Open begins with a genesis, in a folder, or goes on in a folder after the newest block that was executed there. The error is coco.ErrInvalid if the folder is of another genesis.
func Open(spec *core.Genesis, dir string) (*Chain, error) {
	kv, err := leveldb.New(dir, cacheMiB, handles, "", false)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: expected a folder of `coco eth replay --state`, or none: %w", coco.ErrInvalid, dir, err)
	}
	c, err := begin(spec, rawdb.NewDatabase(kv))
	if err == nil {
		err = c.resume(spec, dir)
	}
	if err != nil {
		return nil, errors.Join(err, kv.Close())
	}
	return c, nil
}

func begin(spec *core.Genesis, db ethdb.Database) (*Chain, error) {
	if spec.Config == nil || spec.Config.ChainID == nil {
		return nil, fmt.Errorf("%w: genesis: config: expected a chain id and forks, found none", coco.ErrInvalid)
	}
	tries := triedb.NewDatabase(db, &triedb.Config{Preimages: true, HashDB: hashdb.Defaults})
	return &Chain{config: spec.Config, db: db, tries: tries, state: gethstate.NewDatabase(tries, nil)}, nil
}

// resume reads the newest block of the database, or makes block 0.
func (c *Chain) resume(spec *core.Genesis, dir string) error {
	hash := rawdb.ReadHeadHeaderHash(c.db)
	if hash == (common.Hash{}) {
		return c.genesis(spec)
	}
	if found, want := rawdb.ReadCanonicalHash(c.db, 0), spec.ToBlock().Hash(); found != want {
		return fmt.Errorf("%w: %s holds the state of a chain with the genesis %v, expected %v", coco.ErrInvalid, dir, found, want)
	}
	if number, ok := rawdb.ReadHeaderNumber(c.db, hash); ok {
		c.newest, c.root = rawdb.ReadHeader(c.db, hash, number), c.rootAfter(number)
	}
	if c.newest == nil || c.root == (common.Hash{}) {
		return fmt.Errorf("%w: %s does not hold block %v, which was the last that was executed", coco.ErrCorrupt, dir, hash)
	}
	return nil
}

func (c *Chain) genesis(spec *core.Genesis) error {
	s, err := gethstate.New(types.EmptyRootHash, c.state)
	if err != nil {
		return err
	}
	for addr, account := range spec.Alloc {
		balance, overflow := uint256.FromBig(account.Balance)
		if overflow {
			return fmt.Errorf("%w: genesis: the balance of %v exceeds 256 bits", coco.ErrInvalid, addr)
		}
		if balance == nil {
			balance = new(uint256.Int)
		}
		s.SetBalance(addr, balance, tracing.BalanceIncreaseGenesisBalance)
		s.SetCode(addr, account.Code, 0)
		s.SetNonce(addr, account.Nonce, 0)
		for k, v := range account.Storage {
			s.SetState(addr, k, v)
		}
	}
	genesis := spec.ToBlock()
	root, err := s.Commit(params.Rules{}, 0)
	if err != nil {
		return err
	}
	if genesis.Root() != root {
		return differs(0, "state root", root, genesis.Root())
	}
	return c.commit(genesis.Header(), root)
}

// commit makes a block the newest one. A crash before the last write leaves the block before as the newest.
func (c *Chain) commit(h *types.Header, root common.Hash) error {
	if root != types.EmptyRootHash {
		if err := c.tries.Commit(root, false); err != nil {
			return err
		}
	}
	number, hash := h.Number.Uint64(), h.Hash()
	batch := c.db.NewBatch()
	rawdb.WriteHeader(batch, h)
	rawdb.WriteCanonicalHash(batch, hash, number)
	if err := batch.Put(rootKey(number), root[:]); err != nil {
		return err
	}
	rawdb.WriteHeadHeaderHash(batch, hash)
	c.newest, c.root = h, root
	return batch.Write()
}

func rootKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("coco-root-after-"), number)
}

// rootAfter is the state root after a block that was executed.
func (c *Chain) rootAfter(number uint64) common.Hash {
	b, _ := c.db.Get(rootKey(number))
	return common.BytesToHash(b)
}

// Next is the number of the block that is executed next.
func (c *Chain) Next() uint64 { return c.newest.Number.Uint64() + 1 }

// Newest is the header of the newest block, and the state root after it.
func (c *Chain) Newest() (*types.Header, common.Hash) { return c.newest, c.root }

// Dump writes the state after the newest block, as `geth dump --iterative` does: a line with the root, and a line for each account.
func (c *Chain) Dump(w io.Writer) error {
	s, err := gethstate.New(c.root, c.state)
	if err != nil {
		return err
	}
	out := &failing{w: w}
	s.IterativeDump(&gethstate.DumpConfig{}, json.NewEncoder(out))
	return out.err
}

// failing keeps the first error of a writer, which IterativeDump drops.
type failing struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (f *failing) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	var n int
	n, f.err = f.w.Write(b)
	return n, f.err
}

// Close closes the database.
func (c *Chain) Close() error { return errors.Join(c.tries.Close(), c.db.Close()) }

// Execute executes the next block of a chain of Coco. salted says that its header must have a salt; without, it must have none. The error is a *Difference if the header says
// anything else than go-ethereum comes to.
func (c *Chain) Execute(block *types.Block, salted bool) error {
	extra := 8
	if salted {
		extra = int(params.MaximumExtraDataSize)
	}
	if found := len(block.Header().Extra); found != extra {
		return differs(block.NumberU64(), "extra data", fmt.Sprintf("%d bytes", extra), fmt.Sprintf("%d bytes", found))
	}
	return c.Check(context.Background(), &archive.Item{Block: block}, archive.Delayed)
}

// Check executes the next block and compares its header, and its receipts and writes where there are any, with what go-ethereum comes to. stateRoot says of which block
// the header carries the state root. The error is a *Difference, the first one, if they are not the same.
func (c *Chain) Check(ctx context.Context, it *archive.Item, stateRoot string) error {
	h, number := it.Block.Header(), it.Block.NumberU64()
	parent, before := c.Newest()
	switch txs := types.DeriveSha(it.Block.Transactions(), trie.NewStackTrie(nil)); {
	case number != c.Next():
		return fmt.Errorf("%w: expected block %d, found %d", coco.ErrInvalid, c.Next(), number)
	case h.ParentHash != parent.Hash():
		return differs(number, "parent", parent.Hash(), h.ParentHash)
	case txs != h.TxHash:
		return differs(number, "transactions root", txs, h.TxHash)
	}
	if stateRoot == archive.Own {
		if err := engine.VerifyHeader((*headers)(c), h); err != nil {
			return differs(number, "header", "one that follows its parent", err)
		}
	} else if len(h.Extra) != 8 && len(h.Extra) != int(params.MaximumExtraDataSize) {
		return differs(number, "extra data", fmt.Sprintf("8 or %d bytes", params.MaximumExtraDataSize), fmt.Sprintf("%d bytes", len(h.Extra)))
	}
	sent(it.Block.Transactions())
	s, err := gethstate.New(before, c.state)
	if err != nil {
		return err
	}
	t := &judge{number: number, block: it.Block, state: s, writes: it.Writes}
	if w := it.Writes; w != nil {
		if err := t.begin(); err != nil {
			return err
		}
	}
	r, err := core.NewStateProcessor((*headers)(c)).Process(ctx, it.Block, s, nil, nil, vm.Config{Tracer: t.hooks()}, nil)
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case t.first != nil:
		return t.first
	case err != nil:
		return t.of(t.done, "validity", "a transaction that the rules admit", err)
	}
	if it.Receipts != nil {
		if err := t.receipts(r.Receipts, it.Receipts); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	rules := c.config.Rules(h.Number, h.Difficulty.Sign() == 0, h.Time)
	root, err := s.Commit(rules, number)
	if err != nil {
		return err
	}
	if err := c.header(h, r, rules.IsPrague); err != nil {
		return err
	}
	if stateRoot == archive.Own {
		if h.Root != root {
			return differs(number, "state root", root, h.Root)
		}
	} else if err := c.carried(h); err != nil {
		return err
	}
	return c.commit(h, root)
}

// header compares what a header says of its block.
func (c *Chain) header(h *types.Header, r *core.ProcessResult, requests bool) error {
	number := h.Number.Uint64()
	switch receipts := types.DeriveSha(r.Receipts, trie.NewStackTrie(nil)); {
	case r.GasUsed != h.GasUsed:
		return differs(number, "gas used", r.GasUsed, h.GasUsed)
	case receipts != h.ReceiptHash:
		return differs(number, "receipts root", receipts, h.ReceiptHash)
	case types.MergeBloom(r.Receipts) != h.Bloom:
		bloom := types.MergeBloom(r.Receipts)
		return differs(number, "bloom", hexutil.Bytes(bloom[:]), hexutil.Bytes(h.Bloom[:]))
	case requests && (h.RequestsHash == nil || types.CalcRequestsHash(r.Requests) != *h.RequestsHash):
		return differs(number, "requests", types.CalcRequestsHash(r.Requests), h.RequestsHash)
	}
	return nil
}

// carried compares the state root that a header carries of an earlier block.
func (c *Chain) carried(h *types.Header) error {
	number, of := h.Number.Uint64(), binary.BigEndian.Uint64(h.Extra)
	if of >= number {
		return differs(number, "extra data", "the number of an earlier block, whose state root the header carries", of)
	}
	if root := c.rootAfter(of); h.Root != root {
		return differs(number, fmt.Sprintf("state root after block %d", of), root, h.Root)
	}
	return nil
}

// engine is go-ethereum's of a chain before and after the merge, which looks for no work.
var engine = beacon.New(ethash.NewFaker())

// headers is the chain as go-ethereum asks for it.
type headers Chain

func (c *headers) Config() *params.ChainConfig  { return c.config }
func (c *headers) CurrentHeader() *types.Header { return c.newest }
func (c *headers) Engine() consensus.Engine     { return engine }

func (c *headers) GetHeader(hash common.Hash, number uint64) *types.Header {
	if c.newest.Number.Uint64() == number && c.newest.Hash() == hash {
		return c.newest
	}
	return rawdb.ReadHeader(c.db, hash, number)
}

func (c *headers) GetHeaderByNumber(number uint64) *types.Header {
	return c.GetHeader(rawdb.ReadCanonicalHash(c.db, number), number)
}

func (c *headers) GetHeaderByHash(hash common.Hash) *types.Header {
	number, ok := rawdb.ReadHeaderNumber(c.db, hash)
	if !ok {
		return nil
	}
	return c.GetHeader(hash, number)
}

// Executed is the hash of a block that was executed; zero if it was not.
func (c *Chain) Executed(number uint64) common.Hash { return rawdb.ReadCanonicalHash(c.db, number) }
