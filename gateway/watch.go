package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// A client waits for news of governance for so long at most. It then gets none, and asks again.
const (
	someWait = 25 * time.Second
	maxWait  = 60 * time.Second
)

// serveWatch answers with what has happened since a seqno, as soon as anything has.
func (g *Gateway) serveWatch(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	after, wait, err := watchQuery(r)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	defer context.AfterFunc(g.end.draining, cancel)()
	seqno, err := g.governor.WaitFor(ctx, after)
	if err == nil {
		err = r.Context().Err()
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	g.answerBuilt(w, r, func() (any, error) {
		news := wire.GovNews{Seqno: max(seqno, after), Events: []wire.GovEvent{}}
		if seqno <= after {
			return news, nil
		}
		events, until, err := g.governor.Events(after, seqno)
		news.Seqno = max(until, after)
		if len(events) > maxEvents {
			// Those of one transaction stay together. The client asks for the others with this seqno.
			end := maxEvents
			for end < len(events) && events[end].Since == events[maxEvents-1].Since {
				end++
			}
			if end < len(events) {
				news.Seqno = events[end-1].Since
			}
			events = events[:end]
		}
		news.Events = append(news.Events, events...)
		return news, err
	})
}

// maxEvents is about how many events one answer has.
const maxEvents = 1000

func watchQuery(r *http.Request) (after uint64, wait time.Duration, err error) {
	q := r.URL.Query()
	wait = someWait
	if text := q.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("%w: after %q: expected the seqno of the last answer, or 0 for everything", coco.ErrInvalid, text)
		}
	}
	if text := q.Get("wait"); text != "" {
		seconds, err := strconv.Atoi(text)
		wait = time.Duration(seconds) * time.Second
		if err != nil || wait < 0 || wait > maxWait {
			return 0, 0, fmt.Errorf("%w: wait %q: expected 0 to %d seconds", coco.ErrInvalid, text, int(maxWait.Seconds()))
		}
	}
	return after, wait, nil
}
