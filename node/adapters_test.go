package node_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/adapter/setting"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/node"
)

// both is a network of all adapters, in which one Ethereum account has funds.
type both struct {
	*network
	key *ecdsa.PrivateKey
}

func (n *network) both() *both {
	n.t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("an account")))
	if err != nil {
		n.t.Fatal(err)
	}
	adapters := []adapter.Adapter{ethereum.New(), kv.Adapter{}}
	n.Alter = func(c *node.Config) { c.Adapters = adapters }
	c := n.Constitution.Draft()
	c.Adapters = map[string]map[string]any{
		"kv": {"format": 1, "audiences": false},
		"ethereum": {"chain_id": 7, "fork": "prague", "visibility": "network", "alloc": map[string]any{
			crypto.PubkeyToAddress(key.PublicKey).Hex(): map[string]any{"balance": "1000000000000000000000"},
		}},
	}
	if err := c.CompleteNew(adapter.Completer(adapters)); err != nil {
		n.t.Fatal(err)
	}
	n.Constitution = c
	return &both{n, key}
}

// rpc asks a node, and returns the result or the error, and the status.
func (b *both) rpc(i int, body string) (result string, failed error) {
	b.t.Helper()
	resp, err := b.client(i, i).Post("https://node/rpc", "application/json", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var reply struct{ Result, Error json.RawMessage }
	if err := json.Unmarshal(text, &reply); err != nil || reply.Error != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%d %s", resp.StatusCode, text)
	}
	return string(reply.Result), nil
}

func (b *both) call(i int, method, params string) (string, error) {
	return b.rpc(i, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params))
}

