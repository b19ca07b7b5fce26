package chain

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/contracts"
)

// newTokenChain deploys an ERC-20 whose supply the accounts share, and returns its address. The
// senders are the chain's accounts; their next nonce is 0, but for account 0, whose is 1.
func newTokenChain(t testing.TB, accounts int) (*testChain, common.Address) {
	c := newTestChain(t, accounts, nil)
	supply := new(big.Int).Lsh(big.NewInt(1), 100)
	deploy := c.sign(0, 0, nil, 5_000_000, 0, contracts.DeployToken("Token", "TOK", supply))
	included_(t, c.execute(c.call(deploy)), 1)
	token := crypto.CreateAddress(c.address(0), 0)
	v := c.Latest()
	defer v.Release()
	code, err := v.Code(t.Context(), token)
	must(t, err)
	if len(code) == 0 {
		t.Fatal("the token was not deployed")
	}
	// Balances come from many transfers of account 0, executed as one minting.
	nonce := uint64(1)
	for i := 0; i < accounts; i += 200 {
		var to []common.Address
		for j := i; j < min(i+200, accounts); j++ {
			to = append(to, c.address(j))
		}
		mint := c.sign(0, nonce, &token, 15_000_000, 0, contracts.MintMany(to, big.NewInt(1_000_000)))
		nonce++
		included_(t, c.execute(c.call(mint)), 1)
	}
	tx, err := v.Transaction(c.t.Context(), deploy.Hash())
	must(t, err)
	equal(t, "status", tx.Receipt.Status, types.ReceiptStatusSuccessful)
	return c, token
}

// BenchmarkERC20 measures the executor, in blocks of several sizes: everything from a decoded call
// to the committed write set. Senders and receivers are random among many accounts.
func BenchmarkERC20(b *testing.B) {
	const accounts = 10_000
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("block=%d", size), func(b *testing.B) {
			c, token := newTokenChain(b, accounts)
			nonces := make([]uint64, accounts)
			nonces[0] = 1 + accounts/200
			calls := make([]*adapter.Call, b.N)
			for i := range calls {
				from := 1 + (i*7919)%(accounts-1)
				to := c.address((i * 104729) % accounts)
				data := contracts.Transfer(to, big.NewInt(1))
				tx := c.sign(from, nonces[from], &token, 100_000, 0, data)
				nonces[from]++
				calls[i] = c.callUnchecked(from, tx)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var executing time.Duration
			for i := 0; i < b.N; i += size {
				set := c.store.Begin(c.view, c.now)
				start := time.Now()
				out := c.run(set, calls[i:min(i+size, b.N)]...)
				executing += time.Since(start)
				c.commit(set)
				for _, o := range out {
					if o.Err != nil {
						b.Fatal(o.Err)
					}
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(executing.Nanoseconds())/float64(b.N), "execute-ns/op")
			v := c.Latest()
			defer v.Release()
			tx, err := v.Transaction(c.t.Context(), calls[b.N-1].Decoded.(*checked).hash)
			must(b, err)
			equal(b, "status", tx.Receipt.Status, types.ReceiptStatusSuccessful)
		})
	}
}

// callUnchecked spares a benchmark the recovery of senders.
func (c *testChain) callUnchecked(from int, tx *types.Transaction) *adapter.Call {
	raw, err := tx.MarshalBinary()
	must(c.t, err)
	d, err := c.Decode(append(c.address(from).Bytes(), raw...))
	must(c.t, err)
	return &adapter.Call{Decoded: d}
}

func BenchmarkDecodePayload(b *testing.B) {
	c := newTestChain(b, 1, nil)
	to := common.BytesToAddress(binary.BigEndian.AppendUint64(nil, 77))
	call := c.call(c.sign(0, 0, &to, 100_000, 0, contracts.Transfer(to, big.NewInt(1))))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(call.Payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAndCheck(b *testing.B) {
	c := newTestChain(b, 1, nil)
	to := common.BytesToAddress(binary.BigEndian.AppendUint64(nil, 77))
	raw := c.call(c.sign(0, 0, &to, 100_000, 0, contracts.Transfer(to, big.NewInt(1)))).Payload[common.AddressLength:]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.DecodeAndCheck(raw); err != nil {
			b.Fatal(err)
		}
	}
}
