package link

import (
	"crypto/tls"
	"fmt"
	"net/url"

	"github.com/cocoframework/coco"
)

// Target is one way into the network.
type Target struct {
	// Name is the node's, for messages; the URL if empty.
	Name string
	// URL is https://HOST:PORT of a node's client listener or http://HOST:PORT of a proxy; wss
	// and ws use a WebSocket instead. Without a path, JSON-RPC goes to /rpc.
	URL string
	// TLS is for https and wss: the client's certificate, and the service certificate as the
	// root. See ClientTLS.
	TLS *tls.Config
}

// Label is what messages call the target.
func (t *Target) Label() string {
	if t.Name != "" {
		return t.Name
	}
	return t.URL
}

// Check reports whether a target leads to a WebSocket. Its error is coco.ErrInvalid.
func (t *Target) Check() (webSocket bool, err error) {
	a, err := t.parse()
	return a.webSocket, err
}

// address is where a target leads.
type address struct {
	host      string // with the port
	name      string // without
	path      string // of JSON-RPC
	secure    bool
	webSocket bool
}

func (t *Target) parse() (address, error) {
	fault := func(why string) (address, error) {
		return address{}, fmt.Errorf("%w: bench: target %q: %s", coco.ErrInvalid, t.URL, why)
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return fault(err.Error())
	}
	a := address{host: u.Host, name: u.Hostname(), path: u.EscapedPath()}
	switch u.Scheme {
	case "http":
	case "https":
		a.secure = true
	case "ws":
		a.webSocket = true
	case "wss":
		a.secure, a.webSocket = true, true
	default:
		return fault("expected a URL that begins with https, http, wss or ws")
	}
	if u.Port() == "" || a.name == "" || u.User != nil || u.RawQuery != "" {
		return fault("expected SCHEME://HOST:PORT, with or without a path")
	}
	if a.secure && t.TLS == nil {
		return fault("a secure target needs a client certificate and the service certificate")
	}
	if a.path == "" || a.path == "/" {
		a.path = "/rpc"
	}
	return a, nil
}
