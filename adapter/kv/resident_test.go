package kv

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/kv/residents"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// shared is the audience of rows that reside with Alpha and Beta.
const shared = "Alpha, Beta; resident"

// homes are what package resident/exchange is to the node of one organisation.
type homes struct {
	owner    coco.ActorID
	payloads map[coco.Digest]*resident.Payload
	dropped  []coco.Digest
	few      bool   // too few organisations have what is submitted
	keeping  func() // called by Keep
	err      error  // of Get
}

// reside has a core's node keep payloads for an organisation.
func (c *core) reside(owner coco.ActorID) *homes {
	h := &homes{owner: owner, payloads: map[coco.Digest]*resident.Payload{}}
	c.Reside(&resident.Keeper{
		Here:  func(a store.Audience) bool { return a.Has(h.owner) },
		Nodes: func(a store.Audience) []string { return []string{"node-of-alpha:1", "node-of-beta:1"} },
		Keep: func(_ context.Context, p *resident.Payload) (coco.Digest, []coco.NodeID, error) {
			if h.keeping != nil {
				h.keeping()
			}
			d := resident.Commit(p.Append(nil))
			copied, _ := resident.Parse(p.Append(nil))
			h.payloads[d] = &copied
			return d, []coco.NodeID{{1}, {2}}, nil
		},
		Drop: func(_ store.Audience, d coco.Digest) { delete(h.payloads, d); h.dropped = append(h.dropped, d) },
		Holders: func(a store.Audience, nodes []coco.NodeID) (resident.Set, bool) {
			return 3, !h.few && slices.Equal(nodes, []coco.NodeID{{1}, {2}})
		},
		Get: func(_ context.Context, ref resident.Ref) (resident.Payload, error) {
			p := h.payloads[ref.Row.Commitment]
			if p == nil || h.err != nil {
				return resident.Payload{}, errors.Join(h.err, fmt.Errorf("%w: nobody has it", coco.ErrMissing))
			}
			return *p, nil
		},
	})
	return h
}

func TestARowResidesWithItsParties(t *testing.T) {
	c := newCore(t, "")
	h := c.reside(alpha.Actor)
	if w := c.as(alpha, shared, "PUT", "/app/kv/planted-key", "planted value", "Content-Type", "text/plain"); w.Code != 201 || w.Header().Get("Etag") != `"3"` {
		t.Fatal(answerOf(w)) // the first transaction has the audience's secret
	}
	w := c.as(beta, "Beta,Alpha;resident", "GET", "/app/kv/planted-key", "")
	if w.Code != 200 || w.Body.String() != "planted value" || w.Header().Get("Content-Type") != "text/plain" || w.Header().Get("Etag") != `"3"` || w.Header().Get(wire.HeaderTxID) != "2.3" {
		t.Errorf("a read: %s", answerOf(w))
	}
	// The salt opens the commitment of the receipt, for whoever is given it.
	salt, err := hex.DecodeString(w.Header().Get(wire.HeaderSalt))
	if err != nil || len(salt) != resident.SaltSize {
		t.Fatalf("the salt %x: %v", salt, err)
	}
	audience, _ := store.NewAudience(alpha.Actor, beta.Actor)
	p := resident.Payload{Audience: audience, Salt: [resident.SaltSize]byte(salt), Key: []byte("planted-key"), Media: "text/plain", Value: []byte("planted value")}
	facts, err := Adapter{}.Explain(c.claims[2], nil)
	if commitment := resident.Commit(p.Append(nil)).String(); err != nil || !strings.Contains(fmt.Sprint(facts), commitment) {
		t.Errorf("claims %v, %v: expected commitment %s", facts, err, commitment)
	}
	if err := (Adapter{}).Reveal(c.claims[2], salt, "planted-key", "text/plain", []byte("planted value")); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another key":   (Adapter{}).Reveal(c.claims[2], salt, "planted-ke", "text/plain", []byte("planted value")),
		"another type":  (Adapter{}).Reveal(c.claims[2], salt, "planted-key", wire.MediaBytes, []byte("planted value")),
		"another value": (Adapter{}).Reveal(c.claims[2], salt, "planted-key", "text/plain", []byte("planted valu")),
		"another salt":  (Adapter{}).Reveal(c.claims[2], make([]byte, len(salt)), "planted-key", "text/plain", []byte("planted value")),
	} {
		if !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"half a salt":  (Adapter{}).Reveal(c.claims[2], salt[:16], "planted-key", "text/plain", []byte("planted value")),
		"other claims": (Adapter{}).Reveal([]byte("of another ledger"), salt, "planted-key", "text/plain", []byte("planted value")),
	} {
		if !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cond := range []struct {
		method string
		header []string
		code   int
	}{
		{"GET", []string{"If-None-Match", `"3"`}, 304},
		{"GET", []string{"If-Match", `"9"`}, 412},
		{"PUT", []string{"If-None-Match", "*"}, 412},
		{"PUT", []string{"If-Match", `"3"`}, 204},
		{"DELETE", []string{"If-Match", `"3"`}, 412},
		{"DELETE", []string{"If-Match", "*"}, 204},
		{"GET", nil, 404},
		{"PUT", []string{"If-None-Match", "*"}, 201},
	} {
		if w := c.as(beta, shared, cond.method, "/app/kv/planted-key", "planted again", cond.header...); w.Code != cond.code {
			t.Errorf("%s %v: %s", cond.method, cond.header, answerOf(w))
		}
	}
	if len(h.dropped) != 1 {
		t.Errorf("%d payloads dropped, expected that of the write which was refused", len(h.dropped))
	}
	for i, b := range slices.Concat(c.writes, c.claims) {
		if bytes.Contains(b, []byte("planted")) || bytes.Contains(b, salt) {
			t.Errorf("transaction %d has key, value or salt", i)
		}
	}
	// Rows of other kinds by the same key are other rows.
	for _, a := range []string{"", deal, "Alpha; resident"} {
		if w := c.as(alpha, a, "GET", "/app/kv/planted-key", ""); w.Code != 404 {
			t.Errorf("%q: %s", a, answerOf(w))
		}
	}
}

