package node_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/peer"
)

// records are the lines of a node's log.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *records) count(part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), part)
}

// Each refused joiner is a warning, and anybody can be refused as often as they like.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		var log records
		n.Alter = func(c *node.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }
		n.open()
		for range 200 {
			id, err := channel.NewIdentity(true)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := n.World.Host("stranger").Net.Dial(t.Context(), nettest.Host(0)+nettest.PeerPort)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := channel.PeerClient(t.Context(), raw, id, func(channel.PeerCert) error { return nil }, channel.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := peer.WriteMessage(conn, peer.JoinHello{Version: 99}); err != nil {
				t.Fatal(err)
			}
			var answer peer.JoinAnswer
			if err := peer.ReadMessage(conn, &answer); err != nil || answer.Reason == "" {
				t.Fatalf("%+v, %v", answer, err)
			}
			_ = conn.Close()
		}
		synctest.Wait()
		if got := log.count("msg=\"node refused\""); got == 0 || got > 20 {
			t.Errorf("%d records of 200 refused nodes, expected at most 20", got)
		}
		if log.count("too many records") != 1 {
			t.Errorf("that records are left out is not told once:\n%s", log.text.String())
		}
	})
}
