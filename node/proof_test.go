package node_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/client"
)

// A client returns no value that its receipt does not prove for this key and this audience, whatever the node answers.
func TestAClientVerifiesTheValueThatItReads(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		ids := make([]coco.ActorID, 3)
		for i := range ids {
			ids[i], _ = n.Constitution.Actor(n.Constitution.Members[i].Name)
		}
		write := func(key, value string, audience ...coco.ActorID) {
			req, err := http.NewRequest(http.MethodPut, "https://node/app/kv/"+key, strings.NewReader(value))
			if err != nil {
				t.Fatal(err)
			}
			if key != "untyped" {
				req.Header.Set("Content-Type", "text/plain")
			}
			for _, a := range audience {
				req.Header.Add("X-Coco-Audience", a.String())
			}
			resp, err := n.client(0, 0).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				t.Fatalf("%s: %s", key, resp.Status)
			}
		}
		write("price", "open price")
		write("untyped", "bytes")
		write("other", "planted price", ids[0], ids[1])
		write("price", "planted price", ids[0], ids[1])
		time.Sleep(time.Second) // until all have applied it
		service := n.serviceCertificate()
		of := func(i int) *client.Client {
			m := n.Members[i]
			c, err := client.New(client.Config{
				Addr: hostName(i) + clientPort, Dial: n.World.Host("client").Net.Dial, Now: time.Now,
				Certificate: &tls.Certificate{Certificate: [][]byte{m.Cert}, PrivateKey: m.Key},
				Policy:      client.Policy{Code: n.Constitution.Measurements(), Verifiers: attest.Verifiers{virtual.Verifier{}}, Service: service},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			return c
		}
		read := func(i int, audience ...coco.ActorID) (v client.Verified, err error) {
			for range 20 {
				if v, err = of(i).VerifiableGet(t.Context(), service, "price", audience...); !errors.Is(err, coco.ErrPending) {
					break
				}
				time.Sleep(time.Second)
			}
			return v, err
		}
		v, err := read(1, ids[1], ids[0])
		if err != nil || string(v.Value) != "planted price" || v.ContentType != "text/plain" || v.Actor != ids[0] || v.User != "" {
			t.Errorf("%+v, %v", v, err)
		}
		if open, err := read(2); err != nil || string(open.Value) != "open price" {
			t.Errorf("%+v, %v", open, err)
		}
		if _, err := read(2, ids[0], ids[1]); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("an outsider: %v", err)
		}

		answer := map[string]any{"transaction_id": v.TxID, "as_of": v.AsOf, "etag": v.TxID.String()[strings.Index(v.TxID.String(), ".")+1:], "content_type": v.ContentType, "value": v.Value, "receipt": v.Receipt}
		verify := func(change map[string]any, key string, audience ...coco.ActorID) error {
			a := map[string]any{}
			for k, x := range answer {
				a[k] = x
			}
			for k, x := range change {
				a[k] = x
			}
			text, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.VerifyValue(service, text, key, audience...)
			return err
		}
		open, err := of(2).VerifiableGet(t.Context(), service, "untyped")
		if err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(map[string]any{"transaction_id": open.TxID, "etag": strconv.FormatUint(open.TxID.Seqno, 10), "content_type": "application/octet-stream", "value": open.Value, "receipt": open.Receipt})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := client.VerifyValue(service, line, "untyped"); err != nil || string(again.Value) != "bytes" || again.ContentType != "" {
			t.Errorf("a line of coco kv get --proof: %+v, %v", again, err)
		}
		forged := map[string]any{} // the receipt with claims that fit another value
		if err := json.Unmarshal(v.Receipt, &forged); err != nil {
			t.Fatal(err)
		}
		claims, err := base64.StdEncoding.DecodeString(forged["claims"].(string))
		if err != nil {
			t.Fatal(err)
		}
		is, claimed := sha256.Sum256(v.Value), sha256.Sum256([]byte("other price"))
		forged["claims"] = bytes.Replace(claims, is[:], claimed[:], 1)
		if err := verify(nil, "price", ids[0], ids[1]); err != nil {
			t.Errorf("the answer as it was: %v", err)
		}
		for name, err := range map[string]error{
			"another value":           verify(map[string]any{"value": []byte("other price")}, "price", ids[0], ids[1]),
			"another media type":      verify(map[string]any{"content_type": "text/html"}, "price", ids[0], ids[1]),
			"another key":             verify(nil, "other", ids[0], ids[1]),
			"no audience":             verify(nil, "price"),
			"a smaller audience":      verify(nil, "price", ids[0]),
			"a larger audience":       verify(nil, "price", ids...),
			"another transaction":     verify(map[string]any{"transaction_id": coco.TxID{View: v.TxID.View, Seqno: v.TxID.Seqno - 1}}, "price", ids[0], ids[1]),
			"another version":         verify(map[string]any{"etag": "1"}, "price", ids[0], ids[1]),
			"no receipt":              verify(map[string]any{"receipt": nil}, "price", ids[0], ids[1]),
			"claims of another value": verify(map[string]any{"receipt": forged, "value": []byte("other price")}, "price", ids[0], ids[1]),
		} {
			if !errors.Is(err, coco.ErrVerify) {
				t.Errorf("%s: %v, expected coco.ErrVerify", name, err)
			}
		}
	})
}
