package bench

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"golang.org/x/sync/errgroup"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/contracts"
)

// ethWork is transfers of a token or of ether. Each client sends from an account of its own, one
// unit at a time, to accounts that only receive; so afterwards every balance is known.
type ethWork struct {
	*run
	chainID   *big.Int
	signer    types.Signer
	token     common.Address // zero for ether
	senders   []*sender
	receivers []common.Address
	funded    *big.Int // what each sender had at first
	minted    *big.Int // all that was minted; nil for ether
}

// ruled reports whether the token has a rule that shows a transfer to its parties alone.
func (w *ethWork) ruled() bool { return w.Keys != nil && !w.Linked }

// Gas limits, with room above what the calls use: a block's gas limit bounds the sum of these.
const (
	gasEther    = 21_000
	gasToken    = 70_000    // 52,000 when the receiver is new
	gasDeploy   = 3_500_000 // of TenToken
	gasMintBase = 60_000    // mintMany; and for each account:
	gasMint     = 27_000
)

// mintsPerCall is how many accounts one transaction funds.
const mintsPerCall = 100

func (w *ethWork) prepare(ctx context.Context) ([]*client, error) {
	clients, err := w.connectAll(ctx, w.Clients)
	if err != nil {
		return nil, err
	}
	err = w.prepareAccounts(ctx, clients)
	if err != nil {
		for _, c := range clients {
			c.close()
		}
		return nil, err
	}
	return clients, nil
}

func (w *ethWork) prepareAccounts(ctx context.Context, clients []*client) error {
	first := clients[0].session
	var id hexutil.Big
	if err := first.askOne(&id, "eth_chainId"); err != nil {
		return err
	}
	w.chainID = id.ToInt()
	w.signer = types.LatestSignerForChainID(w.chainID)
	w.receivers = make([]common.Address, w.Receivers)
	run, err := crypto.GenerateKey() // fresh receivers for every run, without a key of their own
	if err != nil {
		return err
	}
	for i := range w.receivers {
		w.receivers[i] = crypto.CreateAddress(crypto.PubkeyToAddress(run.PublicKey), uint64(i))
	}
	for i, c := range clients {
		s, err := w.newSender(c.session, i+1)
		if err != nil {
			return err
		}
		s.turn = i // so that clients do not all begin with the same receiver
		c.step = s.step
		w.senders = append(w.senders, s)
	}
	// A billion billion units: no client comes to the end of it.
	w.funded = new(big.Int).SetUint64(1e18)
	if w.Work == ERC20 {
		return w.fundTokens(ctx, first)
	}
	w.funded.SetUint64(1e12)
	return w.fundEther(first)
}

