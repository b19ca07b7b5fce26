package sim

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco/wire"
)

// A flood is batches of transactions that use up the most gas that one may. Their code is one instruction that is none, so that a processor has no work with
// them: a block holds few, a queue many.
const (
	floodBatches = 4
	floodBatch   = 100
)

// bystander is how long one call of another client may take while a flood goes on, in virtual time.
const bystander = 500 * time.Millisecond

// flood has one client send much more than blocks take, all at once. Meanwhile clients of other members go on.
func (r *run) flood(f fault) {
	s := r.newSession("flood", f.host)
	s.at = f.host
	defer s.http.CloseIdleConnections()
	var wait sync.WaitGroup
	begun := time.Now()
	for range floodBatches {
		body := floodBody()
		wait.Go(func() {
			a := s.askAt(f.host, http.MethodPost, "/rpc", body, "Content-Type", wire.MediaJSON)
			r.witness.Say("the flood is answered after %v: %d bytes, %.60s", time.Since(begun), len(a.body), a.what)
		})
	}
	flooded := make(chan struct{})
	go func() {
		wait.Wait()
		close(flooded)
	}()
	other := r.newSession("bystander", f.other)
	defer other.http.CloseIdleConnections()
	n, longest := 0, time.Duration(0)
	for over := false; !over; {
		select {
		case <-flooded:
			over = true
		default:
		}
		n++
		began := time.Now()
		a := other.askAt((f.other+n)%r.plan.members, http.MethodPut, fmt.Sprintf("/app/kv/%sbystander-%d", planted, n), []byte(planted))
		longest = max(longest, time.Since(began))
		if a.outcome != done || time.Since(began) > bystander {
			r.witness.Fail("alive", "while one client floods the Ethereum adapter a call of another is answered after %v, expected %v: %s", time.Since(began), bystander, a.what)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	<-flooded
	r.witness.Say("%d calls of another client meanwhile, the longest took %v", n, longest)
}

// floodBody returns a batch of a new account's.
func floodBody() []byte {
	key, err := crypto.GenerateKey()
	if err != nil {
		panic(err) // the operating system has no random numbers
	}
	var calls []map[string]any
	for nonce := range uint64(floodBatch) {
		calls = append(calls, map[string]any{"jsonrpc": "2.0", "id": nonce, "method": "eth_sendRawTransaction", "params": []string{spender(key, nonce)}})
	}
	body, err := json.Marshal(calls)
	if err != nil {
		panic(err)
	}
	return body
}

// spender is a transaction that uses up all the gas it has at its first instruction.
func spender(key *ecdsa.PrivateKey, nonce uint64) string {
	const invalid = 0xfe
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(chainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(chainID), Nonce: nonce, GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Gas: params.MaxTxGas, Data: []byte{invalid},
	})
	if err != nil {
		panic(err)
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return hexutil.Encode(raw)
}
