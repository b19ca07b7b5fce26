package network

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// A command line names a network in one way.
func TestACommandLineNamesANetworkInOneWay(t *testing.T) {
	for _, c := range []struct {
		args    []string
		sandbox bool
		ok      bool
		hint    string
	}{
		{nil, true, true, ""},
		{[]string{"--dir", "my net"}, true, true, " --dir 'my net'"},
		{[]string{"--dir", "net", "--node", "bravo"}, true, true, " --dir net"},
		{[]string{"--config", "a b/node.toml"}, false, true, " --config 'a b/node.toml'"},
		{[]string{"--config", "node.toml", "--node", "10.0.0.1:8000"}, false, true, " --config node.toml"},
		{[]string{"--node", "10.0.0.1:8000", "--service", "s.pem"}, false, true, " --node 10.0.0.1:8000 --service s.pem"},
		{[]string{"--node", "10.0.0.1:8000", "--service", "s.pem", "--cert", "c", "--key", "cmd:a b"}, false, true, " --node 10.0.0.1:8000 --service s.pem --cert c --key 'cmd:a b'"},
		{[]string{"--dir", "net", "--config", "node.toml"}, false, false, ""},
		{[]string{"--config", "node.toml", "--service", "s.pem"}, false, false, ""},
		{[]string{"--dir", "net", "--service", "s.pem"}, false, false, ""},
		{[]string{"--dir", "net", "--cert", "c", "--key", "k"}, true, false, ""},
		{[]string{"--config", "node.toml", "--cert", "c"}, false, false, ""},
		{[]string{"--sealed", "https://b", "--service", "s.pem", "--constitution", "c.toml", "--cert", "c", "--key", "k"}, false, true, " --sealed https://b --constitution c.toml --service s.pem --cert c --key k"},
		{[]string{"--sealed", "https://b", "--service", "s.pem", "--cert", "c", "--key", "k"}, false, false, ""},
		{[]string{"--sealed", "https://b", "--service", "s.pem", "--constitution", "c.toml"}, false, false, ""},
		{[]string{"--sealed", "https://b", "--constitution", "c.toml", "--cert", "c", "--key", "k"}, true, false, ""},
		{[]string{"--sealed", "https://b", "--service", "s.pem", "--constitution", "c.toml", "--cert", "c", "--key", "k", "--node", "10.0.0.1:8000"}, false, false, ""},
		{[]string{"--sealed", "https://b", "--service", "s.pem", "--constitution", "c.toml", "--cert", "c", "--key", "k", "--dir", "net"}, false, false, ""},
		{[]string{"--constitution", "c.toml"}, true, false, ""},
	} {
		var f Flags
		cmd := &cobra.Command{}
		f.AddConnect(cmd)
		if err := cmd.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		err := f.Check()
		if (err == nil) != c.ok || err != nil && !errors.Is(err, coco.ErrInvalid) || f.InSandbox() != c.sandbox {
			t.Errorf("%q: %v; a sandbox: %v", c.args, err, f.InSandbox())
		}
		if err == nil && f.Hint() != c.hint {
			t.Errorf("%q: hint %q, want %q", c.args, f.Hint(), c.hint)
		}
	}
}

// A node on this machine is reached where it listens, whatever it tells others.
func TestANodeOfOnesOwnIsReachedWhereItListens(t *testing.T) {
	for listens, want := range map[string]string{
		"10.0.0.4:8000": "10.0.0.4:8000", "0.0.0.0:8000": "localhost:8000", ":8000": "localhost:8000", "[::]:8000": "localhost:8000", "[::1]:8000": "[::1]:8000",
	} {
		n := &Network{Config: &nodeconfig.Config{Name: "delta", Client: listens, ClientAddress: "delta.example:443"}}
		if got := n.Own()[0].Client; got != want {
			t.Errorf("a node that listens at %s is asked at %s, want %s", listens, got, want)
		}
	}
}

// What ends TLS shows the constitution. It is believed if a person has approved its digest, or has its page.
func TestBehindABalancerTheConstitutionIsTheOneThatWasApproved(t *testing.T) {
	page, err := os.ReadFile("../../../gov/constitution/testdata/constitution.toml")
	if err != nil {
		t.Fatal(err)
	}
	con, err := constitution.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	balancer := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/node/constitution" {
			_, _ = w.Write(page)
		}
	}))
	balancer.Config.ErrorLog = log.New(io.Discard, "", 0) // a handshake fails on purpose
	balancer.StartTLS()
	defer balancer.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: balancer.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	outer, err := Outer(ca)
	if err != nil {
		t.Fatal(err)
	}
	defer outer.CloseIdleConnections()
	ask := func(approved string) ([]byte, error) {
		b := Balancer{URL: balancer.URL, Constitution: approved}
		return b.approved(t.Context(), outer)
	}
	if got, err := ask(con.Digest().String()); err != nil || !bytes.Equal(got, page) {
		t.Errorf("the digest of what is shown: %v", err)
	}
	if _, err := ask(coco.Digest{1}.String()); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), con.Digest().String()) {
		t.Errorf("another digest: %v", err)
	}
	if got, err := ask(ca); err != nil || bytes.Equal(got, page) {
		t.Errorf("a file is not what was approved: %v", err)
	}
	system, err := Outer("")
	if err != nil {
		t.Fatal(err)
	}
	b := Balancer{URL: balancer.URL, Constitution: con.Digest().String()}
	if _, err := b.approved(t.Context(), system); !errors.Is(err, coco.ErrUnreachable) {
		t.Errorf("a balancer whose certificate nobody knows: %v", err)
	}
}
