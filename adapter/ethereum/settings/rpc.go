package settings

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco"
)

// RPC bound what one caller can ask of a node's JSON-RPC. Zero means the default.
type RPC struct {
	// BodyBytes is the size of a request, over HTTP or as a message of a WebSocket.
	BodyBytes int `json:"body_bytes,omitempty"`
	// BatchItems is the number of calls in a JSON-RPC batch.
	BatchItems int `json:"batch_items,omitempty"`
	// ReplyBytes is the size of the replies to one batch, and of one reply with logs.
	ReplyBytes int `json:"reply_bytes,omitempty"`
	// CallTimeoutMS ends eth_call, eth_estimateGas and eth_getLogs, in milliseconds. No request spends
	// more on reading the ledger for what has left memory.
	CallTimeoutMS int `json:"call_timeout_ms,omitempty"`
	// LogBlocks is the number of blocks that eth_getLogs looks through.
	LogBlocks int `json:"log_blocks,omitempty"`
	// LogResults is the number of logs that eth_getLogs returns.
	LogResults int `json:"log_results,omitempty"`
	// ArchiveBlocks is how many of these blocks may be such that have left memory.
	ArchiveBlocks int `json:"archive_blocks,omitempty"`
	// MaxFilters is the number of polled filters that a node keeps for one caller.
	MaxFilters int `json:"max_filters,omitempty"`
	// MaxSubscriptions is the number of subscriptions of one WebSocket connection.
	MaxSubscriptions int `json:"max_subscriptions,omitempty"`
	// ConnectionCalls is the number of calls that one WebSocket connection has under way; more
	// wait on the connection.
	ConnectionCalls int `json:"connection_calls,omitempty"`
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

// WithDefaults fills what is not set.
func (r RPC) WithDefaults() RPC {
	for _, f := range r.fields() {
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
	return r
}

// Validate refuses settings that cannot be meant.
func (r RPC) Validate() error {
	for _, f := range r.fields() {
		if *f.value < 0 || *f.value > 1<<30 {
			return fmt.Errorf("%w: adapters.ethereum.rpc.%s is %d: expected 0 (the default, %d) to %d", coco.ErrInvalid, f.name, *f.value, f.standard, 1<<30)
		}
	}
	return nil
}

func (r RPC) CallTimeout() time.Duration {
	return time.Duration(r.CallTimeoutMS) * time.Millisecond
}
