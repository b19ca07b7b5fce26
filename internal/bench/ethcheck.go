package bench

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/contracts"
)

// check asks every target for all nonces and balances, and compares them with what the clients
// were told.
func (w *ethWork) check(ctx context.Context) error {
	var count counters
	return w.during("check", len(w.Targets), &count, func() error {
		for i := range w.Targets {
			if err := w.checkTarget(ctx, i); err != nil {
				return err
			}
			count.done.Add(1)
		}
		return nil
	})
}

func (w *ethWork) checkTarget(ctx context.Context, i int) error {
	deadline := w.checkDeadline()
	s := newSession(ctx, w.Targets[i:i+1], 0, min(w.Timeout, max(time.Until(deadline), time.Second)))
	defer s.close()
	for {
		err := w.checkOnce(s, i)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, coco.ErrVerify) || time.Now().After(deadline) {
			return fmt.Errorf("%s: %w", w.Targets[i].Label(), err)
		}
		time.Sleep(50 * time.Millisecond) // the node may not have applied the last batch yet
	}
}

func (w *ethWork) checkOnce(s *session, target int) error {
	nonces := make([]uint64, len(w.senders))
	queries := make([]query, len(w.senders))
	for i, sender := range w.senders {
		queries[i] = query{"eth_getTransactionCount", []any{sender.address, "latest"}}
	}
	err := s.ask(queries, func(i int, a answer) error {
		var n hexutil.Uint64
		err := a.decode(&n)
		nonces[i] = uint64(n) - w.senders[i].first
		return err
	})
	if err != nil {
		return err
	}
	addresses := make([]common.Address, 0, len(w.senders)+len(w.receivers))
	for _, sender := range w.senders {
		addresses = append(addresses, sender.address)
	}
	balances, err := w.balances(s, append(addresses, w.receivers...))
	if err != nil {
		return err
	}
	for i := range w.senders {
		if w.ruled() && i%len(w.Targets) != target { // a closed network tells nonces to their owners alone
			nonces[i] = new(big.Int).Sub(w.funded, balances[i]).Uint64()
		}
	}
	executed, received := new(big.Int), new(big.Int)
	for i, sender := range w.senders {
		if nonces[i] < sender.acked || nonces[i] > sender.acked+sender.unknown {
			return fmt.Errorf("%w: sender %v: the network acknowledged %d transactions and left %d open, but the ledger holds %d",
				coco.ErrVerify, sender.address, sender.acked, sender.unknown, nonces[i])
		}
		sent := new(big.Int).SetUint64(nonces[i])
		if want := new(big.Int).Sub(w.funded, sent); balances[i].Cmp(want) != 0 {
			return fmt.Errorf("%w: sender %v: expected a balance of %v after %d transfers, found %v",
				coco.ErrVerify, sender.address, want, nonces[i], balances[i])
		}
		executed.Add(executed, sent)
	}
	for _, b := range balances[len(w.senders):] {
		received.Add(received, b)
	}
	if received.Cmp(executed) != 0 {
		return fmt.Errorf("%w: receivers: expected %v in all, one for each transfer, found %v", coco.ErrVerify, executed, received)
	}
	return w.checkSupply(s)
}

func (w *ethWork) checkSupply(s *session) error {
	if w.Work != ERC20 {
		return nil
	}
	var ret hexutil.Bytes
	if err := s.askOne(&ret, "eth_call", callOf(w.token, contracts.TotalSupply()), "latest"); err != nil {
		return err
	}
	supply, err := contracts.Uint(ret)
	if err != nil {
		return fmt.Errorf("%w: total supply: %w", coco.ErrVerify, err)
	}
	if supply.Cmp(w.minted) != 0 {
		return fmt.Errorf("%w: total supply: expected %v, found %v", coco.ErrVerify, w.minted, supply)
	}
	return nil
}

func (w *ethWork) balances(s *session, of []common.Address) ([]*big.Int, error) {
	queries := make([]query, len(of))
	for i, a := range of {
		if w.Work == ERC20 {
			queries[i] = query{"eth_call", []any{callOf(w.token, contracts.BalanceOf(a)), "latest"}}
		} else {
			queries[i] = query{"eth_getBalance", []any{a, "latest"}}
		}
	}
	balances := make([]*big.Int, len(of))
	err := s.ask(queries, func(i int, a answer) error {
		if w.Work != ERC20 {
			var b hexutil.Big
			err := a.decode(&b)
			balances[i] = b.ToInt()
			return err
		}
		var ret hexutil.Bytes
		if err := a.decode(&ret); err != nil {
			return err
		}
		b, err := contracts.Uint(ret)
		if err != nil {
			return fmt.Errorf("%w: balance of %v: %w", coco.ErrVerify, of[i], err)
		}
		balances[i] = b
		return nil
	})
	return balances, err
}

// callOf is eth_call's first parameter.
func callOf(to common.Address, data []byte) any {
	return struct {
		To   common.Address `json:"to"`
		Data hexutil.Bytes  `json:"data"`
	}{to, data}
}
