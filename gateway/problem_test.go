package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/wire"
)

// verifiedClient returns a client of the world's node, which gives true evidence.
func (w *world) verifiedClient(cert tls.Certificate) *client.Client {
	w.t.Helper()
	code := virtual.Measure([]byte("the approved program"))
	quoter, err := virtual.NewQuoter(code)
	if err != nil {
		w.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(w.g.cfg.TLS.Certificates[0].Certificate[0])
	if err != nil {
		w.t.Fatal(err)
	}
	key := leaf.RawSubjectPublicKeyInfo
	w.node.quote = func(nonce []byte) (wire.Evidence, error) {
		ev, err := attest.Quote(w.t.Context(), quoter, "coco client", key, nonce)
		return wire.Evidence{Platform: ev.Platform, Quote: ev.Quote, Key: key}, err
	}
	c, err := client.New(client.Config{
		Addr: w.addr, Certificate: &cert,
		Policy: client.Policy{Code: []coco.Measurement{code}, Verifiers: attest.Verifiers{virtual.Verifier{}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func TestEveryErrorReachesTheClientAsItself(t *testing.T) {
	w := start(t, nil)
	c := w.verifiedClient(certificate(t, "Alpha", time.Hour))
	w.everyError(func() (any, error) {
		receipt, err := c.Receipt(t.Context(), coco.TxID{View: 3, Seqno: 7})
		return string(receipt), err
	})
}

// The success of this route has the status that "pending" has.
func TestEveryErrorOfASnapshotRequestReachesTheClientAsItself(t *testing.T) {
	w := startAdmin(t)
	c := w.verifiedClient(governance(t, "Alpha"))
	w.everyError(func() (any, error) { return c.RequestSnapshot(t.Context()) })
}

// everyError has the node refuse a call by each row of the table of errors in turn.
func (w *world) everyError(call func() (any, error)) {
	w.t.Helper()
	if _, err := call(); err != nil {
		w.t.Fatalf("without an error: %v", err)
	}
	for _, p := range wire.Problems() {
		w.node.refusal = &wire.Error{Problem: p, Message: "what and why"}
		want, message := p, "what and why"
		if p.Hidden || p.Kind == nil {
			want, message = wire.ByCode(wire.CodeInternal), wire.InternalMessage
		}
		value, err := call()
		if err == nil {
			w.t.Errorf("%s: the client takes %#v for an answer", p.Code, value)
			continue
		}
		if got := wire.ProblemOf(err); got != want || err.Error() != message {
			w.t.Errorf("%s: the client sees %s: %v", p.Code, got.Code, err)
		}
		if want.Kind != nil && !errors.Is(err, want.Kind) {
			w.t.Errorf("%s: the client's error is not %v", p.Code, want.Kind)
		}
	}
}
