// Package openrpc describes the JSON-RPC methods of a node as an OpenRPC document (https://spec.open-rpc.org), which rpc_discover serves.
//
//	methods.go, schemas.go ── Document ──> rpc_discover
//
// The document is made of two tables: methods, with their parameters and results, and the types that these name. Both are written in one short notation:
//
//	members    name Type, name? Type, …     ? after a name: it may be left out
//	Type       A, A[], map<A>, A|B, A?      ? after a type: or null
//
// A server passes the names of its methods, and gets the entries of these. Every method has an entry: the tests of package rpc fail
// for one that has none, and validate the requests and the replies of all tests by the document.
//
// Trust: enclave
package openrpc

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// version is that of OpenRPC.
const version = "1.3.2"

// method is an entry of the table.
type method struct {
	name, summary  string
	params, result string
}

// Object is a JSON object of the document.
type Object map[string]any

// Reply makes the result of a value, within what a reply may take, or of an error: group.Server has it.
type Reply func(ctx context.Context, v any, err error, instead string) (json.RawMessage, error)

// Methods is the method rpc_discover.
type Methods struct {
	document func() json.RawMessage
	reply    Reply
}

// New returns the method of a server that has registered the receivers, by the namespaces of their methods.
func New(registered map[string][]any, reply Reply) *Methods {
	return &Methods{reply: reply, document: sync.OnceValue(func() json.RawMessage {
		text, err := json.Marshal(Document(append(Names(registered), always...)))
		if err != nil {
			panic(err) // it is made of strings and maps
		}
		return text
	})}
}

// always are the methods that no receiver has: of the library, of WebSocket connections, and this one.
var always = []string{"rpc_modules", "rpc_discover", "eth_subscribe", "eth_unsubscribe"}

// Discover is the OpenRPC document of the node.
func (m *Methods) Discover(ctx context.Context) (json.RawMessage, error) {
	return m.reply(ctx, m.document(), nil, "ask for nothing beside the document")
}

// Names returns the names of the methods of receivers, by their namespaces.
func Names(registered map[string][]any) (names []string) {
	for space, receivers := range registered {
		for _, r := range receivers {
			t := reflect.TypeOf(r)
			for i := range t.NumMethod() {
				name := t.Method(i).Name
				names = append(names, space+"_"+strings.ToLower(name[:1])+name[1:])
			}
		}
	}
	return names
}

// All returns the names of all methods that the table has.
func All() (names []string) {
	for _, m := range methods {
		names = append(names, m.name)
	}
	return names
}

// Document describes methods, in the order of the table, and those types that they use.
func Document(names []string) Object {
	offered := map[string]bool{}
	for _, n := range names {
		offered[n] = true
	}
	d := &describing{schemas: Object{}}
	list := []any{}
	for _, m := range methods {
		if !offered[m.name] {
			continue
		}
		params := []any{}
		for _, p := range members(m.params) {
			params = append(params, Object{"name": p.name, "required": !p.optional, "schema": d.schema(p.of)})
		}
		list = append(list, Object{
			"name": m.name, "summary": m.summary, "paramStructure": "by-position", "params": params,
			"result": Object{"name": "result", "schema": d.schema(m.result)},
		})
	}
	return Object{
		"openrpc":    version,
		"info":       Object{"title": "JSON-RPC of a Coco node", "version": "1", "description": "docs/json-rpc.md says what a caller must know beside it."},
		"methods":    list,
		"components": Object{"schemas": d.schemas},
	}
}

// describing collects the types that are named.
type describing struct{ schemas Object }

// schema is the JSON Schema of a type.
func (d *describing) schema(of string) any {
	if parts := split(of, '|'); len(parts) > 1 {
		var any_ []any
		for _, p := range parts {
			any_ = append(any_, d.schema(p))
		}
		return Object{"anyOf": any_}
	}
	switch {
	case strings.HasSuffix(of, "?"):
		return Object{"anyOf": []any{d.schema(strings.TrimSuffix(of, "?")), Object{"type": "null"}}}
	case strings.HasSuffix(of, "[]"):
		return Object{"type": "array", "items": d.schema(strings.TrimSuffix(of, "[]"))}
	case strings.HasPrefix(of, "map<"):
		return Object{"type": "object", "additionalProperties": d.schema(of[len("map<") : len(of)-1])}
	}
	if _, ok := d.schemas[of]; !ok {
		d.schemas[of] = nil // a type may name itself
		d.schemas[of] = d.named(of)
	}
	return Object{"$ref": "#/components/schemas/" + of}
}

// named is the JSON Schema of a type of the tables.
func (d *describing) named(name string) any {
	if text, ok := scalars[name]; ok {
		return json.RawMessage(text)
	}
	if of, ok := unions[name]; ok {
		return d.schema(of)
	}
	text, ok := objects[name]
	if !ok {
		panic(fmt.Sprintf("openrpc: there is no type %q", name))
	}
	properties, required := Object{}, []string{}
	for _, m := range members(text) {
		properties[m.name] = d.schema(m.of)
		if !m.optional {
			required = append(required, m.name)
		}
	}
	return Object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// member is a parameter, or a member of an object.
type member struct {
	name, of string
	optional bool
}

func members(text string) (out []member) {
	for _, part := range split(text, ',') {
		name, of, _ := strings.Cut(strings.TrimSpace(part), " ")
		if name == "" {
			continue
		}
		bare, optional := strings.CutSuffix(name, "?")
		out = append(out, member{bare, strings.TrimSpace(of), optional})
	}
	return out
}

// split cuts a text where a character stands in no map<…>.
func split(text string, at rune) (parts []string) {
	depth, from := 0, 0
	for i, c := range text {
		switch {
		case c == '<':
			depth++
		case c == '>':
			depth--
		case c == at && depth == 0:
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}
