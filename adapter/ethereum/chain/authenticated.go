package chain

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/calls"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Unsigned is a transaction that its sender has not signed, because the channel by which it came says whose it is.
type Unsigned struct {
	From common.Address
	Tx   *types.Transaction
	Salt uint64 // 0 if its nonce is the caller's choice: then the same call is the same transaction
}

// SendCalls is Send for the calls of a caller whom a credential has authenticated. The leader executes them if the constitution admits this credential
// and their senders are linked to the caller then. The error of others is coco.ErrDenied.
//
// What was sent before is answered as the first time: a transaction with a salt is sent once.
func (l *Ledger) SendCalls(ctx context.Context, caller coco.Caller, how rows.How, txs []Unsigned) []SendResult {
	out, list := make([]SendResult, len(txs)), make([]*checked, len(txs))
	k := l.chain()
	for i, x := range txs {
		if list[i], out[i].Err = k.unsigned(caller, how, x); list[i] != nil {
			out[i].Hash = list[i].hash
		}
	}
	l.submit(ctx, caller, true, list, out)
	return out
}

// CheckCall says why a call is not sent whatever the state is; nil if nothing but the state decides. Its nonce does not count.
func (l *Ledger) CheckCall(caller coco.Caller, how rows.How, x Unsigned) error {
	_, err := l.chain().unsigned(caller, how, x)
	return err
}

// unsigned is check for a transaction that nobody has signed.
func (k *chain) unsigned(caller coco.Caller, how rows.How, x Unsigned) (*checked, error) {
	if err := k.settings.Admits(how.String()); err != nil {
		return nil, err
	}
	tx, err := calls.New(x.Tx, x.From, rows.ByCaller(&caller, how), x.Salt, k.signer)
	if err != nil {
		return nil, err
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if err := k.admits(tx, len(raw)); err != nil {
		return nil, err
	}
	c, err := k.message(tx, raw, x.From)
	if err != nil {
		return nil, err
	}
	c.how = how
	return c, k.limits(c)
}

// vouched reports whether a call is executed whose transaction nobody has signed; if not, it is refused. Whose an address is, and what members admit,
// may have changed since the node that the caller reached has looked.
func (b *builder) vouched(k *kept) bool {
	c := k.checked
	if c.how == 0 {
		return true
	}
	caller := &k.call.Caller
	err := b.chain.settings.Admits(c.how.String())
	if h, ok := links.Of(b, c.msg.From); err == nil && (!ok || h.Actor != caller.Actor || h.User != caller.User) {
		err = fmt.Errorf("%w: %v is not linked to the caller itself: an organisation sends from none of its users' addresses (coco_linkedAddresses)", coco.ErrDenied, c.msg.From)
	}
	if err == nil && !calls.Proves(rows.ByCaller(caller, c.how), c.tx) {
		err = fmt.Errorf("%w: transaction %v is another caller's", coco.ErrDenied, c.hash)
	}
	if err != nil {
		b.refuse(k.call, err)
	}
	return err == nil
}
