package access

import (
	"bytes"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
)

// TEN is the rule that a contract for the TEN network states by its method visibilityRules(), as the interface
// ContractTransparencyConfig of github.com/ten-protocol/go-ten declares it (contracts/src/lib/ContractTransparencyConfig.sol):
//
//	enum Field { TOPIC1, TOPIC2, TOPIC3, SENDER, EVERYONE }
//	enum ContractCfg { TRANSPARENT, PRIVATE }
//	struct EventLogConfig { uint256 eventSignature; Field[] visibleTo; }
//	struct VisibilityConfig { ContractCfg contractCfg; EventLogConfig[] eventLogConfigs; }
//	function visibilityRules() external pure returns (VisibilityConfig memory);
//
// As there, every caller may call the contract, which protects itself by msg.sender; storage is for all if the contract is transparent, and
// else for nobody; events are for those whom the rule names. An event that it does not name is left to the default: unlike there, it does
// not become public because the first one names no account.
type TEN struct {
	Transparent bool
	Events      map[common.Hash]Fields
}

// Fields is a set of fields of an event's rule.
type Fields uint8

// The fields, by their places in TEN's enumeration.
const (
	Topic1 Fields = 1 << iota
	Topic2
	Topic3
	Sender
	Everyone
)

// maxTENEvents bounds the events of one rule.
const maxTENEvents = 256

var tenABI = sync.OnceValue(func() abi.ABI {
	const text = `[{"type":"function","name":"visibilityRules","inputs":[],"stateMutability":"pure","outputs":[{"name":"","type":"tuple","components":[` +
		`{"name":"contractCfg","type":"uint8"},{"name":"eventLogConfigs","type":"tuple[]","components":[{"name":"eventSignature","type":"uint256"},{"name":"visibleTo","type":"uint8[]"}]}]}]}]`
	a, err := abi.JSON(strings.NewReader(text))
	if err != nil {
		panic(err) // a constant
	}
	return a
})

// TENCall is the data of the call that asks a contract for its rule.
func TENCall() []byte { return bytes.Clone(tenABI().Methods["visibilityRules"].ID) }

// ParseTEN reads what visibilityRules() returned. The error is coco.ErrInvalid; a contract with such an answer has no rule of this kind.
func ParseTEN(returned []byte) (*TEN, error) {
	bad := func(err error) (*TEN, error) {
		return nil, fmt.Errorf("%w: visibilityRules(): %w", coco.ErrInvalid, err)
	}
	values, err := tenABI().Unpack("visibilityRules", returned)
	if err != nil {
		return bad(err)
	}
	var out struct {
		Config struct {
			ContractCfg     uint8
			EventLogConfigs []struct {
				EventSignature *big.Int
				VisibleTo      []uint8
			}
		}
	}
	if err := tenABI().Methods["visibilityRules"].Outputs.Copy(&out, values); err != nil {
		return bad(err)
	}
	c := out.Config
	if c.ContractCfg > 1 || len(c.EventLogConfigs) > maxTENEvents {
		return bad(fmt.Errorf("configuration %d with %d events: expected 0 or 1 with at most %d", c.ContractCfg, len(c.EventLogConfigs), maxTENEvents))
	}
	t := &TEN{Transparent: c.ContractCfg == 0, Events: make(map[common.Hash]Fields, len(c.EventLogConfigs))}
	for _, e := range c.EventLogConfigs {
		signature := common.BigToHash(e.EventSignature)
		for _, f := range e.VisibleTo {
			if f > 4 {
				return bad(fmt.Errorf("field %d of event %v: expected 0 to 4", f, signature))
			}
			t.Events[signature] |= 1 << f
		}
		t.Events[signature] |= 0 // an event that nobody may see is named, too
	}
	return t, nil
}

// Answer is what the rule says to a question of a viewer who owns the addresses for which owns holds.
func (t *TEN) Answer(q *Ask, owns func(common.Address) bool) Answer {
	switch q.Question {
	case Call:
		return Admitted
	case State, Code:
		return Admit(t.Transparent)
	case Event:
		return t.event(q, owns)
	}
	return Silent
}

func (t *TEN) event(q *Ask, owns func(common.Address) bool) Answer {
	if t.Transparent {
		return Admitted
	}
	if len(q.Log.Topics) == 0 {
		return Silent
	}
	fields, named := t.Events[q.Log.Topics[0]]
	if !named {
		return Silent
	}
	if fields&Everyone != 0 || fields&Sender != 0 && owns(q.From) {
		return Admitted
	}
	for i, f := range [...]Fields{Topic1, Topic2, Topic3} {
		if fields&f == 0 || i+1 >= len(q.Log.Topics) {
			continue
		}
		if addr, ok := addressIn(q.Log.Topics[i+1]); ok && owns(addr) {
			return Admitted
		}
	}
	return Refused
}

// addressIn reads the address that a topic holds, if it can be one.
func addressIn(topic common.Hash) (common.Address, bool) {
	if !allZero(topic[:common.HashLength-common.AddressLength]) {
		return common.Address{}, false
	}
	return common.BytesToAddress(topic[:]), true
}
