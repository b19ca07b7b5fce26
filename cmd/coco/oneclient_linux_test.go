package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/rolling"
)

// burner is init code that recovers a signature again and again until its gas is used up.
func burner(t *testing.T) []byte {
	t.Helper()
	key, err := crypto.HexToECDSA(strings.Repeat("01", 32))
	if err != nil {
		t.Fatal(err)
	}
	hash := crypto.Keccak256([]byte("overload"))
	sig, err := crypto.Sign(hash, key)
	if err != nil {
		t.Fatal(err)
	}
	var code []byte
	store := func(word []byte, at byte) {
		code = append(code, 0x7f) // PUSH32
		code = append(code, common.LeftPadBytes(word, 32)...)
		code = append(code, 0x60, at, 0x52) // PUSH1 at MSTORE
	}
	store(hash, 0)
	store([]byte{sig[64] + 27}, 32)
	store(sig[:32], 64)
	store(sig[32:64], 96)
	loop := byte(len(code))
	code = append(code, 0x5b)                                             // JUMPDEST
	code = append(code, 0x60, 32, 0x60, 128, 0x60, 128, 0x60, 0, 0x60, 1) // return 32 bytes to 128, of 128 from 0, by ecrecover
	return append(code, 0x5a, 0xfa, 0x50, 0x60, loop, 0x56)               // GAS STATICCALL POP, and again
}

// user sends an account's transactions through one node's proxy.
type user struct {
	t      *testing.T
	info   localnet.Info
	url    string
	key    string
	signer types.Signer
}

func newUser(t *testing.T, info localnet.Info, node, account int) *user {
	return &user{
		t: t, info: info, url: info.Nodes[node].HTTP, key: info.Accounts[account].Key,
		signer: types.LatestSignerForChainID(new(big.Int).SetUint64(info.ChainID)),
	}
}

func (u *user) sign(tx types.TxData) string {
	u.t.Helper()
	key, err := crypto.HexToECDSA(strings.TrimPrefix(u.key, "0x"))
	if err != nil {
		u.t.Fatal(err)
	}
	signed, err := types.SignNewTx(key, u.signer, tx)
	if err != nil {
		u.t.Fatal(err)
	}
	raw, err := signed.MarshalBinary()
	if err != nil {
		u.t.Fatal(err)
	}
	return hexutil.Encode(raw)
}

// call makes one JSON-RPC call.
func (u *user) call(ctx context.Context, method string, params ...any) error {
	return u.ask(ctx, nil, method, params...)
}

// ask makes one JSON-RPC call and reads its result.
func (u *user) ask(ctx context.Context, result any, method string, params ...any) error {
	return ask(ctx, u.url+"/rpc", result, method, params...)
}

// connectAs returns a client of a node under the identity of a member's user.
func connectAs(t *testing.T, info localnet.Info, name string, n localnet.Node) *client.Client {
	t.Helper()
	m, err := info.Member(name)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := identity.Dir(m.Dir).UserCertificate()
	if err != nil {
		t.Fatal(err)
	}
	trust, err := info.Trust(verifiers())
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Addr: n.Client, Certificate: cert, Policy: trust})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// watched is how long the requests of one kind took.
type watched struct {
	name string
	do   func(ctx context.Context, n int) error
	took []time.Duration
}

