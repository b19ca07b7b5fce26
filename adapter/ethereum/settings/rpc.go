package settings

import (
	"encoding/json"
	"fmt"
	"time"
)

// RPC bound what one caller can ask of a node's JSON-RPC.
type RPC struct {
	// BodyBytes is the size of a request, over HTTP or as a message of a WebSocket.
	BodyBytes int `json:"body_bytes"`
	// BatchItems is the number of calls in a JSON-RPC batch.
	BatchItems int `json:"batch_items"`
	// ReplyBytes is the size of the replies to one batch, and of one reply with logs.
	ReplyBytes int `json:"reply_bytes"`
	// CallTimeoutMS ends eth_call, eth_estimateGas and eth_getLogs, in milliseconds. No request spends
	// more on reading the ledger for what has left memory.
	CallTimeoutMS int `json:"call_timeout_ms"`
	// LogBlocks is the number of blocks that eth_getLogs looks into. The index rules others out.
	LogBlocks int `json:"log_blocks"`
	// LogResults is the number of logs that eth_getLogs returns.
	LogResults int `json:"log_results"`
	// ArchiveBlocks is how many of these blocks may be such that have left memory.
	ArchiveBlocks int `json:"archive_blocks"`
	// MaxFilters is the number of polled filters that a node keeps for one caller.
	MaxFilters int `json:"max_filters"`
	// MaxSubscriptions is the number of subscriptions of one WebSocket connection.
	MaxSubscriptions int `json:"max_subscriptions"`
	// ConnectionCalls is the number of calls that one WebSocket connection has under way; more
	// wait on the connection.
	ConnectionCalls int `json:"connection_calls"`
}

// defaultRPC follow go-ethereum's where it has a limit. Its own default for the length of a batch
// is 1,000; a batch of transactions is the cheapest way in, so the bound is wider here.
var defaultRPC = RPC{
	BodyBytes:        5 << 20,
	BatchItems:       5000,
	ReplyBytes:       25 << 20,
	CallTimeoutMS:    5000,
	LogBlocks:        100_000,
	LogResults:       10_000,
	ArchiveBlocks:    5000,
	MaxFilters:       256,
	MaxSubscriptions: 256,
	ConnectionCalls:  512,
}

// fields pairs each setting with its default and its name.
func (r *RPC) fields() []rpcField {
	return []rpcField{
		{&r.BodyBytes, defaultRPC.BodyBytes, "body_bytes"},
		{&r.BatchItems, defaultRPC.BatchItems, "batch_items"},
		{&r.ReplyBytes, defaultRPC.ReplyBytes, "reply_bytes"},
		{&r.CallTimeoutMS, defaultRPC.CallTimeoutMS, "call_timeout_ms"},
		{&r.LogBlocks, defaultRPC.LogBlocks, "log_blocks"},
		{&r.LogResults, defaultRPC.LogResults, "log_results"},
		{&r.ArchiveBlocks, defaultRPC.ArchiveBlocks, "archive_blocks"},
		{&r.MaxFilters, defaultRPC.MaxFilters, "max_filters"},
		{&r.MaxSubscriptions, defaultRPC.MaxSubscriptions, "max_subscriptions"},
		{&r.ConnectionCalls, defaultRPC.ConnectionCalls, "connection_calls"},
	}
}

type rpcField struct {
	value    *int
	standard int
	name     string
}

// rpcDefaults are what a page may leave out, by name.
func rpcDefaults() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, f := range new(RPC).fields() {
		all[f.name] = jsonNumber(uint64(f.standard))
	}
	return all
}

// validate refuses settings that cannot be meant.
func (r RPC) validate() error {
	for _, f := range r.fields() {
		if *f.value < 1 || *f.value > 1<<30 {
			return fmt.Errorf("rpc.%s: expected 1 to %d (on a page 0 is the default, %d), found %d", f.name, 1<<30, f.standard, *f.value)
		}
	}
	return nil
}

func (r RPC) CallTimeout() time.Duration {
	return time.Duration(r.CallTimeoutMS) * time.Millisecond
}