// unread is a body that must not be read.
type unreadBody struct{ t *testing.T }

func (b unreadBody) Read([]byte) (int, error) {
	b.t.Error("a node outside the audience reads the body")
	return 0, io.EOF
}

func TestANodeOutsideTheAudienceRefusesByTheHeaderAlone(t *testing.T) {
	c := newCore(t, "")
	c.reside(gamma.Actor)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		r := httptest.NewRequest(method, "/app/kv/k", unreadBody{t})
		r.Header.Set(wire.HeaderAudience, shared)
		w := httptest.NewRecorder()
		c.mux.ServeHTTP(w, r)
		if w.Code != 421 || w.Header().Get(wire.HeaderNodes) != "node-of-alpha:1, node-of-beta:1" || !strings.Contains(w.Body.String(), wire.CodeMisdirected) {
			t.Errorf("%s: %s", method, answerOf(w))
		}
	}
	if c.store.Newest() != 1 {
		t.Error("something was written")
	}
}

// Two networks differ in what Alpha and Beta share. An outsider is answered by the same bytes, at nodes of the audience and at others.
func TestOutsidersOfResidentRowsAreAnsweredAlike(t *testing.T) {
	for _, owner := range []coco.ActorID{alpha.Actor, gamma.Actor} {
		var cores [2]*core
		for i := range cores {
			c := newCore(t, "")
			h := c.reside(alpha.Actor)
			if w := c.as(alpha, shared, "PUT", "/app/kv/"+[]string{"secret", "other"}[i], "v"); w.Code != 201 {
				t.Fatal(answerOf(w))
			}
			h.owner = owner
			cores[i] = c
		}
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			for _, header := range [][]string{nil, {"If-Match", "*"}, {"If-None-Match", "*"}} {
				a, b := answerOf(cores[0].as(gamma, shared, method, "/app/kv/secret", "v", header...)), answerOf(cores[1].as(gamma, shared, method, "/app/kv/secret", "v", header...))
				if a != b {
					t.Errorf("%s %v:\n%s\n%s", method, header, a, b)
				}
				if method == "GET" && !strings.HasPrefix(a, "404") || method != "GET" && !strings.HasPrefix(a, "403") {
					t.Errorf("%s %v: %s", method, header, a)
				}
			}
		}
	}
}

