package sim

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/wire"
)

// supply is all of the wallet's tokens.
const supply = 1_000_000

// wallet deploys a token and sends one unit after the other to one receiver. A transaction is
// sent again, to other nodes, until one says that it is committed.
type wallet struct {
	s        *session
	key      *ecdsa.PrivateKey
	owner    common.Address
	token    common.Address
	receiver common.Address
	acked    uint64 // transactions, of nonces from 0 on
}

func (r *run) newWallet() *wallet {
	key, err := crypto.GenerateKey()
	if err != nil {
		panic(err) // the operating system has no random numbers
	}
	owner := crypto.PubkeyToAddress(key.PublicKey)
	return &wallet{
		s: r.newSession("wallet", 0), key: key, owner: owner,
		token: crypto.CreateAddress(owner, 0), receiver: common.Address{1},
	}
}

func (w *wallet) session() *session {
	if w == nil {
		return nil
	}
	return w.s
}

// play sends until it is stopped.
func (w *wallet) play(stop <-chan struct{}) {
	signer := types.LatestSignerForChainID(big.NewInt(chainID))
	for {
		tx := &types.DynamicFeeTx{
			ChainID: big.NewInt(chainID), Nonce: w.acked, GasTipCap: new(big.Int), GasFeeCap: new(big.Int),
			Gas: 70_000, To: &w.token, Data: contracts.Transfer(w.receiver, big.NewInt(1)),
		}
		if w.acked == 0 {
			tx.Gas, tx.To, tx.Data = 2_500_000, nil, contracts.DeployToken("Sim", "SIM", big.NewInt(supply))
		}
		signed, err := types.SignNewTx(w.key, signer, tx)
		if err != nil {
			panic(err)
		}
		raw, err := signed.MarshalBinary()
		if err != nil {
			panic(err)
		}
		for {
			var hash common.Hash
			err := w.call(w.s.at, &hash, "eth_sendRawTransaction", hexutil.Encode(raw))
			if err == nil {
				break
			}
			var nonce hexutil.Uint64
			if w.call(w.s.at, &nonce, "eth_getTransactionCount", w.owner, "latest") == nil && uint64(nonce) > w.acked {
				break // an earlier attempt, whose answer was lost
			}
			w.s.elsewhere()
			if w.pause(stop) {
				return
			}
		}
		w.acked++
		if w.pause(stop) {
			return
		}
	}
}

func (w *wallet) pause(stop <-chan struct{}) (stopped bool) {
	select {
	case <-stop:
		return true
	case <-time.After(time.Duration(50+w.s.rand.IntN(300)) * time.Millisecond):
		return false
	}
}

// call calls a method of JSON-RPC on a node.
func (w *wallet) call(host int, result any, method string, params ...any) error {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	a := w.s.askAt(host, http.MethodPost, "/rpc", body, "Content-Type", wire.MediaJSON)
	if a.outcome != done {
		return fmt.Errorf("%s: %s", method, a.what)
	}
	reply := struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}{}
	if err := json.Unmarshal(a.body, &reply); err != nil {
		return err
	}
	if reply.Error != nil {
		return fmt.Errorf("%s: %s", method, reply.Error.Message)
	}
	return json.Unmarshal(reply.Result, result)
}

// verify compares the balances on a node with what was acknowledged.
func (w *wallet) verify(host int) {
	var nonce hexutil.Uint64
	if err := w.call(host, &nonce, "eth_getTransactionCount", w.owner, "latest"); err != nil {
		w.s.witness.Fail("alive", "tokens on %s: %v", hostName(host), err)
		return
	}
	if uint64(nonce) < w.acked {
		w.s.witness.Fail("acked", "%d transactions of the wallet were acknowledged, %s has %d", w.acked, hostName(host), nonce)
	}
	if nonce == 0 {
		return
	}
	sent := uint64(nonce) - 1 // the first one deploys
	for _, x := range []struct {
		what string
		data []byte
		want uint64
	}{
		{"supply", contracts.TotalSupply(), supply},
		{"the owner's balance", contracts.BalanceOf(w.owner), supply - sent},
		{"the receiver's balance", contracts.BalanceOf(w.receiver), sent},
	} {
		var ret hexutil.Bytes
		err := w.call(host, &ret, "eth_call", map[string]any{"to": w.token, "data": hexutil.Encode(x.data)}, "latest")
		if err != nil {
			w.s.witness.Fail("alive", "tokens on %s: %v", hostName(host), err)
			return
		}
		if got, err := contracts.Uint(ret); err != nil || got.Uint64() != x.want {
			w.s.witness.Fail("once", "after %d transfers %s on %s is %v (%v), expected %d", sent, x.what, hostName(host), got, err, x.want)
		}
	}
}
