package chain

import (
	"context"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	gethstate "github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/contracts"
)

// auditor executes blocks with unmodified go-ethereum, from its own genesis on.
type auditor struct {
	t      testing.TB
	config *params.ChainConfig
	blocks []*types.Block
	roots  []common.Hash
	db     gethstate.Database
}

func (a *auditor) Config() *params.ChainConfig  { return a.config }
func (a *auditor) CurrentHeader() *types.Header { return a.blocks[len(a.blocks)-1].Header() }
func (a *auditor) Engine() consensus.Engine     { return beacon.New(ethash.NewFaker()) }
func (a *auditor) GetHeader(_ common.Hash, number uint64) *types.Header {
	return a.GetHeaderByNumber(number)
}

func (a *auditor) GetHeaderByNumber(number uint64) *types.Header {
	if number < uint64(len(a.blocks)) {
		return a.blocks[number].Header()
	}
	return nil
}

func (a *auditor) GetHeaderByHash(hash common.Hash) *types.Header {
	for _, b := range a.blocks {
		if b.Hash() == hash {
			return b.Header()
		}
	}
	return nil
}

func newAuditor(c *testChain) *auditor {
	spec := c.chain().genesisSpec()
	a := &auditor{t: c.t, config: c.ChainConfig(), db: gethstate.NewDatabaseForTesting()}
	s, err := gethstate.New(types.EmptyRootHash, a.db)
	must(c.t, err)
	for addr, account := range spec.Alloc {
		s.SetBalance(addr, uint256.MustFromBig(account.Balance), tracing.BalanceIncreaseGenesisBalance)
		s.SetCode(addr, account.Code, 0)
		s.SetNonce(addr, account.Nonce, 0)
		for k, v := range account.Storage {
			s.SetState(addr, k, v)
		}
	}
	root, err := s.Commit(params.Rules{}, 0)
	must(c.t, err)
	genesis := spec.ToBlock()
	equal(c.t, "state root of genesis", genesis.Root(), root)
	a.blocks, a.roots = []*types.Block{genesis}, []common.Hash{root}
	return a
}

// follow executes the chain's blocks from the first that the auditor does not have.
func (a *auditor) follow(c *testChain) {
	v := c.Latest()
	defer v.Release()
	for n := uint64(len(a.blocks)); n <= v.Number(); n++ {
		b, err := v.Block(c.t.Context(), n)
		must(a.t, err)
		list, err := transactionsOf(v, b)
		must(a.t, err)
		body := &types.Body{}
		for _, tx := range list {
			body.Transactions = append(body.Transactions, tx.Tx)
		}
		if a.config.IsShanghai(b.Header.Number, b.Header.Time) {
			body.Withdrawals = types.Withdrawals{}
		}
		a.execute(types.NewBlockWithHeader(b.Header).WithBody(*body), b)
	}
}

func (a *auditor) execute(block *types.Block, ours *Block) {
	t, h := a.t, block.Header()
	equal(t, "block hash", h.Hash(), ours.Hash)
	equal(t, "parent hash", h.ParentHash, a.blocks[len(a.blocks)-1].Hash())
	equal(t, "size", uint64(block.Size()), ours.Size)
	equal(t, "transactions root", types.DeriveSha(block.Transactions(), trie.NewStackTrie(nil)), h.TxHash)
	s, err := gethstate.New(a.roots[len(a.roots)-1], a.db)
	must(t, err)
	r, err := core.NewStateProcessor(a).Process(context.Background(), block, s, nil, nil, vm.Config{}, nil)
	must(t, err)
	equal(t, "gas used", r.GasUsed, h.GasUsed)
	equal(t, "receipts root", types.DeriveSha(r.Receipts, trie.NewStackTrie(nil)), h.ReceiptHash)
	equal(t, "bloom", types.MergeBloom(r.Receipts), h.Bloom)
	rules := a.config.Rules(h.Number, h.Difficulty.Sign() == 0, h.Time)
	if rules.IsPrague {
		equal(t, "requests", types.CalcRequestsHash(r.Requests), *h.RequestsHash)
	}
	root, err := s.Commit(rules, block.NumberU64())
	must(t, err)
	a.blocks, a.roots = append(a.blocks, block), append(a.roots, root)
	equal(t, "length of the extra data", len(h.Extra), 8)
	named := binary.BigEndian.Uint64(h.Extra)
	if named >= block.NumberU64() {
		t.Fatalf("block %d carries the state root of block %d", block.NumberU64(), named)
	}
	equal(t, "state root of the named block", h.Root, a.roots[named])
}

// traffic makes random transactions of many kinds; all of them are valid.
type traffic struct {
	c         *testChain
	r         *rand.Rand
	nonces    []uint64
	contracts []common.Address
	token     common.Address
}

