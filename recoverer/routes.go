package recoverer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

// contextClient is the purpose of the evidence for clients: as that of a node which serves.
const contextClient = "coco client"

// The lengths of a nonce that a client may ask evidence for, in bytes.
const (
	minNonce = 16
	maxNonce = 64
)

func (r *Recoverer) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /node/evidence", func(w http.ResponseWriter, rq *http.Request) {
		nonce, err := hex.DecodeString(rq.URL.Query().Get("nonce"))
		if err != nil || len(nonce) < minNonce || len(nonce) > maxNonce {
			fail(w, fmt.Errorf("%w: nonce: expected %d to %d bytes in hexadecimal", coco.ErrInvalid, minNonce, maxNonce))
			return
		}
		ev, err := r.prove(rq.Context(), nonce)
		answer(w, wire.Evidence{Platform: ev.Platform, Quote: ev.Quote, Key: r.identity.PublicKey(), Nonce: hex.EncodeToString(nonce)}, err)
	})
	mux.HandleFunc("GET /recovery", func(w http.ResponseWriter, _ *http.Request) { answer(w, r.State(), nil) })
	mux.HandleFunc("GET /recovery/request", func(w http.ResponseWriter, _ *http.Request) {
		rq, err := r.request()
		answer(w, rq, err)
	})
	mux.HandleFunc("POST /recovery/releases", func(w http.ResponseWriter, rq *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, rq.Body, maxBody))
		var in wire.RecoveryRelease
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			fail(w, fmt.Errorf("%w: a release: %w", coco.ErrInvalid, err))
			return
		}
		state, err := r.submit(rq.Context(), in)
		answer(w, state, err)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, rq *http.Request) {
		fail(w, fmt.Errorf("%w: this node recovers its network: it has GET /recovery, GET /recovery/request and POST /recovery/releases, and nothing else yet", coco.ErrNotFound))
	})
	return mux
}

// answer sends a value as JSON, or an error.
func answer(w http.ResponseWriter, value any, err error) {
	var text []byte
	if err == nil {
		text, err = json.Marshal(value)
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", wire.MediaJSON)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(text, '\n')) // a client that has gone
}

func fail(w http.ResponseWriter, err error) {
	p := wire.AnswerTo(err)
	if fault := (*recovery.Fault)(nil); errors.As(err, &fault) {
		p = wire.ProblemOf(err) // what is wrong is the member's, and the member is told
	}
	message := err.Error()
	if p.Code == wire.CodeInternal {
		message = wire.InternalMessage
	}
	problem.Write(w, p, message)
}
