package kv

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cocoframework/coco/adapter"
)

// BenchmarkPutHandler is what a PUT costs the node that the client reached, without HTTP and
// consensus.
func BenchmarkPutHandler(b *testing.B) {
	c := newCore(b, "")
	results := []adapter.Result{{Reply: append(newReply(1), 0, 0, 0, 0, 0, 0, 0, 1)}}
	c.submit = func(context.Context, ...*adapter.Call) []adapter.Result { return results }
	body := strings.NewReader(strings.Repeat("x", 200))
	r := httptest.NewRequest("PUT", "/app/kv/bench-0011aabb-12-345", nil)
	r.Body, r.ContentLength = io.NopCloser(body), 200
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Seek(0, io.SeekStart)
		clear(w.h)
		c.put(alpha, w, r)
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkExecute is what a PUT costs the leader's executor, in batches of 100.
func BenchmarkExecute(b *testing.B) {
	c := newCore(b, "")
	payload := encodeWrite([]operation{{kind: opPut, key: []byte("bench-0011aabb-12-345"), value: make([]byte, 200)}})
	calls := make([]*adapter.Call, 100)
	for i := range calls {
		w, err := decodeWrite(payload, DefaultSettings)
		if err != nil {
			b.Fatal(err)
		}
		calls[i] = &adapter.Call{Caller: alpha, Payload: payload, Decoded: w}
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Execute(b.Context(), c.store.Begin(testView, 1).Part(c.scope), adapter.Queue(calls...))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/call")
}

func BenchmarkDecode(b *testing.B) {
	c := newCore(b, "")
	payload := encodeWrite([]operation{{kind: opPut, key: []byte("bench-0011aabb-12-345"), value: make([]byte, 200)}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(payload); err != nil {
			b.Fatal(err)
		}
	}
}
