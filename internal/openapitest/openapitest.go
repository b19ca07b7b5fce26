// Package openapitest holds what a listener answers against the OpenAPI document that it serves.
//
// A Checker routes every request by the document, validates what a client may send, and validates the answer: its status, its media type, its
// headers and its body. It also fails for a header of Coco's that the document does not list, which validators let pass. At
// the end it tells which operations no request was answered well for.
//
// Trust: either
package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/cocoframework/coco/wire"
)

func init() {
	// The validator reads no bodies of media types that it has no decoder of.
	for _, media := range []string{"text/toml", wire.MediaActions, wire.MediaEnvelope, wire.MediaPEM} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.FileBodyDecoder)
	}
}

// Checker is one listener's document.
type Checker struct {
	t      testing.TB
	doc    *openapi3.T
	router routers.Router
	client *http.Client
	url    string
	good   map[string]bool // operations that a request was answered well for, as "GET /path"
}

// New fetches the document that is served at a URL, and fails unless it is a valid one.
func New(t testing.TB, client *http.Client, url string) *Checker {
	t.Helper()
	resp, err := client.Get(url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /openapi.json: %d %s %v", resp.StatusCode, text, err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &Checker{t: t, doc: doc, router: router, client: client, url: url, good: map[string]bool{}}
}

// Operations lists the document's operations with the names of their query parameters, sorted: "GET /path a b".
func (c *Checker) Operations() (all []string) {
	for path, item := range c.doc.Paths.Map() {
		for method, o := range item.Operations() {
			line := method + " " + path
			var names []string
			for _, p := range o.Parameters {
				if p.Value.In == openapi3.ParameterInQuery {
					names = append(names, p.Value.Name)
				}
			}
			slices.Sort(names)
			all = append(all, strings.Join(append([]string{line}, names...), " "))
		}
	}
	slices.Sort(all)
	return all
}

// Anonymous reports whether an operation needs no certificate, as the document says: it has no answer 401.
func (c *Checker) Anonymous(method, path string) bool {
	return c.doc.Paths.Value(path).GetOperation(method).Responses.Status(http.StatusUnauthorized) == nil
}

// Schema returns the names of a schema's properties, and those that are required, both sorted.
func (c *Checker) Schema(name string) (properties, required []string) {
	s := c.doc.Components.Schemas[name]
	if s == nil {
		return nil, nil
	}
	for p := range s.Value.Properties {
		properties = append(properties, p)
	}
	slices.Sort(properties)
	return properties, slices.Sorted(slices.Values(s.Value.Required))
}

// Ask sends a request, expects a status and fails if the answer is not as the document says. A request that is answered by a success
// must be as the document says, too. header is a list of names and values.
func (c *Checker) Ask(client *http.Client, status int, method, path, body string, header ...string) (http.Header, []byte) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != status {
		c.t.Errorf("%s %s: expected %d, found %d %s", method, path, status, resp.StatusCode, text)
	}
	c.check(r, body, resp, text)
	return resp.Header, text
}

func (c *Checker) check(r *http.Request, body string, resp *http.Response, text []byte) {
	c.t.Helper()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(strings.NewReader(body))
	again.URL.Scheme, again.URL.Host, again.Host = "", "", ""
	route, parameters, err := c.router.FindRoute(again)
	if err != nil {
		c.t.Errorf("%s %s is not in the document: %v", r.Method, r.URL, err)
		return
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true}
	request := &openapi3filter.RequestValidationInput{Request: again, PathParams: parameters, Route: route, Options: options}
	if resp.StatusCode < 400 {
		c.good[route.Method+" "+route.Path] = true
		if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
			c.t.Errorf("%s %s is served, and the document does not allow it: %v", r.Method, r.URL, err)
		}
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(text)), Options: options,
	})
	if err != nil {
		c.t.Errorf("%s %s: the answer %d %s is not as the document says: %v", r.Method, r.URL, resp.StatusCode, text, err)
		return
	}
	described := route.Operation.Responses.Status(resp.StatusCode)
	for name := range resp.Header {
		if !strings.HasPrefix(name, "X-Coco-") && !slices.Contains([]string{"Etag", "Retry-After", "Allow"}, name) {
			continue
		}
		if !slices.ContainsFunc(headersOf(described.Value), func(h string) bool { return http.CanonicalHeaderKey(h) == name }) {
			c.t.Errorf("%s %s: the document does not say that an answer %d has %s", r.Method, r.URL, resp.StatusCode, name)
		}
	}
}

func headersOf(r *openapi3.Response) (names []string) {
	for name := range r.Headers {
		names = append(names, name)
	}
	return names
}

// Unanswered lists the operations that no request was answered well for.
func (c *Checker) Unanswered() (rest []string) {
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			if o := method + " " + path; !c.good[o] {
				rest = append(rest, o)
			}
		}
	}
	slices.Sort(rest)
	return rest
}

// Matches fails unless a JSON text is as a schema says.
func (c *Checker) Matches(schema string, text []byte) {
	c.t.Helper()
	var v any
	err := json.Unmarshal(text, &v)
	if s := c.doc.Components.Schemas[schema]; err == nil && s == nil {
		err = fmt.Errorf("the document has no such schema")
	} else if err == nil {
		err = s.Value.VisitJSON(v)
	}
	if err != nil {
		c.t.Errorf("%s is not a %s: %v", text, schema, err)
	}
}

// Headers lists the names of all headers of requests and answers, sorted.
func (c *Checker) Headers() []string {
	names := map[string]bool{}
	for _, item := range c.doc.Paths.Map() {
		for _, o := range item.Operations() {
			for _, p := range o.Parameters {
				if p.Value.In == openapi3.ParameterInHeader {
					names[p.Value.Name] = true
				}
			}
			for _, r := range o.Responses.Map() {
				for _, h := range headersOf(r.Value) {
					names[h] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
