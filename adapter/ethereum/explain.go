package ethereum

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/calls"
	"github.com/cocoframework/coco/adapter/ethereum/linking"
	"github.com/cocoframework/coco/adapter/ethereum/policies"
	"github.com/cocoframework/coco/adapter/ethereum/sessions"
	"github.com/cocoframework/coco/wire"
)

// Explain decodes what the receipt of a transaction claims, as rows.EncodeClaims made it; nil if the claims are of another ledger.
// They name the transaction by its hash alone. content, unless nil, is the signed transaction, as bytes or in hexadecimal: it is checked
// against that hash, and adds who sent it to whom. The error is coco.ErrVerify if it is another one.
func (ethereum) Explain(claims, content []byte) ([]adapter.Fact, error) {
	if c, ok := linking.DecodeClaim(claims); ok {
		facts := []adapter.Fact{{Name: "kind", Value: c.Kind}, {Name: "address", Value: c.Address.Hex()}, {Name: "organisation", Value: c.Actor.String()}}
		if c.User != "" {
			facts = append(facts, adapter.Fact{Name: "user", Value: c.User})
		}
		return facts, nil
	}
	if c, ok := sessions.DecodeClaim(claims); ok {
		return []adapter.Fact{{Name: "kind", Value: c.Kind}, {Name: "session", Value: c.ID.String()}, {Name: "address", Value: c.Address.Hex()}, {Name: "organisation", Value: c.Actor.String()}, {Name: "user", Value: c.User}}, nil
	}
	if c, ok := policies.DecodeClaim(claims); ok {
		return policyFacts(&c), nil
	}
	var is struct {
		Hash         common.Hash
		Block, Index uint64
		Receipt      []byte
	}
	var r types.Receipt
	if rlp.DecodeBytes(claims, &is) != nil || r.UnmarshalBinary(is.Receipt) != nil {
		return nil, nil
	}
	status := "failed"
	if r.Status == types.ReceiptStatusSuccessful {
		status = "success"
	}
	facts := []adapter.Fact{
		{Name: "hash", Value: is.Hash.Hex()},
		{Name: "block", Value: strconv.FormatUint(is.Block, 10)},
		{Name: "index", Value: strconv.FormatUint(is.Index, 10)},
		{Name: "type", Value: strconv.Itoa(int(r.Type))},
		{Name: "status", Value: status},
		{Name: "cumulative_gas", Value: strconv.FormatUint(r.CumulativeGasUsed, 10)},
	}
	for _, l := range r.Logs {
		entry := adapter.Fact{Name: "log", Value: l.Address.Hex()}
		for _, topic := range l.Topics {
			entry.Facts = append(entry.Facts, adapter.Fact{Name: "topic", Value: topic.Hex()})
		}
		facts = append(facts, adapter.Fact{Name: entry.Name, Value: entry.Value, Facts: append(entry.Facts, adapter.Fact{Name: "data", Value: "0x" + hex.EncodeToString(l.Data)})})
	}
	if content == nil {
		return facts, nil
	}
	sent, err := senderOf(content, is.Hash)
	return append(facts, sent...), err
}

// policyFacts are what the receipt of a change of a contract's policy proves.
func policyFacts(c *policies.Claim) []adapter.Fact {
	facts := []adapter.Fact{
		{Name: "kind", Value: c.Kind}, {Name: "contract", Value: c.Contract.Hex()}, {Name: "deployer", Value: c.Deployer.Hex()}, {Name: "organisation", Value: c.Actor.String()},
	}
	if c.User != "" {
		facts = append(facts, adapter.Fact{Name: "user", Value: c.User})
	}
	if c.Kind == policies.KindAttach {
		facts = append(facts, adapter.Fact{Name: "policy_digest", Value: c.Digest.Hex()})
	}
	return facts
}

