package ethereum

import (
	"bytes"
	"encoding/json"
	"testing"
)

// scanSeeds are bodies in plain form, and bodies that must be left to the full server.
var scanSeeds = []string{
	`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}`,
	` { "params" : [ "0x01" , {"a":[1,-2.5e+3,true,null]} ] , "method" : "eth_call" , "id" : "x" , "jsonrpc" : "2.0" } `,
	`{"jsonrpc":"2.0","id":-0,"method":"m","params":[{}]}`,
	`{"jsonrpc":"2.0","id":"é","method":"eth_chainId","params":[false]}`,
	`{"jsonrpc":"2.0","id":null,"method":"eth_chainId"}`,
	`{"jsonrpc":"2.0","id":1,"id":2,"method":"eth_chainId"}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chain\u0049d"}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","extra":1}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}`,
	`{"jsonrpc":"2.0","id":01,"method":"eth_chainId"}`,
	`{"jsonrpc":"2.0","id":1.,"method":"eth_chainId"}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1,]}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId"`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId",}`,
	`{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}`,
	`[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b","params":["0x"]}]`,
	`[]`, `[1]`, `{}`, ``, `null`, "{\"jsonrpc\":\"2.0\",\"id\":\"\x01\",\"method\":\"a\"}",
}

func TestScanAcceptsThePlainForm(t *testing.T) {
	req, end, ok := scanRequest([]byte(scanSeeds[2]), 0)
	if !ok || string(req.id) != `"x"` || string(req.method) != "eth_call" ||
		string(req.params) != `[ "0x01" , {"a":[1,-2.5e+3,true,null]} ]` || end != len(scanSeeds[2])-1 {
		t.Fatalf("scanRequest = %q %q %q, %d, %v", req.id, req.method, req.params, end, ok)
	}
	for i, body := range scanSeeds[:5] {
		if _, _, ok := scanRequest([]byte(body), 0); !ok {
			t.Errorf("seed %d is plain and not accepted: %s", i, body)
		}
	}
	for i, body := range scanSeeds[5:16] {
		if req, _, ok := scanRequest([]byte(body), 0); ok {
			t.Errorf("seed %d is accepted as %q: %s", i+5, req.method, body)
		}
	}
	if reqs, ok := scanBatch([]byte(scanSeeds[16]), nil, 2); !ok || len(reqs) != 2 || string(reqs[1].params) != `["0x"]` {
		t.Fatalf("scanBatch = %v, %v", reqs, ok)
	}
	if _, ok := scanBatch([]byte(scanSeeds[16]), nil, 1); ok {
		t.Fatal("a batch beyond the limit is accepted")
	}
}

// FuzzScan shows that the scanner accepts only valid JSON, and finds in it what encoding/json finds.
func FuzzScan(f *testing.F) {
	for _, s := range scanSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if reqs, ok := scanBatch(body, nil, 100); ok {
			var raw []json.RawMessage
			if err := json.Unmarshal(body, &raw); err != nil || len(raw) != len(reqs) {
				t.Fatalf("scanned %d requests, encoding/json %d: %v", len(reqs), len(raw), err)
			}
			for i := range raw {
				sameRequest(t, reqs[i], raw[i])
			}
		}
		req, end, ok := scanRequest(body, 0)
		if !ok {
			return
		}
		sameRequest(t, req, body[:end])
		checkParams(t, req.params)
	})
}

func sameRequest(t *testing.T, req request, body []byte) {
	t.Helper()
	var msg map[string]json.RawMessage
	if err := json.Unmarshal(body, &msg); err != nil {
		t.Fatalf("scanned what is not JSON: %v", err)
	}
	if !bytes.Equal(msg["id"], req.id) || !bytes.Equal(msg["params"], req.params) ||
		string(msg["method"]) != `"`+string(req.method)+`"` || string(msg["jsonrpc"]) != `"2.0"` {
		t.Fatalf("scanned %q %q %q, expected %v", req.id, req.method, req.params, msg)
	}
	if again, end, ok := scanRequest(req.encode(), 0); !ok || end != len(req.encode()) || !bytes.Equal(again.params, req.params) {
		t.Fatalf("%s does not scan again", req.encode())
	}
}

func checkParams(t *testing.T, params []byte) {
	if params == nil {
		return
	}
	var want, got []json.RawMessage
	if err := json.Unmarshal(params, &want); err != nil {
		t.Fatalf("params %s: %v", params, err)
	}
	elements(params, func(v []byte) bool {
		got = append(got, v)
		return true
	})
	if len(got) != len(want) {
		t.Fatalf("%d elements in %s, expected %d", len(got), params, len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("element %d of %s is %s, expected %s", i, params, got[i], want[i])
		}
		if len(got[i]) > 0 && got[i][0] == '{' {
			checkMembers(t, got[i])
		}
	}
}

func checkMembers(t *testing.T, object []byte) {
	got := map[string]json.RawMessage{}
	n := 0
	if !members(object, func(k, v []byte) bool { got[string(k)] = v; n++; return true }) {
		t.Fatalf("members refused %s", object)
	}
	var want map[string]json.RawMessage
	if err := json.Unmarshal(object, &want); err != nil {
		t.Fatal(err)
	}
	if n < len(want) {
		t.Fatalf("%d members in %s, expected at least %d", n, object, len(want))
	}
}

func BenchmarkScanSend(b *testing.B) {
	body := []byte(`{"jsonrpc":"2.0","id":12345,"method":"eth_sendRawTransaction","params":["0x` + string(bytes.Repeat([]byte("ab"), 176)) + `"]}`)
	b.ReportAllocs()
	for b.Loop() {
		req, _, ok := scanRequest(body, 0)
		if !ok {
			b.Fatal("not scanned")
		}
		if _, ok = rawParam(req.params); !ok {
			b.Fatal("no transaction")
		}
	}
}
