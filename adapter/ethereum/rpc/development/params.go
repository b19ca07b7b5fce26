package development

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/math"
)

// amount is a number of up to 256 bits as the methods of Hardhat and Anvil take it: a JSON number, or a text in decimal or hexadecimal digits.
type amount struct{ big.Int }

// UnmarshalJSON implements json.Unmarshaler.
func (n *amount) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	v, ok := math.ParseBig256(text)
	if !ok || text == "" || v.Sign() < 0 {
		return fmt.Errorf("expected a number of up to 256 bits, found %.40s", b)
	}
	n.Set(v)
	return nil
}

// uint64 returns the number, which MUST fit; what says of what it is.
func (n *amount) uint64(what string) (uint64, error) {
	if n == nil || !n.IsUint64() {
		return 0, invalid("%s: expected a number of 64 bits", what)
	}
	return n.Uint64(), nil
}

// optional is a number that may be left out.
func (n *amount) optional(otherwise uint64, what string) (uint64, error) {
	if n == nil {
		return otherwise, nil
	}
	return n.uint64(what)
}

// seconds is a number of seconds that may be negative, as evm_increaseTime takes it; it wraps around.
type seconds uint64

// UnmarshalJSON implements json.Unmarshaler.
func (s *seconds) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	digits, negative := strings.CutPrefix(text, "-")
	v, ok := math.ParseUint64(digits)
	if !ok || digits == "" {
		return fmt.Errorf("expected a number of seconds, found %.40s", b)
	}
	if *s = seconds(v); negative {
		*s = -*s
	}
	return nil
}

// word is a slot's value, or its key: 32 bytes, or a number.
type word common.Hash

// UnmarshalJSON implements json.Unmarshaler.
func (w *word) UnmarshalJSON(b []byte) error {
	var n amount
	if err := n.UnmarshalJSON(b); err != nil {
		return err
	}
	*w = word(common.BigToHash(&n.Int))
	return nil
}

// interval is what evm_setIntervalMining takes: milliseconds, or the least and the most of them.
type interval uint64

// UnmarshalJSON implements json.Unmarshaler.
func (i *interval) UnmarshalJSON(b []byte) error {
	var most uint64
	var bounds [2]uint64
	if err := json.Unmarshal(b, &bounds); err == nil {
		most = bounds[1]
	} else if err := json.Unmarshal(b, &most); err != nil {
		return fmt.Errorf("expected milliseconds, or two numbers of them, found %.40s", b)
	}
	*i = interval(most)
	return nil
}

func flag(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}