func (f *traffic) next() *types.Transaction {
	c, from := f.c, f.r.IntN(len(f.c.keys))
	nonce := f.nonces[from]
	f.nonces[from]++
	other := c.address(f.r.IntN(len(c.keys)))
	switch f.r.IntN(8) {
	case 0:
		return c.sign(from, nonce, &other, 21000, f.r.Int64N(1000), nil)
	case 1: // to an address that nobody has
		fresh := common.BytesToAddress(binary.BigEndian.AppendUint64([]byte{7}, f.r.Uint64()))
		return c.sign(from, nonce, &fresh, 21000, f.r.Int64N(2), nil)
	case 2: // fails when the balance is too small
		return c.sign(from, nonce, &f.token, 100_000, 0, contracts.Transfer(other, big.NewInt(f.r.Int64N(3000))))
	case 3: // runs out of gas
		return c.sign(from, nonce, &f.token, 25_000, 0, contracts.Transfer(other, big.NewInt(1)))
	case 4:
		f.contracts = append(f.contracts, crypto.CreateAddress(c.address(from), nonce))
		return c.sign(from, nonce, nil, 300_000, f.r.Int64N(5), churn)
	case 5, 6:
		if len(f.contracts) > 0 {
			to := f.contracts[f.r.IntN(len(f.contracts))]
			return c.sign(from, nonce, &to, 300_000, 0, []byte{byte(f.r.IntN(4))})
		}
	case 7: // a delegation (EIP-7702), which the authority itself signs for its next nonce
		if !c.chain().rules.IsPrague {
			break
		}
		auth, err := types.SignSetCode(c.keys[from], types.SetCodeAuthorization{
			ChainID: *uint256.NewInt(testChainID), Address: f.token, Nonce: nonce + 1,
		})
		must(c.t, err)
		f.nonces[from]++
		tx, err := types.SignNewTx(c.keys[from], c.Signer(), &types.SetCodeTx{
			ChainID: uint256.NewInt(testChainID), Nonce: nonce, To: other, Gas: 100_000,
			GasFeeCap: new(uint256.Int), GasTipCap: new(uint256.Int), AuthList: []types.SetCodeAuthorization{auth},
		})
		must(c.t, err)
		return tx
	}
	return c.sign(from, nonce, nil, 100_000, 0, []byte{byte(vm.PUSH0), byte(vm.PUSH0), byte(vm.REVERT)})
}

// churn creates a contract that mixes what it sees of the block into slot 0; then the first byte of
// its input chooses: 0 stores, 1 clears, 2 logs, 3 destroys.
var churn = initCode([]byte{
	byte(vm.PREVRANDAO), byte(vm.PUSH1), 1, byte(vm.NUMBER), byte(vm.SUB), byte(vm.BLOCKHASH), byte(vm.XOR),
	byte(vm.TIMESTAMP), byte(vm.XOR), byte(vm.PUSH0), byte(vm.SSTORE),
	11: byte(vm.PUSH0), byte(vm.CALLDATALOAD), byte(vm.PUSH0), byte(vm.BYTE),
	15: byte(vm.DUP1), byte(vm.PUSH1), 1, byte(vm.EQ), byte(vm.PUSH1), 39, byte(vm.JUMPI),
	22: byte(vm.DUP1), byte(vm.PUSH1), 2, byte(vm.EQ), byte(vm.PUSH1), 44, byte(vm.JUMPI),
	29: byte(vm.PUSH1), 3, byte(vm.EQ), byte(vm.PUSH1), 52, byte(vm.JUMPI),
	35: byte(vm.NUMBER), byte(vm.NUMBER), byte(vm.SSTORE), byte(vm.STOP),
	39: byte(vm.JUMPDEST), byte(vm.PUSH0), byte(vm.PUSH0), byte(vm.SSTORE), byte(vm.STOP),
	44: byte(vm.JUMPDEST), byte(vm.PUSH1), 42, byte(vm.PUSH1), 32, byte(vm.PUSH0), byte(vm.LOG1), byte(vm.STOP),
	52: byte(vm.JUMPDEST), byte(vm.CALLER), byte(vm.SELFDESTRUCT),
})

// initCode returns code that deploys what it is given.
func initCode(code []byte) []byte {
	head := []byte{
		byte(vm.PUSH1), byte(len(code)), byte(vm.DUP1), byte(vm.PUSH1), 9, byte(vm.PUSH0), byte(vm.CODECOPY),
		byte(vm.PUSH0), byte(vm.RETURN),
	}
	return append(head, code...)
}

func TestUnmodifiedGoEthereumExecutesEveryBlockAgain(t *testing.T) {
	for _, fork := range []string{"osaka", "prague", "cancun", "shanghai", "paris"} {
		t.Run(fork, func(t *testing.T) {
			c := newTestChain(t, 6, map[string]any{"fork": fork})
			f := &traffic{c: c, r: rand.New(rand.NewPCG(1, 2)), nonces: make([]uint64, 6)}
			a := newAuditor(c)
			equal(t, "genesis", c.Head().Hash, a.blocks[0].Hash())
			f.token = crypto.CreateAddress(c.address(0), 0)
			deploy := c.sign(0, 0, nil, 5_000_000, 0, contracts.DeployToken("Token", "TOK", big.NewInt(10_000)))
			f.nonces[0]++
			included_(t, c.execute(c.call(deploy)), 1)
			for range 40 {
				c.now += 400
				var calls []*adapter.Call
				for range 1 + f.r.IntN(20) {
					tx := f.next()
					if f.r.IntN(2) == 0 {
						calls = append(calls, c.call(tx))
					} else {
						calls = append(calls, c.forwarded(tx))
					}
				}
				included_(t, c.execute(calls...), len(calls))
			}
			a.follow(c)
		})
	}
}
