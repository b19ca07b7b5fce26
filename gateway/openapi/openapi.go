// Package openapi makes the document that GET /openapi.json answers: one OpenAPI 3.0 document of what a listener serves, of the gateway's own
// routes and of the adapters' endpoints.
//
// The gateway's own routes, and the headers that all routes share, are described by openapi.json beside this file; an adapter describes its own
// (adapter.Endpoint). A route that is not described is listed all the same, and an operation that is no route makes no document.
//
// Trust: enclave
package openapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/wire"
)

// own describes the gateway's own routes, at both listeners, and the headers that all routes share.
//
//go:embed openapi.json
var own []byte

// document is an OpenAPI 3.0 document. Its outline is read only: which operation a path has for a method, and
// the components by kind and name.
type document struct {
	Version    string                                `json:"openapi"`
	Info       json.RawMessage                       `json:"info"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"` // by path, then by method in lower case
	Components map[string]map[string]json.RawMessage `json:"components"`
}

// Route is one of the gateway's own: its pattern of http.ServeMux, and the names of its query.
type Route struct {
	Pattern string
	Query   []string
}

// Methods are those of HTTP that a pattern without a method stands for.
var Methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// Document describes what one listener serves: those of the gateway's own routes that it has, and the endpoints. An endpoint
// that its adapter does not describe is listed with the parameters that the gateway knows. It fails with coco.ErrInvalid if documents
// contradict each other or what is served.
func Document(routes []Route, endpoints []adapter.Endpoint) ([]byte, error) {
	var ours document
	if err := json.Unmarshal(own, &ours); err != nil {
		return nil, fmt.Errorf("%w: gateway/openapi/openapi.json: %w", coco.ErrInvalid, err)
	}
	ours.Components["responses"] = errorResponses()
	d := document{Version: ours.Version, Info: ours.Info, Paths: map[string]map[string]json.RawMessage{}, Components: ours.Components}
	for _, r := range routes {
		path, methods := operationsOf(r.Pattern)
		for _, m := range methods {
			d.add(path, m, ours.Paths[path][m], r.Query)
		}
	}
	described := map[string]document{}
	for _, e := range endpoints {
		theirs, known := described[string(e.OpenAPI)]
		if !known && e.OpenAPI != nil {
			if err := json.Unmarshal(e.OpenAPI, &theirs); err != nil {
				return nil, fmt.Errorf("%w: endpoint %q: its OpenAPI document: %w", coco.ErrInvalid, e.Pattern, err)
			}
			if err := d.merge(theirs.Components); err != nil {
				return nil, fmt.Errorf("%w: endpoint %q: its OpenAPI document: %w", coco.ErrInvalid, e.Pattern, err)
			}
			described[string(e.OpenAPI)] = theirs
		}
		path, methods := operationsOf(e.Pattern)
		for _, m := range methods {
			d.add(path, m, theirs.Paths[path][m], e.Query)
		}
	}
	for _, theirs := range described {
		if path, method := d.lacks(theirs); path != "" {
			return nil, fmt.Errorf("%w: the OpenAPI document of an adapter has %s %s, which is no endpoint", coco.ErrInvalid, strings.ToUpper(method), path)
		}
	}
	if err := d.prune(); err != nil {
		return nil, err
	}
	return json.Marshal(d)
}

// operationsOf returns the path of a pattern as OpenAPI writes it, and its methods in lower case. HEAD goes with GET.
func operationsOf(pattern string) (path string, of []string) {
	method, path, found := strings.Cut(pattern, " ")
	if !found {
		method, path = "", pattern
	}
	path = strings.NewReplacer("...}", "}", "{$}", "").Replace(strings.TrimSpace(path))
	if method != "" {
		return path, []string{strings.ToLower(method)}
	}
	for _, m := range Methods {
		if m != http.MethodHead {
			of = append(of, strings.ToLower(m))
		}
	}
	return path, of
}

var parameterInPath = regexp.MustCompile(`\{([^}]*)\}`)

