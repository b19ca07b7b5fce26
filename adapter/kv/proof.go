package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/precondition"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/wire"
)

// prove answers by a value and its receipt.
func (l *ledger) prove(in place, w http.ResponseWriter, r *http.Request, old oldValue, asOf coco.TxID, conditions precondition.Pair) {
	if old.id == (coco.TxID{}) {
		l.fail(w, fmt.Errorf("%w: the transaction that wrote the value cannot be named yet", coco.ErrPending))
		return
	}
	setID(w, old.id)
	if !l.wanted(w, old.stored, conditions) {
		return
	}
	receipt, err := l.receipt(r.Context(), in.caller, old.id)
	if err != nil {
		w.Header().Del("Etag")
		l.fail(w, err)
		return
	}
	media, value := contentOf(old.stored)
	l.answerPage(w, func(out *budget.Buffer) error {
		text, err := json.Marshal(wire.Proven{ID: old.id, AsOf: asOf, Version: versionOf(old.stored), Media: otherMedia(media), Value: value, Receipt: receipt})
		if err != nil {
			return err
		}
		return out.Own(append(text, '\n'))
	})
}

// receipt makes a receipt in a turn of the caller's organisation, as it reads the past.
func (l *ledger) receipt(ctx context.Context, caller coco.Caller, id coco.TxID) ([]byte, error) {
	if l.env.Receipt == nil {
		return nil, fmt.Errorf("%w: this node keeps no ledger to make a receipt from", coco.ErrMissing)
	}
	leave, err := l.env.EnterPast(ctx, caller)
	if err != nil {
		return nil, err
	}
	defer leave()
	receipt, claims, err := l.env.Receipt(ctx, id)
	if err != nil {
		return nil, err
	}
	return receipt, l.Authorize(caller, adapter.Read{Subject: adapter.Receipt, TxID: id, Claims: claims})
}