func TestResidentRowsHaveNoListsNoPastAndNoBatches(t *testing.T) {
	c := newCore(t, "")
	c.reside(alpha.Actor)
	for _, target := range []string{"/app/kv", "/app/kv?keys", "/app/kv/k?history", "/app/kv/k?at=1", "/app/kv/k?proof"} {
		if w := c.as(alpha, shared, "GET", target, ""); w.Code != 400 || !strings.Contains(w.Body.String(), "one at a time") {
			t.Errorf("%s: %s", target, answerOf(w))
		}
	}
	if w := c.as(alpha, shared, "POST", "/app/kv", `[{"op":"put","key":"aw==","value":"dg=="}]`); w.Code != 400 {
		t.Errorf("a batch: %s", answerOf(w))
	}
	for _, header := range []string{"Alpha; resides", "Alpha;", "; resident", "Alpha; resident; resident"} {
		if w := c.as(alpha, header, "GET", "/app/kv/k", ""); w.Code != 400 {
			t.Errorf("%q: %s", header, answerOf(w))
		}
	}
}

func TestTheLeaderWantsEnoughNodesThatHaveThePayload(t *testing.T) {
	c := newCore(t, "")
	h := c.reside(alpha.Actor)
	h.few = true
	if w := c.as(alpha, shared, "PUT", "/app/kv/k", "v"); w.Code != 503 || !strings.Contains(w.Body.String(), wire.CodeNotCommitted) {
		t.Errorf("without enough: %s", answerOf(w))
	}
	if c.store.Newest() != 1 || len(h.payloads) != 0 {
		t.Errorf("written up to %d, with %d payloads left", c.store.Newest(), len(h.payloads))
	}
}

// Another node makes the audience's secret while this one does: the first in the ledger's order counts.
func TestOneSecretNamesAnAudiencesRows(t *testing.T) {
	c := newCore(t, "")
	h := c.reside(alpha.Actor)
	h.keeping = func() {
		h.keeping = nil
		if w := c.as(beta, shared, "PUT", "/app/kv/k", "of the other node"); w.Code != 201 {
			t.Error(answerOf(w))
		}
	}
	if w := c.as(alpha, shared, "PUT", "/app/kv/k", "v", "If-None-Match", "*"); w.Code != 412 {
		t.Errorf("the second write: %s", answerOf(w))
	}
	if w := c.as(alpha, shared, "GET", "/app/kv/k", ""); w.Body.String() != "of the other node" {
		t.Errorf("the row: %s", answerOf(w))
	}
}

func TestWhatNobodyHasIsMissingAndThePartiesCanBeginAgain(t *testing.T) {
	c := newCore(t, "")
	h := c.reside(alpha.Actor)
	if w := c.as(alpha, shared, "PUT", "/app/kv/k", "v"); w.Code != 201 {
		t.Fatal(answerOf(w))
	}
	clear(h.payloads)
	for _, method := range []string{"GET", "GET", "PUT"} {
		w := c.as(alpha, shared, method, "/app/kv/k", "v")
		if method == "GET" && (w.Code != 503 || !strings.Contains(w.Body.String(), `"missing"`) || w.Header().Get("Etag") != "") {
			t.Errorf("%s: %s", method, answerOf(w))
		}
		if method == "GET" {
			c.names = residents.Names{} // as after a restart
			continue
		}
		if w.Code != 503 {
			t.Errorf("a write without the secret: %s", answerOf(w))
		}
	}
	if w := c.as(alpha, shared+"=renew", "PUT", "/app/kv/k", "w", "If-None-Match", "*"); w.Code != 201 {
		t.Errorf("under a new secret: %s", answerOf(w))
	}
	if w := c.as(beta, shared, "GET", "/app/kv/k", ""); w.Body.String() != "w" {
		t.Errorf("read under the new secret: %s", answerOf(w))
	}
	// What is there is not made again.
	before := c.store.Newest()
	if w := c.as(alpha, shared+"=renew", "PUT", "/app/kv/k", "x"); w.Code != 204 || c.store.Newest() != before+1 {
		t.Errorf("renewed without need: %s", answerOf(w))
	}
	h.err = fmt.Errorf("%w: its epoch is being opened", coco.ErrPending)
	if w := c.as(beta, shared, "GET", "/app/kv/k", ""); w.Code != 202 {
		t.Errorf("while its epoch is opened: %s", answerOf(w))
	}
}

