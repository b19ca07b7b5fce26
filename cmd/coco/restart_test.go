package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/rolling"
)

// traffic is clients that go to another node when one says that nothing happened, and count what they
// were left in doubt about, or refused for good.
type traffic struct {
	t     *testing.T
	nodes []*client.Client
	stop  chan struct{}
	wg    sync.WaitGroup

	done, retried, failed atomic.Int64
	acked                 sync.Map // key → value
}

func startTraffic(t *testing.T, info localnet.Info, kvs, eths int) *traffic {
	t.Helper()
	l := &traffic{t: t, stop: make(chan struct{})}
	for _, n := range info.Nodes {
		c, err := info.Connect(n, verifiers())
		if err != nil {
			t.Fatal(err)
		}
		l.nodes = append(l.nodes, c)
	}
	for i := range kvs {
		l.wg.Go(func() {
			l.loop(i, func(k int) func(*client.Client) error {
				key, value := fmt.Sprintf("c%d-%d", i, k), fmt.Sprintf("value %d", k)
				return func(c *client.Client) error {
					err := kvPut(c, key, value)
					if err == nil {
						l.acked.Store(key, value)
					}
					return err
				}
			})
		})
	}
	for i := range eths {
		key, err := crypto.HexToECDSA(strings.TrimPrefix(info.Accounts[i].Key, "0x"))
		if err != nil {
			t.Fatal(err)
		}
		signer := types.LatestSignerForChainID(new(big.Int).SetUint64(info.ChainID))
		l.wg.Go(func() {
			l.loop(i, func(k int) func(*client.Client) error {
				to := common.Address{byte(i + 1)}
				tx, err := types.SignNewTx(key, signer, &types.LegacyTx{Nonce: uint64(k), GasPrice: new(big.Int), Gas: 21000, To: &to, Value: big.NewInt(1)})
				if err != nil {
					t.Error(err)
				}
				raw, err := tx.MarshalBinary()
				if err != nil {
					t.Error(err)
				}
				return func(c *client.Client) error { return sendRaw(c, raw) }
			})
		})
	}
	return l
}

// loop makes requests until stopped.
func (l *traffic) loop(at int, request func(k int) func(*client.Client) error) {
	for k := 0; ; k++ {
		do := request(k)
		for try := 0; ; try++ {
			select {
			case <-l.stop:
				return
			default:
			}
			err := do(l.nodes[at%len(l.nodes)])
			if err == nil {
				l.done.Add(1)
				break
			}
			if nothingHappened(err) && try < 100 {
				at++
				l.retried.Add(1)
				time.Sleep(20 * time.Millisecond)
				continue
			}
			l.failed.Add(1)
			l.t.Errorf("a request failed after %d tries: %v", try, err)
			break
		}
	}
}

func nothingHappened(err error) bool {
	rpc := (*client.RPCError)(nil)
	return errors.Is(err, coco.ErrBusy) || errors.Is(err, coco.ErrNotCommitted) || errors.Is(err, coco.ErrUnreachable) ||
		errors.As(err, &rpc) && rpc.Code == -32005
}

func kvPut(c *client.Client, key, value string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://node/app/kv/"+key, bytes.NewReader([]byte(value)))
	if err != nil {
		return err
	}
	resp, err := c.HTTPClient().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode/100 == 2:
		return err
	case resp.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %s", coco.ErrBusy, body)
	}
	return fmt.Errorf("%s: %s", resp.Status, body)
}

// sendRaw takes a transaction that an earlier try has brought in as sent.
func sendRaw(c *client.Client, raw []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := c.RPC(ctx, nil, "eth_sendRawTransaction", hexutil.Encode(raw))
	if err != nil && (strings.Contains(err.Error(), "already known") || strings.Contains(err.Error(), "nonce too low")) {
		return nil
	}
	return err
}

func (l *traffic) end() {
	close(l.stop)
	l.wg.Wait()
	for _, c := range l.nodes {
		c.Close()
	}
}

func TestRollingRestartLosesNoRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	dir := t.TempDir()
	s := startNetwork(t, dir, nil)
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	info := s.Info()
	before := map[string]int{}
	for _, n := range info.Nodes {
		before[n.Name] = n.Pid
	}
	load := startTraffic(t, info, 4, 2)
	var back []string
	err := rolling.Restart(t.Context(), dir, nil, verifiers(), func(step localnet.Step) {
		t.Logf("%s (%d requests, %d retries)", step.Text, load.done.Load(), load.retried.Load())
		if step.Step == "back" {
			back = append(back, step.Node)
		}
	})
	if err != nil {
		t.Error(err)
	}
	load.end()
	t.Logf("%d requests, %d retries, %d failed", load.done.Load(), load.retried.Load(), load.failed.Load())
	if load.failed.Load() != 0 || load.done.Load() == 0 {
		t.Errorf("of %d requests %d failed", load.done.Load()+load.failed.Load(), load.failed.Load())
	}
	if len(back) != len(info.Nodes) {
		t.Errorf("%v came back, expected all of %d", back, len(info.Nodes))
	}
	for _, n := range s.Info().Nodes {
		if n.Pid == before[n.Name] || n.Pid == 0 {
			t.Errorf("%s runs as process %d, before as %d", n.Name, n.Pid, before[n.Name])
		}
	}
	last, err := info.Connect(info.Nodes[0], verifiers())
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	load.acked.Range(func(key, value any) bool {
		resp, err := last.HTTPClient().Get("https://node/app/kv/" + key.(string))
		if err != nil {
			t.Error(err)
			return false
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); err != nil || string(got) != value {
			t.Errorf("%s = %q, %v; acknowledged was %q", key, got, err, value)
			return false
		}
		return true
	})
}
