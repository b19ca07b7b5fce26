package node_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/node"
)

// Two networks may be started from one page: their constitutions have one digest, and their services differ.
func TestALedgerOfAnotherNetworkIsNeverTouched(t *testing.T) {
	for name, c := range map[string]struct {
		named bool // the operator named the service whose ledger the node has
		spoil func(map[string][]byte)
	}{
		"whole":                         {},
		"whole, and the service named":  {named: true},
		"damaged":                       {spoil: func(files map[string][]byte) { flip(files[active(files)], 0.7) }},
		"damaged, the service named":    {named: true, spoil: func(files map[string][]byte) { flip(files[active(files)], 0.7) }},
		"damaged in its first entries":  {spoil: func(files map[string][]byte) { flip(files[active(files)], 0) }},
		"of a build that noted nothing": {spoil: func(files map[string][]byte) { delete(files, node.Dir+"/"+join.ServiceFile) }},
		"and nothing says whose it is": {spoil: func(files map[string][]byte) {
			delete(files, node.Dir+"/"+join.ServiceFile)
			flip(files[active(files)], 0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.waitReady(n.Start(0, n.Found))
				first := n.waitReady(n.Start(1, n.Join(0)))
				for _, k := range []string{"a", "b", "c"} {
					if _, err := put(n.client(0, 0), k, strings.Repeat(k, 2000)); err != nil {
						t.Fatal(err)
					}
				}
				_, _ = n.Halt(1), n.Halt(0)
				files := n.World.Files(hostName(1), node.Dir)
				if c.spoil != nil {
					c.spoil(files)
					n.World.SetFiles(hostName(1), files)
				}
				n.waitReady(n.Start(2, n.Found)) // another network

				r := n.Start(1, func(cfg *node.Config) {
					n.Join(2)(cfg)
					if c.named {
						cfg.Service = first.Service
					}
				})
				if err := r.Await(20 * time.Second); err == nil {
					t.Error("the node takes part in the other network")
				} else if !errors.Is(err, nettest.ErrPatience) && !errors.Is(err, coco.ErrVerify) {
					t.Errorf("the node ended with %v", err)
				}
				_ = n.Halt(1)
				now := n.World.Files(hostName(1), "")
				for _, name := range slices.Sorted(maps.Keys(now)) {
					if strings.HasPrefix(name, node.Dir+"-") {
						t.Errorf("the ledger was set aside: %s", name)
					}
				}
				for name, b := range files {
					if string(now[name]) != string(b) {
						t.Errorf("%s was changed", name)
					}
				}
			})
		})
	}
}

// active returns the name of the chunk that is being written.
func active(files map[string][]byte) string {
	for name := range files {
		if strings.HasPrefix(name, node.Dir+"/ledger_") {
			return name
		}
	}
	return ""
}

// flip changes a byte of a chunk's frame at a place, as a share of what is written.
func flip(chunk []byte, at float64) {
	end := len(chunk)
	for end > 0 && chunk[end-1] == 0 {
		end--
	}
	chunk[int(at*float64(end))+20] ^= 1
}

func TestALedgerOfAnotherServiceIsNotRecovered(t *testing.T) {
	simulate(t, 2, func(t *testing.T, n *network) {
		n.waitReady(n.Start(0, n.Found))
		other := n.waitReady(n.Start(1, n.Found)) // another network, from the same page
		_, _ = n.Halt(0), n.Halt(1)
		r := n.Start(0, func(cfg *node.Config) {
			n.Recover(cfg)
			cfg.Service = other.Service
		})
		if err := r.Await(time.Minute); err == nil || !errors.Is(err, coco.ErrVerify) {
			t.Errorf("the operator named another service: %v", err)
		}
		n.Forget(0)
	})
}
