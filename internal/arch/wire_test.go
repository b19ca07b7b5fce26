package arch

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// networked are the packages whose JSON crosses a process: from node to client, and between nodes.
var networked = []string{
	"", "batch", "beginning", "canon", "catchup", "channel", "client", "consensus", "consensus/...", "gateway", "gateway/openapi", "gov", "gov/...", "internal/proxy",
	"join", "keys", "node", "peer", "receipt", "replica", "snapshot", "store",
}

// ownJSON are the declarations of networked packages that say themselves how they look in JSON, and why.
var ownJSON = map[string]string{
	"client.RPCError":          "JSON-RPC is the protocol of an adapter, which the client speaks for its users",
	"client.RPC":               "the same",
	"gateway/openapi.document": "OpenAPI is a format of others, of which the gateway reads the outline to merge documents; clients read it by tools",
	"receipt.Receipt":          "a receipt is a document: a verifier reads it years later, with this package and no other",
}

func TestWireAloneDefinesJSON(t *testing.T) {
	for _, msg := range foreignJSON(load(t), ownJSON) {
		t.Error(msg)
	}
}

// foreignJSON finds the structs outside of package wire whose fields have names in JSON.
func foreignJSON(pkgs []*pkg, except map[string]string) []string {
	var found []string
	unused := maps.Clone(except)
	for _, p := range pkgs {
		if !among(p.rel, networked) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(p.files)) {
			for _, d := range p.files[name].Decls {
				for owner, at := range jsonStructs(d) {
					key := p.rel + "." + owner
					if _, ok := except[key]; ok {
						delete(unused, key)
						continue
					}
					found = append(found, fmt.Sprintf("%s: %s has JSON of its own: what crosses a process is a type of package wire, so that both ends agree", p.at(at.Pos()), key))
				}
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(unused)) {
		found = append(found, key+" has no JSON of its own any more: take it from ownJSON")
	}
	return found
}

// jsonStructs are the structs with names in JSON of a declaration, by the type or function that they are in.
func jsonStructs(d ast.Decl) map[string]ast.Node {
	found := map[string]ast.Node{}
	in := func(owner string, root ast.Node) {
		ast.Inspect(root, func(n ast.Node) bool {
			if f, ok := n.(*ast.Field); ok && f.Tag != nil && strings.Contains(f.Tag.Value, `json:"`) {
				found[owner] = n
			}
			return true
		})
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		in(d.Name.Name, d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if ts, ok := spec.(*ast.TypeSpec); ok {
				in(ts.Name.Name, ts)
			}
		}
	}
	return found
}

func TestJSONIsFoundWhereverItIsDeclared(t *testing.T) {
	p := source(t, "gateway", "either",
		"type named struct { A int `json:\"a\"` }",
		"type nested struct { B []struct { A int `json:\"a\"` } }",
		"type plain struct { A int `cbor:\"1,keyasint\"` }",
		"func inside() { var _ struct { A int `json:\"a\"` } }",
		"type excepted struct { A int `json:\"a\"` }",
	)
	outside := source(t, "internal/sandbox", "either", "type file struct { A int `json:\"a\"` }")
	got := strings.Join(foreignJSON([]*pkg{p, outside}, map[string]string{"gateway.excepted": "…", "gateway.plain": "…"}), "\n")
	for _, want := range []string{"gateway.named", "gateway.nested", "gateway.inside", "gateway.plain has no JSON"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not found in %q", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 4 {
		t.Errorf("%d findings, want 4: %s", n, got)
	}
}
