// Package memo remembers what the executor would compute again and again: which bits of a bloom an address or a topic sets,
// and where code may be jumped to. Both are bounded, and belong to one goroutine.
//
// Trust: enclave
package memo

import (
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
)

// Blooms remembers the bits of addresses and topics, which recur.
type Blooms map[common.Hash][3]uint16

// maxBlooms bounds the cache.
const maxBlooms = 1 << 16

// Add sets the bits of logs in a bloom.
func (c Blooms) Add(bloom *types.Bloom, logs []*types.Log) {
	for _, l := range logs {
		key := common.BytesToHash(l.Address[:])
		key[0] = 1 // apart from a topic that looks like the address
		c.set(bloom, key, l.Address[:])
		for i := range l.Topics {
			c.set(bloom, l.Topics[i], l.Topics[i][:])
		}
	}
}

func (c Blooms) set(bloom *types.Bloom, key common.Hash, data []byte) {
	bits, ok := c[key]
	if !ok {
		sum := crypto.Keccak256(data)
		for i := range bits {
			bits[i] = binary.BigEndian.Uint16(sum[2*i:]) & 0x7ff
		}
		if len(c) >= maxBlooms {
			clear(c)
		}
		c[key] = bits
	}
	for _, bit := range bits {
		bloom[types.BloomByteLength-1-bit/8] |= 1 << (bit % 8)
	}
}

// Jumps remembers the analysis of contracts' code. go-ethereum's own is made for many readers,
// and costs more than the executor's one lookup a call.
type Jumps map[common.Hash]vm.BitVec

// maxJumps bounds the cache: code of the greatest size has an analysis of 3 KiB.
const maxJumps = 4096

// Load implements vm.JumpDestCache.
func (c Jumps) Load(code common.Hash) (vm.BitVec, bool) {
	v, ok := c[code]
	return v, ok
}

// Store implements vm.JumpDestCache.
func (c Jumps) Store(code common.Hash, v vm.BitVec) {
	if len(c) >= maxJumps {
		clear(c)
	}
	c[code] = v
}