// nonce is the account's next.
func (b *both) nonce(i int) uint64 {
	b.t.Helper()
	text, err := b.call(i, "eth_getTransactionCount", fmt.Sprintf(`[%q,"latest"]`, crypto.PubkeyToAddress(b.key.PublicKey)))
	if err != nil {
		b.t.Fatal(err)
	}
	n, err := hexutil.DecodeUint64(strings.Trim(text, `"`))
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// send sends a transaction to a node: ahead of the account's nonce by so many, with so many bytes of init code that end at once, or
// that make a log, for a chain or for none.
func (b *both) send(i int, ahead uint64, code []byte, signer types.Signer) error {
	b.t.Helper()
	tx, err := types.SignNewTx(b.key, signer, &types.LegacyTx{Nonce: b.nonce(i) + ahead, GasPrice: new(big.Int), Gas: 100_000, Data: code})
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = b.call(i, "eth_sendRawTransaction", fmt.Sprintf(`[%q]`, hexutil.Encode(raw)))
	return err
}

// together sends so many transactions in one request, and returns in how many blocks they are and how long that took.
func (b *both) together(i, n int) (blocks hexutil.Uint64, took time.Duration, failed error) {
	b.t.Helper()
	first, calls := b.nonce(i), make([]string, n)
	before, began := b.newest(i).Number, time.Now()
	for k := range calls {
		tx, err := types.SignNewTx(b.key, ofChain, &types.LegacyTx{Nonce: first + uint64(k), GasPrice: new(big.Int), Gas: 21_000, To: new(common.Address)})
		if err != nil {
			b.t.Fatal(err)
		}
		raw, err := tx.MarshalBinary()
		if err != nil {
			b.t.Fatal(err)
		}
		calls[k] = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"eth_sendRawTransaction","params":[%q]}`, k, hexutil.Encode(raw))
	}
	resp, err := b.client(i, i).Post("https://node/rpc", "application/json", strings.NewReader("["+strings.Join(calls, ",")+"]"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var replies []struct{ Result, Error json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&replies); err != nil {
		return 0, 0, err
	}
	for _, r := range replies {
		if r.Error != nil {
			return 0, 0, errors.New(string(r.Error))
		}
	}
	took = time.Since(began)
	for at := before + 1; at <= b.newest(i).Number; at++ {
		text, err := b.call(i, "eth_getBlockTransactionCountByNumber", fmt.Sprintf(`[%q]`, at))
		if err != nil {
			return 0, 0, err
		}
		if text != `"0x0"` {
			blocks++
		}
	}
	return blocks, took, nil
}

var (
	ofChain = types.LatestSignerForChainID(big.NewInt(7))
	ofNone  = types.HomesteadSigner{}
	logging = common.FromHex("60006000a0") // PUSH1 0 PUSH1 0 LOG0
)

// newest is the newest block's header, as a node shows it.
func (b *both) newest(i int) (h struct {
	Number, GasLimit, Timestamp hexutil.Uint64
	Miner                       common.Address
},
) {
	b.t.Helper()
	return b.block(i, "latest")
}

func (b *both) block(i int, at string) (h struct {
	Number, GasLimit, Timestamp hexutil.Uint64
	Miner                       common.Address
},
) {
	b.t.Helper()
	text, err := b.call(i, "eth_getBlockByNumber", fmt.Sprintf(`[%q,false]`, at))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		b.t.Fatal(err)
	}
	return h
}

// vote changes a setting.
func set(name, value string) action.Action {
	return action.Action{Kind: action.Set, Args: action.Args{Setting: name, Value: value}}
}

// elsewhere are settings whose effect is not seen here: time of calls does not pass in virtual time, and connections and the past need more
// than a vote. The tests named change them on a server that runs.
var elsewhere = map[string]string{
	"ethereum.rpc.call_timeout_ms":   "TestATimeoutThatChangesHoldsForTheCallsThatFollow",
	"ethereum.rpc.archive_blocks":    "TestLimitsOfJSONRPCFollowAVote",
	"ethereum.rpc.max_subscriptions": "TestLimitsOfJSONRPCFollowAVote",
	"ethereum.rpc.connection_calls":  "TestLimitsOfJSONRPCFollowAVote",
}

// adapterProbes has each setting of the adapters that a vote may change: another value, and whether it is in force on a node.
func (b *both) adapterProbes() map[string]struct {
	value string
	holds func(i int) error
} {
	fails := func(err error, with string) error {
		if err == nil || !strings.Contains(err.Error(), with) {
			return fmt.Errorf("found %v, expected %q", err, with)
		}
		return nil
	}
	made := func(holds func(i int) bool) func(i int) error { // by a block that follows
		return func(i int) error {
			if err := b.send(i, 0, nil, ofChain); err != nil {
				return err
			}
			if !holds(i) {
				return fmt.Errorf("the newest block is %+v", b.newest(i))
			}
			return nil
		}
	}
	twoLogs := func(with string) func(i int) error {
		return func(i int) error {
			for range 2 {
				if err := b.send(i, 0, logging, ofChain); err != nil {
					return err
				}
			}
			_, err := b.call(i, "eth_getLogs", `[{"fromBlock":"0x0"}]`)
			return fails(err, with)
		}
	}
	type probes = map[string]struct {
		value string
		holds func(i int) error
	}
	inBlocks := func(want hexutil.Uint64) func(i int) error {
		return func(i int) error {
			blocks, _, err := b.together(i, int(want))
			if err == nil && blocks != want {
				err = fmt.Errorf("%d transactions are in %d blocks", want, blocks)
			}
			return err
		}
	}
	gap := func(with string) func(i int) error {
		return func(i int) error { return fails(b.send(i, 5, nil, ofChain), with) }
	}
	return probes{
		"kv.format": {"2", func(i int) error {
			req, err := http.NewRequest(http.MethodPut, "https://node/app/kv/typed", strings.NewReader("x"))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "text/plain")
			resp, err := b.client(i, i).Do(req)
			if err == nil {
				resp.Body.Close()
				resp, err = b.client(i, i).Get("https://node/app/kv/typed")
			}
			if err != nil {
				return err
			}
			resp.Body.Close()
			if found := resp.Header.Get("Content-Type"); found != "text/plain" {
				return fmt.Errorf("a value has the content type %q", found)
			}
			return nil
		}},
		"kv.audiences": {"true", func(i int) error {
			req, err := http.NewRequest(http.MethodPut, "https://node/app/kv/told", strings.NewReader("x"))
			if err != nil {
				return err
			}
			for _, m := range b.Constitution.Members {
				req.Header.Add("X-Coco-Audience", m.Name)
			}
			resp, err := b.client(i, i).Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusNoContent {
				return fmt.Errorf("a write to an audience is answered by %s", resp.Status)
			}
			return nil
		}},
		"kv.prefixes": {`{"ruled/":{"write":[]}}`, func(i int) error {
			_, err := put(b.client(i, i), "ruled/1", "v")
			return fails(err, "403")
		}},
		"kv.resident": {"false", func(i int) error {
			req, err := http.NewRequest(http.MethodPut, "https://node/app/kv/apart", strings.NewReader("x"))
			if err != nil {
				return err
			}
			req.Header.Set("X-Coco-Audience", b.Constitution.Members[i].Name+"; resident")
			resp, err := b.client(i, i).Do(req)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				return err
			}
			return fails(errors.New(string(text)), "setting resident")
		}},
		"kv.max_key_bytes": {"4", func(i int) error {
			_, err := put(b.client(i, i), "12345", "v")
			return fails(err, "400")
		}},
		"kv.max_value_bytes": {"4", func(i int) error {
			_, err := put(b.client(i, i), "k", "12345")
			return fails(err, "413")
		}},
		"kv.max_batch_ops": {"1", func(i int) error {
			const op = `{"op":"delete","key":"YQ=="}`
			resp, err := b.client(i, i).Post("https://node/app/kv", "application/json", strings.NewReader("["+op+","+op+"]"))
			if err != nil {
				return err
			}
			resp.Body.Close()
			return fails(errors.New(resp.Status), "400")
		}},
		"ethereum.gas_limit": {"30000000", made(func(i int) bool { return b.newest(i).GasLimit == 30_000_000 })},
		"ethereum.coinbase":  {`"0x00000000000000000000000000000000000000c0"`, made(func(i int) bool { return b.newest(i).Miner == common.BytesToAddress([]byte{0xc0}) })},
		"ethereum.confirmation_blocks": {"3", made(func(i int) bool {
			n := b.newest(i).Number
			time.Sleep(20 * time.Second)
			return b.newest(i).Number == n+3
		})},
		"ethereum.authenticated_calls": {`["certificate"]`, func(i int) error {
			_, err := b.call(i, "coco_sendCall", `[{"to":"0x00000000000000000000000000000000000000aa"}]`)
			return fails(err, "no address is linked to the caller itself")
		}},
		"ethereum.empty_blocks": {"true", made(func(i int) bool {
			n := b.newest(i).Number
			time.Sleep(20 * time.Second)
			return b.newest(i).Number > n+15 // of which confirmation_blocks are 12
		})},
		"ethereum.block_transactions": {"1", inBlocks(3)},
		"ethereum.block_bytes":        {"1", inBlocks(3)},
		"ethereum.block_wait_ms": {"10000", func(i int) error {
			blocks, took, err := b.together(i, 3)
			if err == nil && (blocks != 1 || took < 10*time.Second || took > 12*time.Second) {
				err = fmt.Errorf("three transactions are in %d blocks after %v", blocks, took)
			}
			return err
		}},
		"ethereum.block_interval_ms": {"10000", func(i int) error {
			for range 2 {
				blocks, took, err := b.together(i, 3)
				if err != nil {
					return err
				}
				if at := b.newest(i).Timestamp; blocks != 1 || at%10 > 1 || took > 12*time.Second {
					return fmt.Errorf("three transactions are in %d blocks after %v, the last one's time is %d", blocks, took, at)
				}
			}
			return nil
		}},
		"ethereum.timestamps": {`"increasing"`, func(i int) error {
			var times []hexutil.Uint64
			for range 3 {
				if err := b.send(i, 0, nil, ofChain); err != nil {
					return err
				}
				times = append(times, b.newest(i).Timestamp)
			}
			if times[0] >= times[1] || times[1] >= times[2] {
				return fmt.Errorf("blocks of one second have the times %v", times)
			}
			return nil
		}},
		"ethereum.visibility": {`"closed"`, func(i int) error {
			if notices := b.status(i).Notice; !strings.Contains(notices, "CLOSED") {
				return fmt.Errorf("the status says %q", notices)
			}
			return nil
		}},
		"ethereum.auditors":          {`["somebody"]`, func(int) error { return nil }}, // who sees what is tested in adapter/ethereum/rpc
		"ethereum.counts":            {"true", func(int) error { return nil }},
		"ethereum.policies":          {`{"0x00000000000000000000000000000000000000aa":{"policy":"question == \"code\""}}`, func(int) error { return nil }},
		"ethereum.upgrades":          {`{"osaka":4000000000}`, func(int) error { return nil }}, // what comes of it is tested in adapter/ethereum/chain
		"ethereum.min_gas_price":     {"7", func(i int) error { return fails(b.send(i, 0, nil, ofChain), "below minimum") }},
		"ethereum.max_tx_bytes":      {"256", func(i int) error { return fails(b.send(i, 0, make([]byte, 300), ofChain), "oversized data") }},
		"ethereum.allow_unprotected": {"true", func(i int) error { return b.send(i, 0, nil, ofNone) }},
		"ethereum.gap_per_sender":    {"0", gap("account limit exceeded")},
		"ethereum.gap_total":         {"0", gap("transactions of 0 bytes wait already")},
		"ethereum.gap_bytes":         {"0", gap("transactions of 0 bytes wait already")},
		"ethereum.gap_wait_ms": {"500", func(i int) error {
			began := time.Now()
			err := b.send(i, 5, nil, ofChain)
			if took := time.Since(began); took > 3*time.Second {
				return fmt.Errorf("a transaction waited for %v", took)
			}
			return fails(err, "nonce too high")
		}},
		"ethereum.call_gas_limit": {"60000", func(i int) error {
			text, err := b.call(i, "eth_call", `[{"to":"0x00000000000000000000000000000000000000aa"},"latest",{"0x00000000000000000000000000000000000000aa":{"code":"0x5a60005260206000f3"}}]`)
			if err != nil {
				return err
			}
			if gas := common.HexToHash(strings.Trim(text, `"`)).Big(); gas.Cmp(big.NewInt(60_000)) > 0 {
				return fmt.Errorf("a call has %v gas", gas)
			}
			return nil
		}},
		"ethereum.rpc.body_bytes": {"2048", func(i int) error {
			_, err := b.rpc(i, strings.Repeat(" ", 3000)+`{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`)
			return fails(err, "413")
		}},
		"ethereum.rpc.batch_items": {"2", func(i int) error {
			const one = `{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`
			_, err := b.rpc(i, "["+one+","+one+","+one+"]")
			return fails(err, "batch too large")
		}},
		"ethereum.rpc.reply_bytes": {"4096", func(i int) error {
			_, err := b.call(i, "eth_call", `[{"to":"0x00000000000000000000000000000000000000aa"},"latest",{"0x00000000000000000000000000000000000000aa":{"code":"0x6120006000f3"}}]`)
			return fails(err, "response too large")
		}},
		"ethereum.rpc.log_blocks":  {"1", twoLogs("more than 1 blocks")},
		"ethereum.rpc.log_results": {"1", twoLogs("more than 1 results")},
		"ethereum.rpc.max_filters": {"1", func(i int) error {
			_, _ = b.call(i, "eth_newFilter", `[{}]`)
			_, err := b.call(i, "eth_newFilter", `[{}]`)
			return fails(err, "more than 1 filters")
		}},
	}
}

