package access

import (
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
)

// The interface CocoAccess (internal/contracts/CocoAccess.sol) by which a contract decides for itself, from its own state. Each
// question is a method of its own. viewers are the addresses that are linked to whoever asks; the contract has a bounded amount of gas for an answer,
// nothing that it writes stays, and anything but true is a no.
//
//	mayCall(address[] viewers, bytes data)                          data is empty if the call comes from another contract
//	mayReadState(address[] viewers)
//	mayReadCode(address[] viewers)
//	maySeeEvent(address[] viewers, address sender, bytes32[] topics, bytes data)
//	maySeeReceipt(address[] viewers, address sender, bytes data)
//
// A contract says by ERC-165 that it implements the interface.
var cocoABI = sync.OnceValue(func() abi.ABI {
	method := func(name string, inputs ...string) string {
		text := `{"type":"function","name":"` + name + `","stateMutability":"view","outputs":[{"name":"","type":"bool"}],"inputs":[{"name":"viewers","type":"address[]"}`
		for _, in := range inputs {
			text += `,{"name":"","type":"` + in + `"}`
		}
		return text + `]}`
	}
	a, err := abi.JSON(strings.NewReader("[" + strings.Join([]string{
		method("mayCall", "bytes"), method("mayReadState"), method("mayReadCode"), method("maySeeEvent", "address", "bytes32[]", "bytes"), method("maySeeReceipt", "address", "bytes"),
	}, ",") + "]"))
	if err != nil {
		panic(err) // a constant
	}
	return a
})

// InterfaceID is the ERC-165 identifier of CocoAccess: its methods' selectors, exclusively or'ed.
func InterfaceID() (id [4]byte) {
	for _, m := range cocoABI().Methods {
		for i := range id {
			id[i] ^= m.ID[i]
		}
	}
	return id
}

// Bool is a truth value that a contract returned.
type Bool uint8

// What was returned. Anything but 32 bytes of 0 or 1 is Neither.
const (
	Neither Bool = iota
	False
	True
)

// ParseBool reads a truth value.
func ParseBool(b []byte) Bool {
	if len(b) != common.HashLength || !allZero(b[:common.HashLength-1]) || b[common.HashLength-1] > 1 {
		return Neither
	}
	return False + Bool(b[common.HashLength-1])
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Probe is a call of supportsInterface(bytes4), and the answer of a contract that implements CocoAccess.
type Probe struct {
	Input []byte
	Want  Bool
}

// Probes are the calls of ERC-165, which a contract that says yes to everything fails.
func Probes() []Probe {
	call := func(id [4]byte) []byte {
		out := make([]byte, 4+common.HashLength)
		copy(out, []byte{0x01, 0xff, 0xc9, 0xa7})
		copy(out[4:], id[:])
		return out
	}
	return []Probe{
		{call(InterfaceID()), True},
		{call([4]byte{0x01, 0xff, 0xc9, 0xa7}), True},
		{call([4]byte{0xff, 0xff, 0xff, 0xff}), False},
	}
}

// Encode returns the data of the call that puts a question to a contract.
func Encode(q *Ask, viewers []common.Address) []byte {
	if viewers == nil {
		viewers = []common.Address{}
	}
	var out []byte
	var err error
	switch q.Question {
	case Call:
		out, err = cocoABI().Pack("mayCall", viewers, q.Input)
	case State:
		out, err = cocoABI().Pack("mayReadState", viewers)
	case Code:
		out, err = cocoABI().Pack("mayReadCode", viewers)
	case Event:
		topics := make([][32]byte, len(q.Log.Topics))
		for i := range topics {
			topics[i] = q.Log.Topics[i]
		}
		out, err = cocoABI().Pack("maySeeEvent", viewers, q.From, topics, q.Log.Data)
	case Receipt:
		out, err = cocoABI().Pack("maySeeReceipt", viewers, q.From, q.Input)
	}
	if err != nil {
		panic("access: a question does not encode: " + err.Error()) // its types are those of the methods
	}
	return out
}
