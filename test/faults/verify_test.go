//go:build linux

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// receiptsEach is how many receipts each node is asked for.
const receiptsEach = 50

// rest lets the clients wait, and compares the nodes' states.
func rest(ctx context.Context, c *cluster, l *load) {
	defer l.pause()()
	if _, err := c.awaitHealth(ctx); err != nil {
		c.t.Error(err)
		return
	}
	if err := c.sameDigest(ctx); err != nil {
		c.t.Error(err)
	}
}

// sameDigest waits until all nodes are at one transaction, and compares the digests of their states.
func (c *cluster) sameDigest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, comePatience)
	defer cancel()
	for {
		at, err := c.standstill(ctx)
		if err == nil {
			return c.compareDigests(ctx, at)
		}
		if !sleep(ctx, lookEvery) {
			return err
		}
	}
}

// standstill returns the transaction that all nodes are at.
func (c *cluster) standstill(ctx context.Context) (coco.TxID, error) {
	var at coco.TxID
	for i, m := range c.members {
		s, err := m.client.Status(ctx)
		if err != nil {
			return at, err
		}
		if i > 0 && s.Committed != at {
			return at, fmt.Errorf("digest: %s is at %s, %s at %s, though nobody writes", c.members[0].name, at, m.name, s.Committed)
		}
		at = s.Committed
	}
	return at, nil
}

func (c *cluster) compareDigests(ctx context.Context, at coco.TxID) error {
	var first coco.Digest
	for i, m := range c.members {
		var page struct {
			Seqno  uint64      `json:"seqno"`
			Digest coco.Digest `json:"digest"`
		}
		if err := m.getJSON(ctx, fmt.Sprintf("/node/digest?seqno=%d", at.Seqno), &page); err != nil {
			return fmt.Errorf("digest: %s: %w", m.name, err)
		}
		if i == 0 {
			first = page.Digest
		}
		if page.Seqno != at.Seqno || page.Digest != first || first == (coco.Digest{}) {
			return fmt.Errorf("digest: at %s the state of %s has digest %s (seqno %d), that of %s %s", at, m.name, page.Digest, page.Seqno, c.members[0].name, first)
		}
	}
	return nil
}

func (m *member) getJSON(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://node"+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := m.client.HTTPClient().Do(req)
	if err != nil {
		return err
	}
	page, err := readBody(resp)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %.200s", path, resp.StatusCode, page)
	}
	return json.Unmarshal(page, v)
}

// verify holds what the nodes and their disks have against what clients were told.
func verify(ctx context.Context, c *cluster, l *load) {
	if _, err := c.awaitHealth(ctx); err != nil {
		c.t.Error(err)
	}
	if err := c.sameDigest(ctx); err != nil {
		c.t.Error(err)
	}
	acked := 0
	for _, m := range c.members {
		found, err := m.readAll(ctx)
		if err != nil {
			c.t.Errorf("acked: reading all of %s: %v", m.name, err)
			continue
		}
		acked = l.compare(m.name, found)
		l.compareCounters(m.name, found)
		verifyReceipts(ctx, c, l, m)
	}
	c.t.Logf("found %d acknowledged keys on each of %d nodes, and %d counters", acked, size, counters)
	c.stop()
	out, err := exec.Command(c.exe, "ledger", "verify", c.info.Dir, "--service", c.info.ServicePEM).CombinedOutput()
	if err != nil {
		c.t.Errorf("ledger: %v: %s", err, out)
	}
	c.t.Logf("%s", bytes.TrimSpace(out))
}

// item is a key's value, and the version that it has.
type item struct {
	value string
	etag  uint64
}

// readAll lists everything that a node holds.
func (m *member) readAll(ctx context.Context) (map[string]item, error) {
	ctx, cancel := context.WithTimeout(ctx, comePatience)
	defer cancel()
	found := map[string]item{}
	for next := "/app/kv?limit=1000"; next != ""; {
		var page struct {
			Items []struct {
				Key   []byte `json:"key"`
				Value []byte `json:"value"`
				ETag  string `json:"etag"`
			} `json:"items"`
			Next string `json:"next"`
		}
		if err := m.getJSON(ctx, next, &page); err != nil {
			return nil, err
		}
		for _, it := range page.Items {
			etag, err := strconv.ParseUint(it.ETag, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("key %q: %w", it.Key, err)
			}
			found[string(it.Key)] = item{string(it.Value), etag}
		}
		next = page.Next
	}
	return found, nil
}

