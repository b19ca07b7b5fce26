package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/openrpc"
)

// methodOf is a method as the OpenRPC document has it.
type methodOf struct {
	params []param
	result *jsonschema.Schema
}

type param struct {
	name     string
	required bool
	schema   *jsonschema.Schema
}

// openRPC are all methods that the document can describe.
var openRPC = sync.OnceValue(func() map[string]methodOf {
	text, err := json.Marshal(openrpc.Document(openrpc.All()))
	if err != nil {
		panic(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	const at = "coco:///openrpc.json"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource(at, value); err != nil {
		panic(err)
	}
	var doc struct {
		Methods []struct {
			Name   string
			Params []struct {
				Name     string
				Required bool
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		panic(err)
	}
	all := map[string]methodOf{}
	for i, m := range doc.Methods {
		var of methodOf
		for j, p := range m.Params {
			of.params = append(of.params, param{p.Name, p.Required, c.MustCompile(fmt.Sprintf("%s#/methods/%d/params/%d/schema", at, i, j))})
		}
		of.result = c.MustCompile(fmt.Sprintf("%s#/methods/%d/result/schema", at, i))
		all[m.Name] = of
	}
	return all
})

// described fails the test if a call that was answered, or the answer, is not as the OpenRPC document says. Only single calls are looked at.
func described(t testing.TB, request string, answer []byte) {
	t.Helper()
	var call struct {
		Method string
		Params []any
	}
	var reply struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	if json.Unmarshal([]byte(request), &call) != nil || json.Unmarshal(answer, &reply) != nil || reply.Result == nil {
		return
	}
	if _, bench := t.(*testing.B); bench || len(answer) > 1<<20 {
		return
	}
	of, ok := openRPC()[call.Method]
	if !ok {
		t.Errorf("%s is answered, and the OpenRPC document does not have it: add it to rpc/openrpc/methods.go", call.Method)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(reply.Result))
	must(t, err)
	if err := of.result.Validate(value); err != nil {
		t.Errorf("the answer to %.300s is not as the OpenRPC document says: %.1500v\n%.600s", request, err, reply.Result)
	}
	for i, p := range of.params {
		switch {
		case i >= len(call.Params) && p.required:
			t.Errorf("%.300s is answered without %s, which the OpenRPC document requires", request, p.name)
		case i < len(call.Params):
			if err := p.schema.Validate(call.Params[i]); err != nil {
				t.Errorf("%.300s is answered, and %s is not as the OpenRPC document says: %.1500v", request, p.name, err)
			}
		}
	}
	if len(call.Params) > len(of.params) {
		t.Errorf("%.300s is answered with more parameters than the %d of the OpenRPC document", request, len(of.params))
	}
}

// The document that a node serves has its methods, all of them and no others.
func TestTheOpenRPCDocumentHasTheMethodsOfTheNode(t *testing.T) {
	n := newTestNode(t, nil)
	var doc struct {
		OpenRPC string
		Info    struct{ Title, Version string }
		Methods []struct {
			Name, Summary string
			Result        struct{ Name string }
		}
		Components struct{ Schemas map[string]json.RawMessage }
	}
	n.ask(&doc, "rpc_discover")
	var described []string
	for _, m := range doc.Methods {
		described = append(described, m.Name)
		if m.Summary == "" || m.Result.Name == "" {
			t.Errorf("%s has no summary or no result", m.Name)
		}
	}
	slices.Sort(described)
	want := append(n.methods(), "rpc_modules", "eth_subscribe", "eth_unsubscribe")
	slices.Sort(want)
	equal(t, "methods of the document", strings.Join(described, "\n"), strings.Join(want, "\n"))
	for _, name := range want {
		if r := n.call(name); r.Error != nil && r.Error.Code == codeNoMethod && !strings.HasSuffix(name, "ubscribe") {
			t.Errorf("%s is in the document, and not offered: %+v", name, r.Error)
		}
	}
	if doc.OpenRPC == "" || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("document of %q, %+v", doc.OpenRPC, doc.Info)
	}
	names := openrpc.All()
	slices.Sort(names)
	equal(t, "entries that are there twice", len(slices.Compact(names)), len(openrpc.All()))
}

// The document counts as what it is among the replies of a batch.
func TestABatchOfDocumentsIsBounded(t *testing.T) {
	n := newTestNode(t, map[string]any{"reply_bytes": 200_000})
	one := call("rpc_discover")
	size := n.post(one).Body.Len()
	if size < 20_000 || size > 150_000 {
		t.Fatalf("a document of %d bytes", size)
	}
	var replies []reply
	must(t, json.Unmarshal(n.post("["+strings.Repeat(one+",", 19)+one+"]").Body.Bytes(), &replies))
	answered := 0
	for _, r := range replies {
		if r.Error == nil {
			answered++
		} else {
			equal(t, "code", r.Error.Code, codeReplyTooLarge)
		}
	}
	if answered == 0 || answered*size > 200_000+size {
		t.Errorf("%d documents of %d bytes in one reply", answered, size)
	}
}
