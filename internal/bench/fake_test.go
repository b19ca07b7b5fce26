package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/internal/contracts"
)

// fakeNode answers as a node does, from a few maps. Its faults are what the generator must bear
// or find out.
type fakeNode struct {
	mu       sync.Mutex
	signer   types.Signer
	nonces   map[common.Address]uint64
	ether    map[common.Address]*big.Int
	tokens   map[common.Address]*big.Int
	supply   *big.Int
	receipts map[common.Hash]bool
	kv       map[string][]byte
	requests int

	busyEvery int // that many-th request is answered by 503
	fullEvery int // that many-th transaction is refused by the code of a full queue
	dropEvery int // that many-th request is carried out and its connection closed without a reply
	loseEvery int // that many-th transaction or write is acknowledged and forgotten
	chunked   bool
	refusing  bool // every transaction
	hangFrom  int  // that request and those before hangTo have no reply
	hangTo    int
	submitted int
}

func newFake() *fakeNode {
	return &fakeNode{
		signer: types.LatestSignerForChainID(big.NewInt(1337)),
		nonces: map[common.Address]uint64{}, ether: map[common.Address]*big.Int{}, tokens: map[common.Address]*big.Int{},
		supply: new(big.Int), receipts: map[common.Hash]bool{}, kv: map[string][]byte{},
	}
}

func every(n, count int) bool { return n > 0 && count%n == n-1 }

func (f *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		f.serveWebSocket(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.hangFrom <= f.requests && f.requests < f.hangTo {
		f.mu.Unlock()
		<-r.Context().Done()
		f.mu.Lock()
		panic(http.ErrAbortHandler)
	}
	if every(f.busyEvery, f.requests) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error":{"code":"busy","message":"the queue is full"}}`)
		return
	}
	status, reply := http.StatusOK, []byte(nil)
	if key, ok := strings.CutPrefix(r.URL.Path, kvPath); ok {
		status, reply = f.serveKV(r.Method, key, body)
	} else if r.URL.Path == strings.TrimSuffix(kvPath, "/") {
		status = f.batchKV(body)
	} else {
		reply = f.rpc(body)
	}
	if every(f.dropEvery, f.requests) {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	if f.chunked {
		_, _ = w.Write(reply[:len(reply)/2])
		w.(http.Flusher).Flush()
		reply = reply[len(reply)/2:]
	}
	_, _ = w.Write(reply)
}

func (f *fakeNode) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 24)
	for {
		_, body, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		f.mu.Lock()
		reply := f.rpc(body)
		f.mu.Unlock()
		if conn.Write(r.Context(), websocket.MessageText, reply) != nil {
			return
		}
	}
}

func (f *fakeNode) serveKV(method, key string, body []byte) (int, []byte) {
	if method == http.MethodGet {
		v, ok := f.kv[key]
		if !ok {
			return http.StatusNotFound, nil
		}
		return http.StatusOK, v
	}
	f.submitted++
	if len(body) < minValue || len(body) > maxValue {
		return http.StatusBadRequest, nil
	}
	if !every(f.loseEvery, f.submitted) {
		f.kv[key] = body
	}
	return http.StatusNoContent, nil
}

func (f *fakeNode) batchKV(body []byte) int {
	var ops []struct {
		Op         string
		Key, Value []byte
	}
	if err := json.Unmarshal(body, &ops); err != nil {
		return http.StatusBadRequest
	}
	for _, op := range ops {
		if status, _ := f.serveKV(http.MethodPut, string(op.Key), op.Value); op.Op != "put" || status != http.StatusNoContent {
			return http.StatusBadRequest
		}
	}
	return http.StatusOK
}

func (f *fakeNode) rpc(body []byte) []byte {
	type request struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	one := func(req request) any {
		result, err := f.method(req.Method, req.Params)
		if err != nil {
			return map[string]any{"jsonrpc": "2.0", "id": req.ID, "error": err}
		}
		return map[string]any{"jsonrpc": "2.0", "id": req.ID, "result": result}
	}
	var answer any
	if body[0] == '[' {
		var batch []request
		if err := json.Unmarshal(body, &batch); err != nil {
			panic(err)
		}
		var answers []any
		for _, req := range batch {
			answers = append(answers, one(req))
		}
		answer = answers
	} else {
		var req request
		if err := json.Unmarshal(body, &req); err != nil {
			panic(err)
		}
		answer = one(req)
	}
	reply, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return reply
}

