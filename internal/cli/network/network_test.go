package network

import (
	"errors"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
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
	} {
		var f Flags
		cmd := &cobra.Command{}
		f.Add(cmd, "a `folder`")
		f.AddNode(cmd, "default: any")
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
