package extsigner

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// accounts lists the signer's accounts.
func (x *exchange) accounts([]json.RawMessage) (json.RawMessage, error) {
	if x.cfg.API == Clef {
		return x.ask("account_list")
	}
	return x.ask("eth_accounts")
}

// has refuses an address that is none of the signer's accounts.
func (x *exchange) has(address string) error {
	text, err := x.accounts(nil)
	if err != nil {
		return err
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return refuse(codeServer, "the external signer's accounts: expected a list of addresses, found %.200q", text)
	}
	if !slices.ContainsFunc(list, func(a string) bool { return strings.EqualFold(a, address) }) {
		return refuse(codeInvalidParams, "unknown account %.60q: the external signer has %d others", address, len(list))
	}
	return nil
}

// text reads a parameter that is a string.
func text(params []json.RawMessage, i int, what string) (string, error) {
	var s string
	if i >= len(params) || json.Unmarshal(params[i], &s) != nil {
		return "", refuse(codeInvalidParams, "%s: expected a string as parameter %d", what, i)
	}
	return s, nil
}

// sign signs a message (EIP-191): address, data.
func (x *exchange) sign(params []json.RawMessage) (json.RawMessage, error) {
	address, err := text(params, 0, "address")
	if err != nil {
		return nil, err
	}
	data, err := text(params, 1, "data")
	if err != nil {
		return nil, err
	}
	return x.signMessage(address, data)
}

// signPersonal is sign with its parameters in the other order.
func (x *exchange) signPersonal(params []json.RawMessage) (json.RawMessage, error) {
	data, err := text(params, 0, "data")
	if err != nil {
		return nil, err
	}
	address, err := text(params, 1, "address")
	if err != nil {
		return nil, err
	}
	return x.signMessage(address, data)
}

func (x *exchange) signMessage(address, data string) (json.RawMessage, error) {
	if err := x.has(address); err != nil {
		return nil, err
	}
	if x.cfg.API == Clef {
		return x.ask("account_signData", "text/plain", address, data)
	}
	return x.ask("eth_sign", address, data)
}

// signTyped signs typed data (EIP-712): address, and an object or its text.
func (x *exchange) signTyped(params []json.RawMessage) (json.RawMessage, error) {
	address, err := text(params, 0, "address")
	if err != nil {
		return nil, err
	}
	if err := x.has(address); err != nil {
		return nil, err
	}
	if len(params) < 2 {
		return nil, refuse(codeInvalidParams, "typed data: expected an object as parameter 1")
	}
	typed := string(params[1])
	if s, err := text(params, 1, ""); err == nil {
		typed = s
	}
	if !json.Valid([]byte(typed)) {
		return nil, refuse(codeInvalidParams, "typed data: expected JSON, found %.60q", typed)
	}
	if x.cfg.API == Clef {
		return x.ask("account_signTypedData", address, json.RawMessage(typed))
	}
	return x.ask("eth_signTypedData", address, typed)
}

// transaction is a transaction as the node completes it: what a signer is asked for.
type transaction struct {
	From       string          `json:"from"`
	To         *string         `json:"to,omitempty"`
	Gas        string          `json:"gas"`
	GasPrice   string          `json:"gasPrice,omitempty"`
	MaxFee     string          `json:"maxFeePerGas,omitempty"`
	MaxTip     string          `json:"maxPriorityFeePerGas,omitempty"`
	Value      string          `json:"value"`
	Nonce      string          `json:"nonce"`
	Data       string          `json:"data"`
	ChainID    string          `json:"chainId,omitempty"`
	AccessList json.RawMessage `json:"accessList,omitempty"`
}

// signTransaction completes and signs a transaction, and sends nothing.
func (x *exchange) signTransaction(params []json.RawMessage) (json.RawMessage, error) {
	from, err := x.sender(params)
	if err != nil {
		return nil, err
	}
	defer x.turn(from)()
	raw, err := x.signed(params[0])
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]json.RawMessage{"raw": raw})
}

// send completes, signs and sends a transaction. Those of one account are sent one after the other.
func (x *exchange) send(params []json.RawMessage) (json.RawMessage, error) {
	from, err := x.sender(params)
	if err != nil {
		return nil, err
	}
	defer x.turn(from)()
	raw, err := x.signed(params[0])
	if err != nil {
		return nil, err
	}
	return x.node("eth_sendRawTransaction", []json.RawMessage{raw})
}

// sender is whose transaction a parameter is.
func (x *exchange) sender(params []json.RawMessage) (string, error) {
	var tx struct {
		From string `json:"from"`
	}
	if len(params) == 0 || json.Unmarshal(params[0], &tx) != nil || tx.From == "" {
		return "", refuse(codeInvalidParams, "from: missing")
	}
	from := strings.ToLower(tx.From)
	return from, x.has(from)
}

// turn waits until no other transaction of an account is being signed or sent. The accounts are the signer's, so there are few.
func (x *exchange) turn(from string) (done func()) {
	x.mu.Lock()
	t := x.turns[from]
	if t == nil {
		t = new(sync.Mutex)
		x.turns[from] = t
	}
	x.mu.Unlock()
	t.Lock()
	return t.Unlock
}

// signed has the node complete a transaction, and the signer sign it.
func (x *exchange) signed(args json.RawMessage) (json.RawMessage, error) {
	text, err := x.node("eth_fillTransaction", []json.RawMessage{args})
	if err != nil {
		return nil, err
	}
	var filled struct {
		Tx struct {
			transaction
			Type  string `json:"type"`
			Input string `json:"input"`
		} `json:"tx"`
	}
	if err := json.Unmarshal(text, &filled); err != nil {
		return nil, refuse(codeServer, "the node has completed the transaction to what cannot be read: %v", err)
	}
	tx := filled.Tx.transaction
	tx.Data = filled.Tx.Input
	if tx.MaxFee != "" {
		tx.GasPrice = ""
	}
	if kind := filled.Tx.Type; kind != "0x0" && kind != "0x1" && kind != "0x2" {
		return nil, refuse(codeInvalidParams, "a transaction of type %s: external signers sign types 0x0, 0x1 and 0x2", kind)
	}
	var answer json.RawMessage
	if x.cfg.API == Clef {
		answer, err = x.ask("account_signTransaction", tx)
	} else {
		if list := strings.TrimSpace(string(tx.AccessList)); filled.Tx.Type == "0x1" || list != "" && list != "[]" && list != "null" {
			return nil, refuse(codeInvalidParams, "Web3Signer signs no access lists: leave the list out")
		}
		tx.ChainID, tx.AccessList = "", nil // it is told of its chain when it is started
		answer, err = x.ask("eth_signTransaction", tx)
	}
	if err != nil {
		return nil, err
	}
	var raw string
	var with struct {
		Raw string `json:"raw"`
	}
	if json.Unmarshal(answer, &raw) != nil && json.Unmarshal(answer, &with) == nil {
		raw = with.Raw
	}
	if !strings.HasPrefix(raw, "0x") {
		return nil, refuse(codeServer, "the external signer: expected a signed transaction, found %.200q", answer)
	}
	return json.Marshal(raw)
}