// What members vote about an adapter takes effect on every node at once, and so does going back; what no vote changes is refused when it
// is proposed. A setting that is not here was forgotten.
func TestEverySettingOfAnAdapterTakesEffectWithoutARestart(t *testing.T) {
	if testing.Short() {
		t.Skip("it changes every setting on each node of a network")
	}
	for _, a := range []adapter.Adapter{kv.Adapter{}, ethereum.New()} {
		t.Run(a.Manifest().Name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				b := n.both()
				n.governs()
				n.open()
				probes := b.adapterProbes()
				for _, s := range slices.SortedFunc(slices.Values(a.Settings()), func(x, y setting.Setting) int { return strings.Compare(x.Name, y.Name) }) {
					name := a.Manifest().Name + "." + s.Name
					p, ok := probes[name]
					if s.Fixed != "" {
						if status := n.refusedSetting("adapters." + name); status != http.StatusBadRequest || ok {
							t.Errorf("a vote about %s is answered %d, expected that it is refused", name, status)
						}
						continue
					}
					if !ok && elsewhere[name] == "" {
						t.Errorf("%s has no probe", name)
					}
					if !ok {
						p.value = "50"
					}
					before := s.Default
					switch name { // as both has it
					case "ethereum.visibility":
						before = `"network"`
					case "kv.audiences":
						before = "false"
					}
					n.decide(set("adapters."+name, p.value))
					for i := range n.Members {
						time.Sleep(time.Second) // until each node has applied the vote
						if ok {
							if err := p.holds(i); err != nil {
								t.Errorf("%s, on node %d: %v", name, i, err)
							}
						}
					}
					if !s.Rises {
						n.decide(set("adapters."+name, before))
					}
				}
				n.audit()
			})
		})
	}
}