// fundTokens deploys the token with a key made for it, and mints for every sender.
func (w *ethWork) fundTokens(ctx context.Context, s *session) error {
	owner, err := w.newSender(s, 0)
	if err != nil {
		return err
	}
	var count counters
	err = w.during("deploy", 1, &count, func() error {
		defer count.done.Add(1)
		data := contracts.DeployToken("Bench", "BENCH", new(big.Int))
		if w.ruled() {
			data = contracts.DeployTenToken(new(big.Int))
		}
		first := owner.next
		if err := owner.sendNow([]types.TxData{w.data(first, nil, nil, gasDeploy, data)}); err != nil {
			return fmt.Errorf("deploying the token: %w", err)
		}
		w.token = crypto.CreateAddress(owner.address, first)
		if w.ruled() {
			return nil // whose rule shows no code
		}
		var code hexutil.Bytes
		if err := s.askOne(&code, "eth_getCode", w.token, "latest"); err != nil {
			return err
		}
		if string(code) != string(contracts.Token().DeployedBytecode) {
			return fmt.Errorf("%w: deploying the token: expected its code of %d bytes at %v, found %d bytes",
				coco.ErrVerify, len(contracts.Token().DeployedBytecode), w.token, len(code))
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.minted = new(big.Int).Mul(w.funded, big.NewInt(int64(len(w.senders))))
	count = counters{}
	return w.during("fund", len(w.senders), &count, func() error {
		for base := 0; base < len(w.senders); base += mintsPerCall {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var to []common.Address
			for _, s := range w.senders[base:min(base+mintsPerCall, len(w.senders))] {
				to = append(to, s.address)
			}
			tx := w.data(owner.next, &w.token, nil, gasMintBase+gasMint*uint64(len(to)), contracts.MintMany(to, w.funded))
			if err := owner.sendNow([]types.TxData{tx}); err != nil {
				return fmt.Errorf("minting: %w", err)
			}
			count.done.Add(uint64(len(to)))
		}
		return nil
	})
}

// fundEther sends ether from the first funder to every sender.
func (w *ethWork) fundEther(s *session) error {
	key, err := crypto.HexToECDSA(strings.TrimPrefix(w.Funders[0], "0x"))
	if err != nil {
		return fmt.Errorf("%w: bench: the funder's private key: expected 64 hexadecimal digits", coco.ErrInvalid)
	}
	funder := w.senderOf(s, key)
	if funder.next, err = funder.chainNonce(); err != nil {
		return err
	}
	var count counters
	return w.during("fund", len(w.senders), &count, func() error {
		for base := 0; base < len(w.senders); base += maxQueries {
			var txs []types.TxData
			for i, s := range w.senders[base:min(base+maxQueries, len(w.senders))] {
				txs = append(txs, w.data(funder.next+uint64(i), &s.address, w.funded, gasEther, nil))
			}
			if err := funder.sendNow(txs); err != nil {
				return fmt.Errorf("funding senders from %v: %w", funder.address, err)
			}
			count.done.Add(uint64(len(txs)))
		}
		return nil
	})
}

// data is a transaction of the kind that wallets make, and that pays nothing for its gas.
func (w *ethWork) data(nonce uint64, to *common.Address, value *big.Int, gas uint64, data []byte) types.TxData {
	return &types.DynamicFeeTx{
		ChainID: w.chainID, Nonce: nonce, GasTipCap: new(big.Int), GasFeeCap: new(big.Int),
		Gas: gas, To: to, Value: value, Data: data,
	}
}

var one = big.NewInt(1)

// transfer is the transaction that a sender sends with a nonce.
func (w *ethWork) transfer(nonce uint64, turn int) types.TxData {
	to := w.receivers[(uint64(turn)*7919+nonce)%uint64(len(w.receivers))]
	if w.Work == Transfer {
		return w.data(nonce, &to, one, gasEther, nil)
	}
	return w.data(nonce, &w.token, nil, gasToken, contracts.Transfer(to, one))
}

// call is the transfer as coco_sendCall takes it.
func (w *ethWork) call(from common.Address, nonce uint64, turn int) map[string]any {
	tx := types.NewTx(w.transfer(nonce, turn))
	return map[string]any{
		"from": from, "to": tx.To(), "data": hexutil.Bytes(tx.Data()), "gas": hexutil.Uint64(tx.Gas()), "nonce": hexutil.Uint64(nonce),
		"maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0",
	}
}

// newSender makes a sender of the i-th key, or of a new one if no keys are given.
func (w *ethWork) newSender(s *session, i int) (*sender, error) {
	if w.Keys != nil {
		out := w.senderOf(s, w.Keys[i])
		if w.Linked {
			first, err := out.chainNonce()
			out.next, out.first = first, first
			return out, err
		}
		return out, nil
	}
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	return w.senderOf(s, key), nil
}

func (w *ethWork) senderOf(s *session, key *ecdsa.PrivateKey) *sender {
	return &sender{session: s, work: w, key: key, address: crypto.PubkeyToAddress(key.PublicKey)}
}

// maxSupply bounds what is signed ahead, some 200 bytes each.
const maxSupply = 4_000_000

// guessedRate is assumed where no warm-up told the rate.
const guessedRate = 4000

// supply signs ahead, on all processors.
func (w *ethWork) supply(ctx context.Context, expect []int) error {
	if expect == nil {
		each := int(guessedRate*w.Duration.Seconds())/len(w.senders) + 2*w.Batch
		expect = make([]int, len(w.senders))
		for i := range expect {
			expect[i] = each
		}
	}
	total := 0
	for i := range expect {
		expect[i] = min(expect[i], maxSupply/len(expect)+1)
		total += expect[i]
	}
	var count counters
	return w.during("sign", total, &count, func() error {
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(runtime.GOMAXPROCS(0))
		for i, s := range w.senders {
			group.Go(func() error {
				s.late = 0
				for s.ready() < expect[i] {
					if groupCtx.Err() != nil {
						return groupCtx.Err()
					}
					n := min(64, expect[i]-s.ready())
					if err := s.sign(n); err != nil {
						return err
					}
					count.done.Add(uint64(n))
				}
				return nil
			})
		}
		return group.Wait()
	})
}

func (w *ethWork) signedLate() (n uint64) {
	for _, s := range w.senders {
		n += s.late
	}
	return n
}

// errRefused is the reason of a client that gave up.
var errRefused = errors.New("transactions are refused time and again")