// tooMany is how many complaints of one kind are enough.
const tooMany = 10

// compare looks for every key that was written, and for none that was refused.
func (l *load) compare(name string, found map[string]item) (acked int) {
	bad := 0
	complain := func(format string, args ...any) {
		if bad++; bad <= tooMany {
			l.c.t.Errorf("acked: "+name+": "+format, args...)
		}
	}
	keys := 0
	for _, p := range l.puts {
		for i, w := range p.writes {
			got, ok := found[p.key(i)]
			if ok {
				keys++
			}
			switch {
			case w.etag != 0 && !ok:
				complain("%s is not there, though its write was acknowledged as version %d", p.key(i), w.etag)
			case w.etag != 0 && got.etag != w.etag:
				complain("%s has version %d, its write was acknowledged as version %d", p.key(i), got.etag, w.etag)
			case ok && got.value != string(p.value(i)):
				complain("%s has another value than was written", p.key(i))
			case w.etag == 0 && !w.maybe && ok:
				complain("%s is there, though every attempt to write it was refused", p.key(i))
			}
			if w.etag != 0 {
				acked++
			}
		}
	}
	for i := range counters {
		if _, ok := found[l.counterKey(i)]; ok {
			keys++
		}
	}
	if keys != len(found) {
		complain("it holds %d keys, of which clients have written only %d", len(found), keys)
	}
	if bad > tooMany {
		l.c.t.Errorf("acked: %s: and %d more", name, bad-tooMany)
	}
	return acked
}

// compareCounters holds counters against the changes that were acknowledged.
func (l *load) compareCounters(name string, found map[string]item) {
	for i := range counters {
		n, err := strconv.ParseUint(found[l.counterKey(i)].value, 10, 64)
		if err != nil {
			l.c.t.Errorf("once: %s: %s: %v", name, l.counterKey(i), err)
			continue
		}
		c := &l.counts[i]
		if n < c.acked || n > c.acked+c.maybe {
			l.c.t.Errorf("once: %s: %s is %d, but %d changes were acknowledged and %d more have an unknown outcome", name, l.counterKey(i), n, c.acked, c.maybe)
		}
		for told := range c.told {
			if told > n {
				l.c.t.Errorf("acked: %s: %s is %d, but was acknowledged as %d", name, l.counterKey(i), n, told)
			}
		}
	}
}

// verifyReceipts asks a node for receipts of acknowledged writes, and verifies them as anybody can.
func verifyReceipts(ctx context.Context, c *cluster, l *load, m *member) {
	data, err := os.ReadFile(c.info.ServicePEM)
	if err != nil {
		c.t.Error(err)
		return
	}
	service, err := client.ParseCertificate(data)
	if err != nil {
		c.t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, comePatience)
	defer cancel()
	for range receiptsEach {
		p := l.puts[rand.IntN(len(l.puts))]
		if len(p.writes) == 0 {
			continue
		}
		i := rand.IntN(len(p.writes))
		if p.writes[i].tx == (coco.TxID{}) {
			continue
		}
		err := verifyReceipt(ctx, m, p.writes[i].tx, p.key(i), func(r *receipt.Receipt) error { return r.Verify(service, receipt.Options{}) })
		if err != nil {
			c.t.Errorf("receipt: %s: %s: %v", m.name, p.writes[i].tx, err)
			return
		}
	}
}

// verifyReceipt checks one receipt. It must be of this transaction, and its claims must name the key.
func verifyReceipt(ctx context.Context, m *member, tx coco.TxID, key string, check func(*receipt.Receipt) error) error {
	for {
		data, err := m.client.Receipt(ctx, tx)
		if err != nil {
			if time.Sleep(lookEvery); ctx.Err() == nil && retriable(err) {
				continue
			}
			return err
		}
		r, err := receipt.Parse(wire.MediaJSON, data)
		if err != nil {
			return err
		}
		if r.TxID != tx || !strings.Contains(string(r.Claims), key) {
			return fmt.Errorf("the receipt is of %s and claims %q, expected %s and the key %s", r.TxID, r.Claims, tx, key)
		}
		return check(r)
	}
}

// retriable reports whether a node may answer later.
func retriable(err error) bool { return errors.Is(err, coco.ErrBusy) }