// A section is in force from its transaction on, whatever way a node has come to it: it was there, it was started again and replays its ledger,
// it has begun with a snapshot, or with the ledger of a network of which no node was left.
func TestSettingsAreThoseThatTheLedgerHasThen(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a network several times")
	}
	simulate(t, 3, func(t *testing.T, n *network) {
		b := n.both()
		n.governs()
		n.frequent()
		n.open()
		service := n.serviceCertificate().Raw
		join := func(other int) func(*node.Config) { // a network whose constitution is another one by now
			return func(c *node.Config) { n.Join(other)(c); c.Service = service }
		}
		if err := b.send(0, 0, nil, ofChain); err != nil {
			t.Fatal(err)
		}
		before := b.newest(0)
		if err := b.send(1, 0, nil, ofNone); err == nil {
			t.Fatal("a transaction for no chain is taken before the vote")
		}
		n.decide(set("adapters.ethereum.gas_limit", "30000000"), set("adapters.ethereum.allow_unprotected", "true"), set("adapters.kv.max_key_bytes", "200"))
		n.busy(5 * time.Second) // snapshots hold the vote
		shows := func(i int) {
			t.Helper()
			if err := b.send(i, 0, nil, ofNone); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
			if h := b.newest(i); h.GasLimit != 30_000_000 {
				t.Errorf("node %d makes or shows the block %+v", i, h)
			}
			if h := b.block(i, hexutil.EncodeUint64(uint64(before.Number))); h.GasLimit != before.GasLimit {
				t.Errorf("node %d shows the block before the vote as %+v, expected %+v", i, h, before)
			}
			if _, err := put(n.client(i, i), strings.Repeat("k", 201), "v"); err == nil || !strings.Contains(err.Error(), "400") {
				t.Errorf("node %d puts a long key: %v", i, err)
			}
		}
		lead := func(i int) { // by ending those that lead
			t.Helper()
			for l := n.leader(); l != i; l = n.leader() {
				_ = n.Halt(l)
				n.waitReady(n.Start(l, join(i)))
				time.Sleep(5 * time.Second)
			}
		}
		_ = n.Halt(1) // it replays its ledger
		n.waitReady(n.Start(1, join(0)))
		time.Sleep(3 * time.Second)
		shows(1)
		lead(1)
		shows(1)

		_ = n.Halt(2) // it has lost its disk, and begins with a snapshot
		n.World.SetFiles(hostName(2), nil)
		n.waitReady(n.Start(2, join(1)))
		time.Sleep(10 * time.Second)
		shows(2)
		lead(2)
		shows(2)
		n.audit()

		for i := range n.Members {
			n.Crash(i)
		}
		for i := range n.Members {
			n.World.Restart(hostName(i))
		}
		best := n.longest()
		n.waitReady(n.Start(best, func(c *node.Config) { n.Recover(c); c.Service = service }))
		shows(best)
		for i := range n.Members {
			if i != best {
				n.waitReady(n.Start(i, join(best)))
			}
		}
		n.audit()
		n.sameState(0, 1, 2)
	})
}

// A vote that a leader has executed and that is never committed leaves nothing behind: the leader goes by the settings before it, and so does
// the next one.
func TestSettingsOfAVoteThatIsRolledBackAreNotInForce(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		time.Sleep(5 * time.Second)
		l := n.leader()
		out := n.propose(n.Members[0], l, time.Hour, set("adapters.kv.max_key_bytes", "4"))
		if _, err := n.vote(n.Members[0], l, out.ID, envelope.Yes); err != nil {
			t.Fatal(err)
		}
		for i := range n.Members {
			if i != l {
				n.World.Partition(hostName(l), hostName(i))
			}
		}
		if _, err := n.vote(n.Members[1], l, out.ID, envelope.Yes); err == nil {
			t.Fatal("a vote is committed without a majority")
		}
		for i := range n.Members {
			if i != l {
				n.World.Heal(hostName(l), hostName(i))
			}
		}
		time.Sleep(20 * time.Second)
		for i := range n.Members { // each judges before it asks the leader
			if _, err := put(n.client(i, i), "12345", "v"); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
	})
}
