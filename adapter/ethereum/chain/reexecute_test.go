package chain

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/reexecute"
	"github.com/cocoframework/coco/internal/contracts"
)

// auditor executes blocks with unmodified go-ethereum, from its own genesis on.
type auditor struct {
	t testing.TB
	*reexecute.Chain
}

func newAuditor(c *testChain) *auditor {
	again, err := reexecute.New(c.GenesisSpec())
	must(c.t, err)
	return &auditor{c.t, again}
}

// follow executes the chain's blocks from the first that the auditor does not have.
func (a *auditor) follow(c *testChain) {
	v := c.Latest()
	defer v.Release()
	for n := a.Next(); n <= v.Number(); n++ {
		b, err := v.Block(c.t.Context(), n)
		must(a.t, err)
		list, err := transactionsOf(v, b)
		must(a.t, err)
		body := &types.Body{}
		for _, tx := range list {
			body.Transactions = append(body.Transactions, tx.Tx)
		}
		if c.ChainConfig().IsShanghai(b.Header.Number, b.Header.Time) {
			body.Withdrawals = types.Withdrawals{}
		}
		block := types.NewBlockWithHeader(b.Header).WithBody(*body)
		equal(a.t, "block hash", block.Hash(), b.Hash)
		equal(a.t, "size", uint64(block.Size()), b.Size)
		must(a.t, a.Execute(block, c.Settings().Closed()))
	}
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
		if !c.inForce.Load().at(c.now / 1000).rules.IsPrague {
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

func genesisOf(a *auditor) common.Hash {
	genesis, _ := a.Newest()
	return genesis.Hash()
}

func TestUnmodifiedGoEthereumExecutesEveryBlockAgain(t *testing.T) {
	for _, fork := range []string{"osaka", "prague", "cancun", "shanghai", "paris", "osaka closed"} {
		t.Run(fork, func(t *testing.T) {
			settings := map[string]any{"fork": fork}
			if of, closed := strings.CutSuffix(fork, " closed"); closed {
				settings = map[string]any{"fork": of, "visibility": "closed"}
			}
			c := newTestChain(t, 6, settings)
			f := &traffic{c: c, r: rand.New(rand.NewPCG(1, 2)), nonces: make([]uint64, 6)}
			a := newAuditor(c)
			equal(t, "genesis", c.Head().Hash, genesisOf(a))
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