// add adds an operation. If it is not described, its parameters are those of its path and query.
func (d *document) add(path, method string, operation json.RawMessage, query []string) {
	if d.Paths[path] == nil {
		d.Paths[path] = map[string]json.RawMessage{}
	}
	if operation == nil {
		type object = map[string]any
		parameters, text := []object{}, object{"type": "string"}
		for _, m := range parameterInPath.FindAllStringSubmatch(path, -1) {
			parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": text})
		}
		if !slices.Equal(query, adapter.AnyQuery) {
			for _, name := range query {
				parameters = append(parameters, object{"name": name, "in": "query", "schema": text})
			}
		}
		operation, _ = json.Marshal(object{"parameters": parameters, "responses": object{"default": object{"description": "See the adapter's own documentation."}}}) // maps and texts
	}
	d.Paths[path][method] = operation
}

// merge adds components. Two of one kind and name must be the same.
func (d *document) merge(components map[string]map[string]json.RawMessage) error {
	for kind, named := range components {
		if d.Components[kind] == nil {
			d.Components[kind] = map[string]json.RawMessage{}
		}
		for name, c := range named {
			if old, taken := d.Components[kind][name]; taken && !bytes.Equal(old, c) {
				return fmt.Errorf("component %s/%s: expected a name of its own, found one that is taken", kind, name)
			}
			d.Components[kind][name] = c
		}
	}
	return nil
}

// lacks returns an operation of another document that this one does not have; an empty path if there is none.
func (d *document) lacks(other document) (path, method string) {
	for path, operations := range other.Paths {
		for method := range operations {
			if d.Paths[path][method] == nil {
				return path, method
			}
		}
	}
	return "", ""
}

var reference = regexp.MustCompile(`"\$ref":\s*"#/components/(\w+)/([\w.-]+)"`)

// prune removes the components that no operation needs. It fails where one is needed that does not exist.
func (d *document) prune() error {
	var waiting []json.RawMessage
	for _, operations := range d.Paths {
		for _, o := range operations {
			waiting = append(waiting, o)
		}
	}
	needed := map[string]map[string]json.RawMessage{}
	for len(waiting) > 0 {
		text := waiting[0]
		waiting = waiting[1:]
		for _, m := range reference.FindAllSubmatch(text, -1) {
			kind, name := string(m[1]), string(m[2])
			c, exists := d.Components[kind][name]
			if !exists {
				return fmt.Errorf("%w: OpenAPI: component %s/%s is needed and does not exist", coco.ErrInvalid, kind, name)
			}
			if needed[kind] == nil {
				needed[kind] = map[string]json.RawMessage{}
			}
			if needed[kind][name] == nil {
				needed[kind][name] = c
				waiting = append(waiting, c)
			}
		}
	}
	d.Components = needed
	return nil
}

// errorResponses describes the answers to requests that fail, one for each status of the table of errors that a node answers: Error404 is
// that of status 404.
func errorResponses() map[string]json.RawMessage {
	type object = map[string]any
	codes, retry := map[int][]string{}, map[int]bool{}
	for _, p := range wire.Problems() {
		if !p.Hidden {
			codes[p.Status], retry[p.Status] = append(codes[p.Status], p.Code), retry[p.Status] || p.Retry
		}
	}
	responses := map[string]json.RawMessage{}
	for status, of := range codes {
		text := object{"type": "string"}
		schema := object{"type": "object", "required": []string{"error"}, "additionalProperties": false, "properties": object{
			"error": object{"type": "object", "required": []string{"code", "message"}, "additionalProperties": false, "properties": object{
				"code": object{"type": "string", "enum": of}, "message": text,
			}},
		}}
		r := object{"description": strings.Join(of, ", "), "content": object{wire.MediaJSON: object{"schema": schema}}}
		headers := object{}
		for header, name := range map[string]string{
			wire.HeaderTxID: "TransactionId", wire.HeaderAge: "Age", wire.HeaderStale: "Stale",
		} {
			headers[header] = object{"$ref": "#/components/headers/" + name}
		}
		if retry[status] {
			headers["Retry-After"] = object{"$ref": "#/components/headers/RetryAfter"}
		}
		switch status {
		case http.StatusMethodNotAllowed:
			headers["Allow"] = object{"$ref": "#/components/headers/Allow"}
		case http.StatusPreconditionFailed:
			headers["ETag"] = object{"$ref": "#/components/headers/ETag"}
		case http.StatusMisdirectedRequest:
			headers[wire.HeaderNodes] = object{"$ref": "#/components/headers/Nodes"}
		}
		r["headers"] = headers
		responses[fmt.Sprintf("Error%d", status)], _ = json.Marshal(r) // maps and texts
	}
	return responses
}
