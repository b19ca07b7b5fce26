package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/wire"
)

// A reply of the gateway's own takes memory twice: what the node returns (a list of records, a batch of the ledger), and
// the JSON that is made of it. The first is bounded by the number of replies that are built at a time, MaxBuilds; others
// wait for their turn, and organisations share the turns. The second is claimed while it grows, and held until the client has it: no client that reads
// slowly keeps others from their turns.

// maxOwn is the size of a reply of the gateway's own, in bytes.
const maxOwn = 32 << 20

// build takes a turn, has fn write a reply, ends the turn and sends the reply. instead says what else to ask for
// if the reply is too large.
func (g *Gateway) build(w http.ResponseWriter, r *http.Request, media, instead string, fn func(out *budget.Buffer) error) {
	out := budget.NewBuffer(w.(*response).Claim(), maxOwn)
	defer out.Release()
	err := g.inTurn(r.Context(), w.(*response).identity.Caller, func() error { return fn(out) })
	if errors.Is(err, budget.ErrLimit) {
		err = fmt.Errorf("%w: %s", err, instead)
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	_, _ = out.WriteTo(w) // a client that has gone
}

// inTurn calls fn once the caller's organisation has one of MaxBuilds slots.
func (g *Gateway) inTurn(ctx context.Context, who coco.Caller, fn func() error) error {
	leave, err := g.builds.Enter(ctx, who.Actor)
	switch {
	case errors.Is(err, coco.ErrBusy):
		return err
	case err != nil:
		return fmt.Errorf("%w: the request ended while it waited for its turn", coco.ErrBusy)
	}
	defer leave()
	return fn()
}

// answerBuilt is answer for a value that takes more than a little memory to find.
func (g *Gateway) answerBuilt(w http.ResponseWriter, r *http.Request, find func() (any, error)) {
	g.build(w, r, wire.MediaJSON, "ask for less at a time", func(out *budget.Buffer) error {
		value, err := find()
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(value)
	})
}

// answerList answers by a list, element by element.
func answerList[T any](g *Gateway, w http.ResponseWriter, r *http.Request, instead string, find func() ([]T, error)) {
	g.build(w, r, wire.MediaJSON, instead, func(out *budget.Buffer) error {
		list, err := find()
		if err != nil {
			return err
		}
		_, err = out.WriteString("[")
		for i := 0; i < len(list) && err == nil; i++ {
			var text []byte
			if text, err = json.Marshal(&list[i]); err == nil && i > 0 {
				_, err = out.WriteString(",")
			}
			if err == nil {
				_, err = out.Write(text)
			}
		}
		if err == nil {
			_, err = out.WriteString("]\n")
		}
		return err
	})
}
