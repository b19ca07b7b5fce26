package scan

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
	req, end, ok := Parse([]byte(scanSeeds[2]), 0)
	if !ok || string(req.ID) != `"x"` || string(req.Method) != "eth_call" ||
		string(req.Params) != `[ "0x01" , {"a":[1,-2.5e+3,true,null]} ]` || end != len(scanSeeds[2])-1 {
		t.Fatalf("Parse = %q %q %q, %d, %v", req.ID, req.Method, req.Params, end, ok)
	}
	for i, body := range scanSeeds[:5] {
		if _, _, ok := Parse([]byte(body), 0); !ok {
			t.Errorf("seed %d is plain and not accepted: %s", i, body)
		}
	}
	for i, body := range scanSeeds[5:16] {
		if req, _, ok := Parse([]byte(body), 0); ok {
			t.Errorf("seed %d is accepted as %q: %s", i+5, req.Method, body)
		}
	}
	if reqs, ok := ParseBatch([]byte(scanSeeds[16]), nil, 2); !ok || len(reqs) != 2 || string(reqs[1].Params) != `["0x"]` {
		t.Fatalf("ParseBatch = %v, %v", reqs, ok)
	}
	if _, ok := ParseBatch([]byte(scanSeeds[16]), nil, 1); ok {
		t.Fatal("a batch beyond the limit is accepted")
	}
}

// FuzzScan shows that the scanner accepts only valid JSON, and finds in it what encoding/json finds.
func FuzzScan(f *testing.F) {
	for _, s := range scanSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if reqs, ok := ParseBatch(body, nil, 100); ok {
			var raw []json.RawMessage
			if err := json.Unmarshal(body, &raw); err != nil || len(raw) != len(reqs) {
				t.Fatalf("scanned %d requests, encoding/json %d: %v", len(reqs), len(raw), err)
			}
			for i := range raw {
				sameRequest(t, reqs[i], raw[i])
			}
		}
		req, end, ok := Parse(body, 0)
		if !ok {
			return
		}
		sameRequest(t, req, body[:end])
		checkParams(t, req.Params)
	})
}

func sameRequest(t *testing.T, req Request, body []byte) {
	t.Helper()
	var msg map[string]json.RawMessage
	if err := json.Unmarshal(body, &msg); err != nil {
		t.Fatalf("scanned what is not JSON: %v", err)
	}
	if !bytes.Equal(msg["id"], req.ID) || !bytes.Equal(msg["params"], req.Params) ||
		string(msg["method"]) != `"`+string(req.Method)+`"` || string(msg["jsonrpc"]) != `"2.0"` {
		t.Fatalf("scanned %q %q %q, expected %v", req.ID, req.Method, req.Params, msg)
	}
	if again, end, ok := Parse(req.Encode(), 0); !ok || end != len(req.Encode()) || !bytes.Equal(again.Params, req.Params) {
		t.Fatalf("%s does not scan again", req.Encode())
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
	Elements(params, func(v []byte) bool {
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
	if !Members(object, func(k, v []byte) bool { got[string(k)] = v; n++; return true }) {
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
		if _, _, ok := Parse(body, 0); !ok {
			b.Fatal("not scanned")
		}
	}
}