// senderOf reads a signed transaction that must have a hash.
func senderOf(content []byte, hash common.Hash) ([]adapter.Fact, error) {
	if digits, isHex := bytes.CutPrefix(bytes.TrimSpace(content), []byte("0x")); isHex {
		raw, err := hex.DecodeString(string(digits))
		if err != nil {
			return nil, fmt.Errorf("%w: a transaction in hexadecimal: %w", coco.ErrInvalid, err)
		}
		content = raw
	}
	var tx types.Transaction
	if err := tx.UnmarshalBinary(content); err != nil {
		return nil, fmt.Errorf("%w: expected the signed transaction, as bytes or in hexadecimal: %w", coco.ErrInvalid, err)
	}
	if tx.Hash() != hash {
		return nil, fmt.Errorf("%w: the transaction has the hash %s, and the receipt is of %s", coco.ErrVerify, tx.Hash(), hash)
	}
	chain := tx.ChainId()
	if !tx.Protected() {
		chain = nil
	}
	calls.Own(&tx)
	from, err := types.Sender(types.LatestSignerForChainID(chain), &tx)
	if err != nil {
		return nil, fmt.Errorf("%w: who signed the transaction: %w", coco.ErrVerify, err)
	}
	facts := []adapter.Fact{{Name: "from", Value: from.Hex()}}
	if calls.Marked(&tx) {
		facts = append(facts, adapter.Fact{Name: "signature", Value: "none: the caller's credential stood for it"})
	}
	if to := tx.To(); to != nil {
		facts = append(facts, adapter.Fact{Name: "to", Value: to.Hex()})
	} else {
		facts = append(facts, adapter.Fact{Name: "to", Value: "none: it creates a contract"})
	}
	return append(facts, adapter.Fact{Name: "value", Value: tx.Value().String()}, adapter.Fact{Name: "nonce", Value: strconv.FormatUint(tx.Nonce(), 10)}), nil
}

// Finding returns how a transaction is found by its hash.
func (ethereum) Finding() adapter.Finding {
	return adapter.Finding{Flag: "hash", Usage: "the `hash` of an Ethereum transaction", Find: findHash}
}

// findHash asks for the transaction's receipt: the answer's header names the transaction of the ledger.
func findHash(ctx context.Context, text string, ask adapter.Ask) (coco.TxID, error) {
	var hash common.Hash
	if err := hash.UnmarshalText([]byte(text)); err != nil {
		return coco.TxID{}, fmt.Errorf("%w: hash %q: %w", coco.ErrInvalid, text, err)
	}
	answer, header, err := ask(ctx, "/rpc", []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":["`+hash.Hex()+`"]}`))
	if err != nil {
		return coco.TxID{}, err
	}
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  *refusal        `json:"error"`
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return coco.TxID{}, fmt.Errorf("%w: eth_getTransactionReceipt: %w", coco.ErrCorrupt, err)
	}
	switch id := header.Get(wire.HeaderTxID); {
	case reply.Error != nil:
		return coco.TxID{}, fmt.Errorf("eth_getTransactionReceipt: %w", reply.Error.kind())
	case string(reply.Result) == "null":
		return coco.TxID{}, fmt.Errorf("%w: no transaction with the hash %s is committed, as far as this node knows", coco.ErrNotFound, hash)
	case id == "":
		return coco.TxID{}, fmt.Errorf("%w: the node names no transaction in the header %s: it runs an earlier release: ask another node, or give the transaction's id", coco.ErrNotFound, wire.HeaderTxID)
	default:
		return coco.ParseTxID(id)
	}
}

// refusal is the error of a JSON-RPC reply.
type refusal struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// again reports whether the node says that another try may mend it.
func (r *refusal) again() bool {
	var data struct {
		RetryAfter int `json:"retryAfter"` // seconds
	}
	return json.Unmarshal(r.Data, &data) == nil && data.RetryAfter > 0 // data of another form says nothing of it
}

// kind is the error of coco's kinds that a refusal stands for, by its code; docs/json-rpc.md lists them. What is neither busy, nor being prepared, nor
// elsewhere, nor the caller's fault is refused for good, and has no kind.
func (r *refusal) kind() error {
	switch {
	case r.Code == -32005:
		return fmt.Errorf("%w: %s", coco.ErrBusy, r.Message)
	case r.Code == -32002 && r.again():
		return fmt.Errorf("%w: %s", coco.ErrPending, r.Message)
	case r.Code == -32002:
		return fmt.Errorf("%w: %s", coco.ErrMissing, r.Message)
	case r.Code <= -32600 && r.Code >= -32602, r.Code == -32700:
		return fmt.Errorf("%w: the node does not take the request: %s (JSON-RPC error %d)", coco.ErrInvalid, r.Message, r.Code)
	}
	return fmt.Errorf("the node refuses it: %s (JSON-RPC error %d)", r.Message, r.Code)
}