// watch makes requests one after the other until ctx ends, each with ten seconds.
func (w *watched) watch(ctx context.Context, t *testing.T) {
	for n := 0; ctx.Err() == nil; n++ {
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		began := time.Now()
		if err := w.do(one, n); err != nil {
			t.Errorf("%s %d, after %v: %v", w.name, n, time.Since(began), err)
		}
		w.took = append(w.took, time.Since(began))
		cancel()
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *watched) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(w.took))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// granted is the part of a processor's time that this machine gives to a thread which wants all of it. Other programs
// make it less than 1.
func granted(t *testing.T) float64 {
	t.Helper()
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(1, &u); err != nil { // RUSAGE_THREAD
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began, used := time.Now(), cpu()
	for time.Since(began) < 500*time.Millisecond {
		crypto.Keccak256(make([]byte, 1<<10))
	}
	return float64(cpu()-used) / float64(time.Since(began))
}

// TestOneClientDoesNotStopANetwork has one organisation send 400 transactions that recover signatures until 16.7 M gas are
// used up, in one JSON-RPC batch, and hundreds of such eth_calls beside it. Meanwhile others write keys, send
// transactions, call contracts and vote, and a node restarts. Three nodes are three processes.
func TestOneClientDoesNotStopANetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and loads this machine for half a minute")
	}
	const lasts = 20 * time.Second
	dir := t.TempDir()
	s := startNetwork(t, dir, nil)
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	share := granted(t) // before the attack
	info := s.Info()
	attacker, other := newUser(t, info, 0, 0), newUser(t, info, 1, 1)
	code := burner(t)

	var batch []map[string]any
	for n := range 400 {
		raw := attacker.sign(&types.LegacyTx{Nonce: uint64(n), GasPrice: new(big.Int), Gas: 1 << 24, Data: code})
		batch = append(batch, map[string]any{"jsonrpc": "2.0", "id": n, "method": "eth_sendRawTransaction", "params": []any{raw}})
	}
	body, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	bravo, err := (&officer.Access{Verifiers: verifiers(), Flags: network.Flags{Dir: dir}, As: "bravo"}).Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	votes := func(ctx context.Context, n int) error {
		actions, err := action.Parse(fmt.Appendf(nil, "[[actions]]\nkind = \"set\"\nsetting = \"limits.queue\"\nvalue = %d\n", 20_001+n))
		if err != nil {
			return err
		}
		out, err := bravo.Propose(ctx, officer.Terms{Note: "overload", Expires: time.Hour}, actions)
		if err == nil {
			_, err = bravo.Vote(ctx, out.ID, envelope.Withdraw)
		}
		return err
	}
	neighbour := connectAs(t, info, "bravo", info.Nodes[0])
	to := common.Address{1}
	kinds := []*watched{
		{name: "kv PUT", do: func(ctx context.Context, n int) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/app/kv/key-%d", info.Nodes[1].HTTP, n), strings.NewReader("value"))
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
				return fmt.Errorf("%s: %s", resp.Status, text)
			}
			return nil
		}},
		{name: "propose and withdraw", do: votes},
		{name: "a transfer", do: func(ctx context.Context, n int) error {
			return other.call(ctx, "eth_sendRawTransaction", other.sign(&types.LegacyTx{Nonce: uint64(n), GasPrice: new(big.Int), Gas: 21_000, To: &to, Value: big.NewInt(1)}))
		}},
		{name: "eth_call", do: func(ctx context.Context, _ int) error {
			return other.call(ctx, "eth_call", map[string]any{"to": to, "data": "0x"}, "latest")
		}},
		{name: "eth_call where alpha calls", do: func(ctx context.Context, _ int) error {
			_, err := neighbour.RPC(ctx, nil, "eth_call", map[string]any{"to": to, "data": "0x"}, "latest")
			return err
		}},
	}

	var wg sync.WaitGroup
	wg.Go(func() {
		if answer, err := post(ctx, attacker.url+"/rpc", body); ctx.Err() == nil {
			t.Errorf("the attack ended early: %v, %.300s", err, answer)
		}
	})
	executed := func() (n hexutil.Uint64) {
		if err := attacker.ask(t.Context(), &n, "eth_getTransactionCount", info.Accounts[0].Address, "latest"); err != nil {
			t.Error(err)
		}
		return n
	}
	for executed() == 0 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	var burnt atomic.Int64 // eth_calls of the attacker
	for range 300 {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := attacker.call(ctx, "eth_call", map[string]any{"data": hexutil.Encode(code), "gas": "0x1000000"}, "latest")
				if err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "out of gas") {
					burnt.Add(1)
				}
			}
		})
	}
	for _, k := range kinds {
		wg.Go(func() { k.watch(ctx, t) })
	}
	began := time.Now()
	restart := rolling.Restart(t.Context(), dir, []string{info.Nodes[2].Name}, verifiers(), func(localnet.Step) {})
	restarted := time.Since(began)
	wg.Wait()

	bound := time.Duration(float64(time.Second) / min(1, share))
	t.Logf("a thread that wants a whole processor got %.0f %% of one: the bound is %v", 100*share, bound)
	for _, k := range kinds {
		t.Logf("%-26s %4d times: median %v, p99 %v", k.name, len(k.took), k.quantile(0.5), k.quantile(0.99))
		if len(k.took) < 10 || k.quantile(0.99) > bound {
			t.Errorf("%s under overload by another organisation: %d times, p99 %v, expected below %v", k.name, len(k.took), k.quantile(0.99), bound)
		}
	}
	t.Logf("a restart of %s took %v", info.Nodes[2].Name, restarted)
	count := executed()
	t.Logf("meanwhile %d transactions of the attacker were executed, and %d of its eth_calls", count, burnt.Load())
	if count < 10 || burnt.Load() < 10 {
		t.Error("the network was not attacked")
	}
	if restart != nil || restarted > 10*bound {
		t.Errorf("a restart took %v: %v", restarted, restart)
	}
}
