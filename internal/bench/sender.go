package bench

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
)

// sender is an account that one client alone sends from, so a used nonce tells that this client's
// transaction was executed, whatever became of the reply.
type sender struct {
	*session
	work    *ethWork
	key     *ecdsa.PrivateKey
	address common.Address
	turn    int

	first   uint64   // nonce with which the run began
	next    uint64   // nonce of signed[0]
	signed  [][]byte // transactions, or calls, ready to be sent, in order of their nonces
	late    uint64   // signed because none was ready
	acked   uint64   // transactions that the network said are committed
	unknown uint64   // transactions sent since, of which the network did not say so
	failing int      // requests in a row of which nothing was committed
	body    []byte
}

func (s *sender) ready() int { return len(s.signed) }

// sign makes n more transactions ready.
func (s *sender) sign(n int) error {
	for range n {
		nonce := s.next + uint64(len(s.signed))
		if s.work.Unsigned {
			call, err := json.Marshal(s.work.call(s.address, nonce, s.turn))
			if err != nil {
				return err
			}
			s.signed = append(s.signed, call)
			continue
		}
		tx, err := types.SignNewTx(s.key, s.work.signer, s.work.transfer(nonce, s.turn))
		if err != nil {
			return err
		}
		raw, err := tx.MarshalBinary()
		if err != nil {
			return err
		}
		s.signed = append(s.signed, raw)
	}
	return nil
}

const (
	// codeBusy is the code of a call that was refused because a queue was full.
	codeBusy = -32005
	// refusalPatience is how long a refused transaction is tried again: a network without a
	// leader refuses, too.
	refusalPatience = 5 * time.Second
	// maxFailing is how many requests in a row may come to nothing before a client ends.
	maxFailing = 2
)

// step sends the next batch and sees it through.
func (s *sender) step() (committed, failed int, err error) {
	batch := s.work.Batch
	if n := batch - s.ready(); n > 0 {
		s.late += uint64(n)
		if err := s.sign(n); err != nil {
			return 0, 0, err
		}
	}
	sent := s.signed[:batch]
	committed, err = s.submit(sent, s.work.Unsigned)
	s.next += uint64(committed)
	s.signed = s.signed[committed:]
	s.acked += uint64(committed)
	if err == nil {
		s.failing, s.unknown = 0, 0
		return committed, 0, s.receipts(sent)
	}
	failed = batch - committed
	s.unknown = uint64(failed)
	if s.ctx.Err() != nil {
		return committed, failed, s.ctx.Err()
	}
	s.kinds[kind(err)] += uint64(failed)
	if committed > 0 {
		s.failing = 0
	} else if s.failing++; s.failing >= maxFailing {
		return committed, failed, fmt.Errorf("%w: %w", errRefused, err)
	}
	return committed, failed, nil
}

// receipts reads those of the sender's transfers, where the token has a rule: they must be shown, with the event.
func (s *sender) receipts(sent [][]byte) error {
	if !s.work.ruled() {
		return nil
	}
	queries := make([]query, len(sent))
	for i, raw := range sent {
		queries[i] = query{"eth_getTransactionReceipt", []any{crypto.Keccak256Hash(raw)}}
	}
	return s.ask(queries, func(i int, a answer) error {
		var receipt *struct {
			Logs []json.RawMessage `json:"logs"`
		}
		if err := a.decode(&receipt); err != nil {
			return err
		}
		if receipt == nil || len(receipt.Logs) != 1 {
			return fmt.Errorf("%w: transfer %v: expected a receipt with its event, found %s", coco.ErrVerify, queries[i].params[0], cut(a.Result))
		}
		return nil
	})
}

// submit sends transactions, or one call that is not signed, with nonces from next on until all are committed, and returns how many
// are. A transaction may be sent twice; it is executed once.
func (s *sender) submit(raws [][]byte, unsigned bool) (committed int, err error) {
	p := s.patience()
	refusals := time.Now().Add(min(refusalPatience, s.timeout))
	for {
		rest := raws[committed:]
		if s.body = s.body[:0]; unsigned {
			s.body = appendCall(s.body, rest[0])
		} else {
			s.body = appendSend(s.body, rest)
		}
		reply, err := s.send(&p, func(l link.Link) ([]byte, error) { return l.Call(s.body) })
		if err != nil {
			return committed, err
		}
		if allSent(reply, len(rest)) {
			return len(raws), nil
		}
		answers, err := parseAnswers(reply, len(rest))
		if err != nil {
			return committed, err
		}
		refused := firstRefusal(answers)
		if refused == nil {
			return len(raws), nil
		}
		nonce, err := s.chainNonce()
		if err != nil {
			return committed, err
		}
		if nonce > s.next { // a node that lags may say less than was known
			committed = max(committed, int(min(nonce-s.next, uint64(len(raws)))))
		}
		if committed == len(raws) {
			return committed, nil
		}
		s.kinds["retried: "+kind(refused)]++
		if refused.Code != codeBusy && time.Now().After(refusals) || !p.pause() {
			return committed, refused
		}
	}
}

// firstRefusal returns the error to report: the first that is not mere lack of room.
func firstRefusal(answers []answer) *rpcError {
	var busy *rpcError
	for _, a := range answers {
		switch {
		case a.Error == nil:
		case a.Error.Code != codeBusy:
			return a.Error
		case busy == nil:
			busy = a.Error
		}
	}
	return busy
}

// chainNonce asks how many of the account's transactions are committed.
func (s *sender) chainNonce() (uint64, error) {
	var n hexutil.Uint64
	err := s.askOne(&n, "eth_getTransactionCount", s.address, "latest")
	return uint64(n), err
}

// sendNow signs and sends transactions with nonces from next on, and checks that each succeeded.
func (s *sender) sendNow(txs []types.TxData) error {
	raws := make([][]byte, len(txs))
	queries := make([]query, len(txs))
	for i, data := range txs {
		tx, err := types.SignNewTx(s.key, s.work.signer, data)
		if err != nil {
			return err
		}
		if raws[i], err = tx.MarshalBinary(); err != nil {
			return err
		}
		queries[i] = query{"eth_getTransactionReceipt", []any{tx.Hash()}}
	}
	committed, err := s.submit(raws, false)
	s.next += uint64(committed)
	if err != nil {
		return err
	}
	return s.ask(queries, func(i int, a answer) error {
		var receipt *struct {
			Status hexutil.Uint64 `json:"status"`
		}
		if err := a.decode(&receipt); err != nil {
			return err
		}
		if receipt == nil || receipt.Status != 1 {
			return fmt.Errorf("%w: transaction %v: expected a receipt of success, found %s", coco.ErrVerify, queries[i].params[0], cut(a.Result))
		}
		return nil
	})
}
