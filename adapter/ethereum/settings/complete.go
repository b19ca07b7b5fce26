package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
)

// The defaults that the page of a new network is completed with. They never change: see
// TestDefaultsAndForksArePartOfTheFormat.
const (
	defaultGasLimit     = 100_000_000
	defaultCallGasLimit = 50_000_000
	defaultMaxTxBytes   = 128 << 10
	defaultGapWait      = 10 * time.Second
	defaultGapPerSender = 1024
	defaultGapTotal     = 16384
	defaultGapBytes     = 64 << 20

	defaultTimestamps         = Real
	defaultConfirmationBlocks = 12
	defaultVisibility         = Closed
)

// added are the settings that later releases have added. A stored section without one is of before, and what its absence
// means is what the program did then: real timestamps, no blocks without transactions, blocks of what waits, and all callers saw all.
var added = []string{
	"upgrades",
	"timestamps", "confirmation_blocks", "visibility", "auditors", "counts", "policies",
	"empty_blocks", "block_transactions", "block_bytes", "block_wait_ms", "block_interval_ms", "authenticated_calls",
}

// defaults are what the page may leave out, by name, but for those of rpc.
func defaults(pinned bool) map[string]json.RawMessage {
	all := map[string]json.RawMessage{
		"fork": jsonText(defaultFork), "gas_limit": jsonNumber(defaultGasLimit), "coinbase": jsonText(common.Address{}.Hex()),
		"call_gas_limit": jsonNumber(defaultCallGasLimit), "max_tx_bytes": jsonNumber(defaultMaxTxBytes), "min_gas_price": jsonNumber(0),
		"allow_unprotected": strconv.AppendBool(nil, pinned), "gap_wait_ms": jsonNumber(uint64(defaultGapWait.Milliseconds())),
		"gap_per_sender": jsonNumber(defaultGapPerSender), "gap_total": jsonNumber(defaultGapTotal), "gap_bytes": jsonNumber(defaultGapBytes),
		"alloc": json.RawMessage("{}"), "rpc": json.RawMessage("{}"),
		"timestamps": jsonText(string(defaultTimestamps)), "confirmation_blocks": jsonNumber(defaultConfirmationBlocks),
		"empty_blocks": json.RawMessage("false"), "block_transactions": jsonNumber(maxBlockTransactions), "block_bytes": jsonNumber(maxBlockBytes),
		"authenticated_calls": json.RawMessage("[]"), "block_wait_ms": jsonNumber(0), "block_interval_ms": jsonNumber(0),
		"visibility": jsonText(string(defaultVisibility)), "auditors": json.RawMessage("[]"), "counts": json.RawMessage("false"), "policies": json.RawMessage("{}"),
		"upgrades": json.RawMessage("{}"),
	}
	if pinned { // it repeats what the mainnet shows everybody
		all["confirmation_blocks"], all["visibility"] = jsonNumber(0), jsonText(string(Network))
		for _, name := range ofTheBlock {
			delete(all, name)
		}
	}
	return all
}

// ofTheBlock are the settings that a pinned network does not have: its block says them.
var ofTheBlock = []string{"fork", "gas_limit", "coinbase", "upgrades"}

func jsonNumber(n uint64) json.RawMessage { return strconv.AppendUint(nil, n, 10) }

func jsonText(s string) json.RawMessage { return strconv.AppendQuote(nil, s) }

// Complete returns the settings of a page with a value for each that the page leaves out, in canonical JSON. An account
// of alloc and the pinned block are left as they are: what they do not mention is zero, whatever the program. Errors
// are coco.ErrInvalid and name the field.
func Complete(page []byte) ([]byte, error) {
	out, err := complete(page)
	if err != nil {
		return nil, fmt.Errorf("%w: ethereum settings: %w", coco.ErrInvalid, err)
	}
	in, err := Parse(out)
	if err != nil {
		return nil, err
	}
	if err := compile(in.Policies); err != nil {
		return nil, fmt.Errorf("ethereum settings: policies.%w", err)
	}
	return out, nil
}

func complete(page []byte) ([]byte, error) {
	all, err := object(page)
	if err != nil {
		return nil, err
	}
	if err := expandPredeploys(all); err != nil {
		return nil, err
	}
	if err := expandSystem(all); err != nil {
		return nil, err
	}
	fill(all, defaults(all["pin"] != nil))
	rpc, err := object(all["rpc"])
	if err != nil {
		return nil, fmt.Errorf("rpc: %w", err)
	}
	for name, v := range rpc {
		if string(v) == "0" { // on a page, another word for the default
			delete(rpc, name)
		}
	}
	fill(rpc, rpcDefaults())
	if all["rpc"], err = json.Marshal(rpc); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// object reads the fields of one JSON object. A null counts as absent.
func object(b []byte) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	if all == nil {
		return nil, errors.New("expected an object, found null")
	}
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	return all, nil
}

func fill(all, by map[string]json.RawMessage) {
	for name, v := range by {
		if all[name] == nil {
			all[name] = v
		}
	}
}

// checkComplete says which setting is missing, or is not written in small letters, which Go would read all the same.
func checkComplete(b []byte) error {
	all, err := object(b)
	if err != nil {
		return err
	}
	names := slices.Concat([]string{"chain_id", "development", "links", "pin", "imported"}, ofTheBlock)
	if err := checkNames("", all, defaults(all["pin"] != nil), names); err != nil {
		return err
	}
	rpc, err := object(all["rpc"])
	if err != nil {
		return fmt.Errorf("rpc: %w", err)
	}
	return checkNames("rpc.", rpc, rpcDefaults(), nil)
}

func checkNames(path string, all, required map[string]json.RawMessage, others []string) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if required[name] == nil && !slices.Contains(others, name) {
			return fmt.Errorf("unknown field %q", path+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(required)) {
		if all[name] == nil && !slices.Contains(added, name) {
			return fmt.Errorf("%s%s is missing: what is stored must be complete, and no default of this program is filled in", path, name)
		}
	}
	return nil
}