func TestRulesOfPrefixesHoldForResidentRows(t *testing.T) {
	c := newCore(t, fmt.Sprintf(`{"prefixes":{"":{"read":["%[1]s"],"write":["%[1]s"]}}}`, alpha.Actor))
	c.reside(alpha.Actor)
	if w := c.as(alpha, shared, "PUT", "/app/kv/k", "v"); w.Code != 201 {
		t.Fatal(answerOf(w))
	}
	before := c.store.Newest()
	for method, code := range map[string]int{"GET": 404, "PUT": 403, "DELETE": 403} {
		if w := c.as(beta, shared, method, "/app/kv/k", "v"); w.Code != code {
			t.Errorf("%s by whom a rule keeps out: %s", method, answerOf(w))
		}
	}
	if c.store.Newest() != before {
		t.Error("something was written")
	}
}

func TestTheSettingAdmitsResidentRows(t *testing.T) {
	c := newCore(t, `{"resident":false}`)
	c.reside(alpha.Actor)
	if w := c.as(alpha, shared, "PUT", "/app/kv/k", "v"); w.Code != 400 || !strings.Contains(w.Body.String(), "setting resident") {
		t.Errorf("off: %s", answerOf(w))
	}
	w := newWrite()
	w.limit(to{audience: store.Audience{alpha.Actor}, resident: true})
	w.ops[0] = operation{kind: opPut, key: make([]byte, resident.NameSize), value: make([]byte, 32)}
	if _, err := c.Decode(encodeResident(w)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("off: a call: %v", err)
	}
}

func TestCallsOfResidentRowsHaveOneForm(t *testing.T) {
	c := newCore(t, "")
	made := func(change func(w *write)) []byte {
		w := newWrite()
		w.limit(to{audience: store.Audience{alpha.Actor}, resident: true})
		w.party.nodes = []coco.NodeID{{1}, {2}}
		w.ops[0] = operation{kind: opPut, key: make([]byte, resident.NameSize), value: bytes.Repeat([]byte{7}, 32)}
		change(w)
		return encodeResident(w)
	}
	decoded, err := c.Decode(made(func(*write) {}))
	if err != nil {
		t.Fatal(err)
	}
	if w := decoded.(*write); !bytes.Equal(encodeResident(w), made(func(*write) {})) || w.ops[0].digest != coco.Digest(bytes.Repeat([]byte{7}, 32)) {
		t.Errorf("decoded %+v", w)
	}
	if _, err := c.Decode(made(func(w *write) { w.ops[0].kind, w.ops[0].value, w.party.nodes = opDelete, nil, nil })); err != nil {
		t.Errorf("a deletion: %v", err)
	}
	good := made(func(*write) {})
	for what, b := range map[string][]byte{
		"a short name":       made(func(w *write) { w.ops[0].key = []byte("key") }),
		"a short commitment": made(func(w *write) { w.ops[0].value = w.ops[0].value[:31] }),
		"a media type":       made(func(w *write) { w.ops[0].media = "text/plain" }),
		"something after it": append(bytes.Clone(good), 0),
		"half of it":         good[:len(good)/2],
		"two operations":     bytes.Replace(good, []byte{0, 0, 0, 1, opPut}, []byte{0, 0, 0, 2, opPut}, 1),
	} {
		if _, err := c.Decode(b); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnExportSaysWhatTheLedgerHasOfAResidentRow(t *testing.T) {
	c := newCore(t, "")
	c.reside(alpha.Actor)
	c.as(alpha, shared, "PUT", "/app/kv/planted", "planted")
	c.as(alpha, shared, "DELETE", "/app/kv/planted", "")
	var out string
	for _, b := range c.writes {
		writes, err := store.DecodeWrites(b)
		if err != nil {
			t.Fatal(err)
		}
		things, err := Adapter{}.Export()(writes)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range things {
			out += string(e.Value) + "\n"
		}
	}
	if strings.Count(out, `"commitment":"`) != 2 || strings.Count(out, `"audience":["`) != 3 || strings.Count(out, `"deleted":true`) != 1 || strings.Contains(out, "planted") {
		t.Errorf("exported:\n%s", out)
	}
}
