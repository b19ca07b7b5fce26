package kv

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

func TestAValueComesWithTheReceiptOfItsTransaction(t *testing.T) {
	c := newCore(t, "")
	c.as(alpha, "", "PUT", "/app/kv/k", "one", "Content-Type", "text/plain") // 2.2
	c.as(alpha, deal, "PUT", "/app/kv/k", "secret")                          // 2.3
	c.as(alpha, "", "PUT", "/app/kv/k", "two")                               // 2.4
	c.as(alpha, "", "PUT", "/app/kv/other", "x")                             // 2.5
	for _, x := range []struct{ audience, query, id, asOf, media, value, table string }{
		{"", "?proof", "2.4", "2.5", "", "two", "kv.data"},
		{"", "?proof&at=3", "2.2", "2.5", "text/plain", "one", "kv.data"},
		{deal, "?at=4&proof", "2.3", "2.5", "", "secret", "kv.parties"},
	} {
		w := c.as(beta, x.audience, "GET", "/app/kv/k"+x.query, "")
		var p struct {
			wire.Proven
			Receipt struct {
				ID     string `json:"transaction_id"`
				Claims []byte `json:"claims"`
			} `json:"receipt"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != wire.MediaJSON {
			t.Errorf("%s: %s, %v", x.query, answerOf(w), err)
			continue
		}
		if p.ID.String() != x.id || p.Receipt.ID != x.id || p.AsOf.String() != x.asOf || p.Media != x.media || string(p.Value) != x.value ||
			fmt.Sprint(p.Version) != x.id[2:] || w.Header().Get(wire.HeaderTxID) != x.id {
			t.Errorf("%s: %s", x.query, answerOf(w))
		}
		facts, err := Adapter{}.Explain(p.Receipt.Claims, p.Value)
		if text := fmt.Sprint(facts); err != nil || !strings.Contains(text, "{key k []}") || !strings.Contains(text, "{table "+x.table) {
			t.Errorf("%s: the receipt claims %s, %v", x.query, text, err)
		}
	}
	for target, code := range map[string]int{
		"/app/kv/none?proof": 404, "/app/kv/k?proof&at=1": 404, "/app/kv/k?proof=1": 400, "/app/kv/k?proof&history": 400, "/app/kv/k?proof&limit=1": 400, "/app/kv/k?proof&at=9": 400,
	} {
		if w := c.do("GET", target, ""); w.Code != code || w.Header().Get("Etag") != "" {
			t.Errorf("%s: %s, expected %d", target, answerOf(w), code)
		}
	}
	if w := c.do("GET", "/app/kv/k?proof", "", "If-None-Match", `"4"`); w.Code != 304 || w.Body.Len() > 0 {
		t.Errorf("a condition: %s", answerOf(w))
	}
	c.pastFail = fmt.Errorf("%w: by the test", coco.ErrMissing)
	if w := c.do("GET", "/app/kv/k?proof", ""); w.Code != 503 || w.Header().Get("Etag") != "" {
		t.Errorf("without a ledger: %s", answerOf(w))
	}
}
