package simulate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// Options is the first parameter of eth_simulateV1.
type Options struct {
	BlockStateCalls        []Block
	TraceTransfers         bool
	Validation             bool
	ReturnFullTransactions bool
}

// Block is calls that are executed in one block, one after the other.
type Block struct {
	BlockOverrides *callargs.BlockOverride
	StateOverrides *callargs.StateOverride
	Calls          []callargs.Args
}

// UnmarshalJSON refuses overrides that are not known, as go-ethereum does.
func (b *Block) UnmarshalJSON(input []byte) error {
	var in struct {
		BlockOverrides json.RawMessage
		StateOverrides map[common.Address]json.RawMessage
		Calls          []callargs.Args
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return err
	}
	out := Block{Calls: in.Calls}
	if in.BlockOverrides != nil {
		if err := checkKeys(in.BlockOverrides, reflect.TypeFor[callargs.BlockOverride](), "block override"); err != nil {
			return err
		}
		if err := json.Unmarshal(in.BlockOverrides, &out.BlockOverrides); err != nil {
			return err
		}
	}
	if in.StateOverrides != nil {
		for addr, raw := range in.StateOverrides {
			if err := checkKeys(raw, reflect.TypeFor[callargs.StateOverride]().Elem(), "state override for "+addr.Hex()); err != nil {
				return err
			}
		}
		text, err := json.Marshal(in.StateOverrides)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &out.StateOverrides); err != nil {
			return err
		}
	}
	*b = out
	return nil
}

// checkKeys refuses a key that names no field of a struct, or one that another key names already, as encoding/json finds fields.
func checkKeys(input json.RawMessage, t reflect.Type, what string) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(input, &keys); err != nil || keys == nil {
		return nil // which the caller finds
	}
	seen := map[int]string{}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		field := slices.IndexFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return strings.EqualFold(key, name) || name == "" && strings.EqualFold(key, f.Name)
		})
		if field < 0 {
			return fmt.Errorf("unknown field %q in %s", key, what)
		}
		if before, ok := seen[field]; ok {
			return fmt.Errorf("keys %q and %q in %s name the same field", before, key, what)
		}
		seen[field] = key
	}
	return nil
}

// Limits of a request, go-ethereum's.
const (
	maxBlocks        = 256
	maxCallsPerBlock = 5000
	maxCalls         = 10000
)

func (o *Options) check() error {
	if len(o.BlockStateCalls) == 0 {
		return group.Errorf(codeInvalidParams, "empty input")
	}
	if len(o.BlockStateCalls) > maxBlocks {
		return group.Errorf(codeTooMany, "too many blocks")
	}
	total := 0
	for _, b := range o.BlockStateCalls {
		if len(b.Calls) > maxCallsPerBlock {
			return group.Errorf(codeTooMany, "too many calls in block: %d > %d", len(b.Calls), maxCallsPerBlock)
		}
		if total += len(b.Calls); total > maxCalls {
			return group.Errorf(codeTooMany, "too many calls: %d > %d", total, maxCalls)
		}
	}
	return nil
}

// increment is how much later a block is than the one before, in seconds, unless it is overridden.
const increment = 12

// complete numbers and dates the blocks, and fills gaps between numbers with empty blocks.
func complete(blocks []Block, base *types.Header) ([]Block, error) {
	out := make([]Block, 0, len(blocks))
	number, time := base.Number, base.Time
	for _, b := range blocks {
		o := new(callargs.BlockOverride)
		if b.BlockOverrides != nil {
			*o = *b.BlockOverrides
		}
		if o.Number == nil {
			o.Number = (*hexutil.Big)(new(big.Int).Add(number, common.Big1))
		}
		next := o.Number.ToInt()
		if next.Cmp(number) <= 0 {
			return nil, group.Errorf(codeBlockNumber, "block numbers must be in order: %d <= %d", next, number)
		}
		if new(big.Int).Sub(next, base.Number).Cmp(big.NewInt(maxBlocks)) > 0 {
			return nil, group.Errorf(codeTooMany, "too many blocks")
		}
		for n := new(big.Int).Add(number, common.Big1); n.Cmp(next) < 0; n = new(big.Int).Add(n, common.Big1) {
			time += increment
			at := hexutil.Uint64(time)
			out = append(out, Block{BlockOverrides: &callargs.BlockOverride{Number: (*hexutil.Big)(n), Time: &at, Withdrawals: &types.Withdrawals{}}})
		}
		if o.Time == nil {
			at := hexutil.Uint64(time + increment)
			o.Time = &at
		} else if uint64(*o.Time) <= time {
			return nil, group.Errorf(codeBlockTimestamp, "block timestamps must be in order: %d <= %d", uint64(*o.Time), time)
		}
		if o.Withdrawals == nil {
			o.Withdrawals = &types.Withdrawals{}
		}
		number, time, b.BlockOverrides = next, uint64(*o.Time), o
		out = append(out, b)
	}
	return out, nil
}