func (f *fakeNode) method(name string, params []json.RawMessage) (any, *rpcError) {
	var address common.Address
	var text string
	if len(params) > 0 {
		_ = json.Unmarshal(params[0], &text)
		address = common.HexToAddress(text)
	}
	switch name {
	case "eth_chainId":
		return "0x539", nil
	case "eth_getTransactionCount":
		return hexutil.Uint64(f.nonces[address]), nil
	case "eth_getBalance":
		return (*hexutil.Big)(balance(f.ether, address)), nil
	case "eth_getCode":
		return contracts.Token().DeployedBytecode, nil
	case "eth_getTransactionReceipt":
		if !f.receipts[common.HexToHash(text)] {
			return nil, nil
		}
		return map[string]any{"status": "0x1"}, nil
	case "eth_call":
		var call struct {
			Data hexutil.Bytes `json:"data"`
		}
		_ = json.Unmarshal(params[0], &call)
		if bytes.Equal(call.Data, contracts.TotalSupply()) {
			return hexutil.Bytes(common.BigToHash(f.supply).Bytes()), nil
		}
		return hexutil.Bytes(common.BigToHash(balance(f.tokens, common.BytesToAddress(call.Data[4:]))).Bytes()), nil
	case "eth_sendRawTransaction":
		return f.send(text)
	}
	return nil, &rpcError{Code: -32601, Message: "no method " + name}
}

func balance(m map[common.Address]*big.Int, a common.Address) *big.Int {
	if m[a] == nil {
		m[a] = new(big.Int)
	}
	return m[a]
}

func (f *fakeNode) send(text string) (any, *rpcError) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(hexutil.MustDecode(text)); err != nil {
		return nil, &rpcError{Code: -32000, Message: err.Error()}
	}
	from, err := types.Sender(f.signer, tx)
	if err != nil {
		return nil, &rpcError{Code: -32000, Message: err.Error()}
	}
	f.submitted++
	if every(f.fullEvery, f.submitted) {
		return nil, &rpcError{Code: codeBusy, Message: "busy"}
	}
	if f.refusing {
		return nil, &rpcError{Code: -32000, Message: "insufficient funds"}
	}
	if tx.Nonce() != f.nonces[from] {
		return nil, &rpcError{Code: -32000, Message: "nonce too low or too high"}
	}
	f.nonces[from]++
	f.receipts[tx.Hash()] = true
	if every(f.loseEvery, f.submitted) {
		return tx.Hash(), nil
	}
	data := tx.Data()
	switch {
	case tx.To() == nil:
	case len(data) == 0:
		balance(f.ether, from).Sub(balance(f.ether, from), tx.Value())
		balance(f.ether, *tx.To()).Add(balance(f.ether, *tx.To()), tx.Value())
	case len(data) == 68: // transfer
		value := new(big.Int).SetBytes(data[36:])
		to := common.BytesToAddress(data[4:36])
		balance(f.tokens, from).Sub(balance(f.tokens, from), value)
		balance(f.tokens, to).Add(balance(f.tokens, to), value)
	default: // mintMany
		value := new(big.Int).SetBytes(data[36:68])
		for i := range binary.BigEndian.Uint64(data[92:100]) {
			to := common.BytesToAddress(data[100+32*i : 132+32*i])
			balance(f.tokens, to).Add(balance(f.tokens, to), value)
			f.supply.Add(f.supply, value)
		}
	}
	return tx.Hash(), nil
}

func (f *fakeNode) refuse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusing = true
}

// fund gives an account ether.
func (f *fakeNode) fund(t *testing.T, a common.Address, ether int64) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ether[a] = new(big.Int).Mul(big.NewInt(ether), big.NewInt(1e18))
}

// hang leaves the next requests after some without a reply.
func (f *fakeNode) hang(after, count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangFrom = f.requests + after
	f.hangTo = f.hangFrom + count
}
