package message

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cocoframework/coco/wire"
)

// Every header that changes what a request does is part of what is signed: what stands between can add none, change none and drop none.
func TestHeadersThatChangeARequestAreSigned(t *testing.T) {
	by := newSigner(t, newKey(t), "acme")
	ask := func(signedWith, sentWith http.Header) error {
		m := New("PUT", "/app/kv/a", signedWith, []byte("hello"), network, node, begin)
		r, err := http.NewRequestWithContext(t.Context(), "PUT", "/app/kv/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RequestURI, r.Header = "/app/kv/a", sentWith.Clone()
		_, err = newWorld(node).Scheme.Authenticate(r, strings.TrimPrefix(signed(t, by, m), SchemeName+" "))
		return err
	}
	one := http.Header{"X-Coco-Audience": {"acme, globex"}, "If-Match": {`"3"`}, "Content-Type": {"text/plain"}}
	if err := ask(one, one); err != nil {
		t.Fatal(err)
	}
	lines := one.Clone()
	lines["X-Coco-Audience"] = []string{"acme", "globex"}
	lines["User-Agent"], lines["X-Forwarded-For"], lines["Content-Length"], lines["Accept"] = []string{"a"}, []string{"b"}, []string{"5"}, []string{"*/*"}
	if err := ask(one, lines); err != nil {
		t.Errorf("what a balancer may do: %v", err)
	}
	for name, change := range map[string]func(http.Header){
		"an audience changed":     func(h http.Header) { h.Set("X-Coco-Audience", "acme, globex, mallory") },
		"an audience dropped":     func(h http.Header) { h.Del("X-Coco-Audience") },
		"a condition dropped":     func(h http.Header) { h.Del("If-Match") },
		"a condition added":       func(h http.Header) { h.Set("If-None-Match", "*") },
		"a line added":            func(h http.Header) { h.Add("If-Match", `"4"`) },
		"another kind of body":    func(h http.Header) { h.Set("Content-Type", "application/json") },
		"a body in another form":  func(h http.Header) { h.Set("Content-Encoding", "gzip") },
		"a part of a body":        func(h http.Header) { h.Set("Content-Range", "bytes 0-1/5") },
		"an older state":          func(h http.Header) { h.Set(wire.HeaderAtLeast, "1.1") },
		"a header that is to be":  func(h http.Header) { h.Set("X-Coco-Later", "1") },
		"a part of an answer":     func(h http.Header) { h.Set("Range", "bytes=0-1") },
		"nothing of what is sent": func(h http.Header) { clear(h) },
	} {
		sent := one.Clone()
		change(sent)
		if err := ask(one, sent); err == nil || !strings.Contains(err.Error(), "is not as its signer signed it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// harmless are headers of requests that the program reads and that are not signed, with why.
var harmless = map[string]string{
	"Authorization": "it is the credential", "Origin": "it can have a request refused alone", "Upgrade": "no connection is upgraded by a signed request", "Connection": "the same",
	"Sec-Websocket-Protocol": "the same", "Sec-WebSocket-Protocol": "the same", "Access-Control-Request-Method": "of requests without a caller", "Access-Control-Request-Headers": "the same",
	"Traceparent": "it names a request in logs", "Content-Length": "it follows from the body", "Retry-After": "it is of an answer",
}

// A header that a handler begins to read is signed, or listed above with a reason.
func TestHeadersThatHandlersReadAreSigned(t *testing.T) {
	text := regexp.MustCompile(`\b(?:r\.Header(?:\.Get\(|\.Values\(|\[)|h\[)(?:"([A-Z][A-Za-z]*-[A-Za-z-]+|[A-Z][a-z]+)"|wire\.(Header[A-Za-z]+))`)
	values := constants(t, "../../wire")
	found := 0
	for _, root := range []string{"../../gateway", "../../adapter"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			code, err := os.ReadFile(path)
			for _, m := range text.FindAllStringSubmatch(string(code), -1) {
				name := m[1]
				if name == "" {
					name = values[m[2]]
				}
				found++
				if name == "" || !Covers(http.CanonicalHeaderKey(name)) && harmless[name] == "" {
					t.Errorf("%s reads %q (%s), which is not signed and not listed", path, name, m[0])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 10 {
		t.Errorf("%d reads of headers found: the pattern does not fit the code any more", found)
	}
}

// constants are the names of headers in a package.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(Header[A-Za-z]+)\s+= "([A-Za-z-]+)"`).FindAllStringSubmatch(string(code), -1) {
			out[m[1]] = m[2]
		}
	}
	return out
}
