package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/budget"
)

// proven is a value with the receipt of the transaction that wrote it.
//
// The receipt proves, to whoever knows the network's service, that this transaction is committed and put a value with this
// SHA-256 and content type under this key, and to which audience: its claims say so. That no later transaction wrote the key is in no proof: the
// network's tree has transactions in it, and not the newest row of each key. That the value was the newest at AsOf is the word of the node that
// answers.
type proven struct {
	ID      coco.TxID       `json:"transaction_id"` // that wrote the value
	AsOf    coco.TxID       `json:"as_of"`          // the last transaction of the state that was read
	Version uint64          `json:"etag,string"`
	Media   string          `json:"content_type,omitempty"` // absent for wire.MediaBytes
	Value   []byte          `json:"value"`
	Receipt json.RawMessage `json:"receipt"` // see docs/formats.md
}

// prove answers by a value and its receipt.
func (l *ledger) prove(in place, w http.ResponseWriter, r *http.Request, old oldValue, asOf coco.TxID, conditions conditions) {
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
		text, err := json.Marshal(proven{ID: old.id, AsOf: asOf, Version: versionOf(old.stored), Media: otherMedia(media), Value: value, Receipt: receipt})
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
	if l.env.PastTurn != nil {
		leave, err := l.env.PastTurn(ctx, caller)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	receipt, claims, err := l.env.Receipt(ctx, id)
	if err != nil {
		return nil, err
	}
	return receipt, l.Authorize(caller, adapter.Read{Subject: adapter.Receipt, TxID: id, Claims: claims})
}
