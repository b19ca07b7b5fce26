package main

import (
	"encoding/json"
	"errors"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/internal/localnet"
)

// A DApp asks for an event's whole history. Here ten blocks that have left memory may be looked into, and there are hundreds;
// those that have the event are few. The same holds after a restart, from the index's files and what is made again.
func TestLogsFromBlockZeroAreFoundOnALongChain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := filepath.Join(t.TempDir(), "net")
	up := func(args ...string) localnet.Info {
		t.Helper()
		if code, out := runCoco(t, filepath.Dir(dir), append([]string{"up", "--dir", dir, "--detach", "-o", "json"}, args...)...); code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		info, err := localnet.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	down := func() {
		t.Helper()
		if code, out := runCoco(t, filepath.Dir(dir), "down", "--dir", dir); code != 0 {
			t.Errorf("exit code %d: %s", code, out)
		}
	}
	info := up("--members", "1", "--set", "adapters.ethereum.rpc.archive_blocks=10", "--set", "ledger.chunk_bytes=65536")
	defer func() { down() }()
	u := newUser(t, info, 0, 0)
	nonce := uint64(0)
	send := func(to *common.Address, data []byte) {
		t.Helper()
		raw := u.sign(&types.LegacyTx{Nonce: nonce, GasPrice: new(big.Int), Gas: 200_000, To: to, Data: data})
		if err := u.call(t.Context(), "eth_sendRawTransaction", raw); err != nil {
			t.Fatal(err)
		}
		nonce++
	}
	// A contract that logs its input under topic 42.
	send(nil, common.FromHex("600c80600b6000396000f3366000803760"+"2a366000a100"))
	key, err := crypto.HexToECDSA(strings.TrimPrefix(u.key, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	contract := crypto.CreateAddress(crypto.PubkeyToAddress(key.PublicKey), 0)
	for i := range 400 {
		if i%80 == 40 {
			send(&contract, []byte{byte(i)})
		} else {
			send(&common.Address{1}, nil)
		}
	}
	check := func() {
		t.Helper()
		var logs []types.Log
		query := map[string]any{"fromBlock": "0x0", "toBlock": "latest", "address": contract, "topics": []any{common.BigToHash(big.NewInt(42))}}
		var err error
		for range 100 { // the index may be behind
			if err = u.ask(t.Context(), &logs, "eth_getLogs", query); err == nil || !strings.Contains(err.Error(), "being prepared") {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil || len(logs) != 5 {
			t.Fatalf("%d logs: %v", len(logs), err)
		}
		for i, l := range logs {
			if want := byte(80*i + 40); l.Address != contract || len(l.Data) != 1 || l.Data[0] != want {
				t.Errorf("log %d is %x, expected %x", i, l.Data, want)
			}
		}
		// A query without a condition meets all five blocks, and no others.
		if err := u.ask(t.Context(), &logs, "eth_getLogs", map[string]any{"fromBlock": "0x0", "toBlock": "latest"}); err != nil || len(logs) != 5 {
			t.Errorf("%d logs of all contracts: %v", len(logs), err)
		}
	}
	check()
	down()
	info = up()
	u.url = info.Nodes[0].HTTP
	check()
	var none json.RawMessage
	if err := u.ask(t.Context(), &none, "eth_getLogs", map[string]any{"fromBlock": "0x0", "toBlock": "latest", "address": common.Address{9}}); err != nil || string(none) != "[]" {
		t.Errorf("a contract without logs: %s, %v", none, errors.Join(err))
	}
}
