// Package settings are the Ethereum adapter's section of the constitution: what they mean, what they may
// be, and which of them may change.
//
//	page of a new network ── Complete: the defaults ──▶ what is stored, hashed and approved ── Parse ──▶ Settings
//
// [Table] says what each may be, and which of them members may change by a vote.
//
// The defaults are in [Complete] only. [Parse] refuses what is not complete, so that a later program with other
// defaults executes an old ledger as it was.
//
// Trust: either
package settings

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	gethmath "github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
)

// Settings are the adapter's section of the constitution.
//
// Fields: one for each setting.
type Settings struct {
	ChainID uint64
	// Fork names the rules that hold from block 0 on. A pinned network follows the mainnet's schedule instead.
	Fork string
	// GasLimit is a block's gas limit. Gas is metered and free: the base fee is 0.
	GasLimit uint64
	// CallGasLimit bounds eth_call and eth_estimateGas.
	CallGasLimit uint64
	// MaxTxBytes bounds the encoding of one transaction.
	MaxTxBytes int
	// MinGasPrice refuses transactions that offer less, in wei.
	MinGasPrice *big.Int
	// Coinbase receives the fees, where a transaction offers any.
	Coinbase common.Address
	// AllowUnprotected admits transactions without a chain id (before EIP-155), which could be
	// replayed here from other networks.
	AllowUnprotected bool
	// GapWait is how long a transaction waits for those with lower nonces.
	GapWait time.Duration
	// GapPerSender, GapTotal and GapBytes bound the transactions that wait.
	GapPerSender, GapTotal, GapBytes int
	// Timestamps says how a block's time follows its parent's.
	Timestamps Timestamps
	// ConfirmationBlocks is how many blocks without transactions follow the last one with some, about a second apart.
	ConfirmationBlocks uint64
	// EmptyBlocks has blocks without transactions follow for ever.
	EmptyBlocks bool
	// BlockTransactions and BlockBytes are the most that a block holds; its first transaction is admitted whatever its size.
	BlockTransactions, BlockBytes uint64
	// BlockWait is how long a block waits for more calls after its first, and BlockInterval the time between the beginnings of blocks, in
	// milliseconds; 0: as soon as a call waits. An interval precedes a wait.
	BlockWait, BlockInterval uint64
	// Visibility says what callers see that no rule of a contract admits.
	Visibility Visibility
	// Auditors are the names of the organisations that see everything in a closed network.
	Auditors []string
	// Counts says that blocks of a closed network tell how many transactions they hide.
	Counts bool
	// Policies are the contracts' policies that members have voted, in the place of all other rules of these contracts.
	Policies map[common.Address]policy.Text
	// Development has the network do what Hardhat's and Anvil's nodes do: package development. Only an insecure network may.
	Development bool
	// AuthenticatedCalls are the credentials whose calls need no signature of their sender.
	AuthenticatedCalls []string
	// Links says whose addresses are from the start, in the order of the addresses.
	Links []Link
	// Alloc is the state of block 0.
	Alloc types.GenesisAlloc
	// Upgrades are the forks that follow, in their order.
	Upgrades []Upgrade `json:",omitempty"`
	// Imported names the files that block 0 was made of; nil if it was made of none.
	Imported *Imported `json:",omitempty"`
	// Pin, if not nil, evaluates every transaction in one block context of the mainnet.
	Pin *Pin
	// RPC bounds what one caller can ask of a node's JSON-RPC.
	RPC RPC
}

// Pin is the block context of a pinned network, as a block's header gives it.
type Pin struct {
	Number           uint64
	Timestamp        uint64
	Coinbase         common.Address
	Difficulty       *big.Int
	MixHash          common.Hash // PREVRANDAO once the difficulty is 0
	GasLimit         uint64
	BaseFee          *big.Int // nil before London
	ExcessBlobGas    *uint64  // nil before Cancun
	ParentHash       common.Hash
	ParentBeaconRoot *common.Hash // stored at genesis (EIP-4788)
	BlockHashes      map[uint64]common.Hash
}

// Timestamps is a choice of how blocks' times follow one another, in seconds.
type Timestamps string

const (
	// Real times are those of the ledger. Blocks of one second have equal times.
	Real Timestamps = "real"
	// Increasing times obey Ethereum's rule: each is later than its parent's. More than one block a second runs ahead
	// of the ledger's time, by a second for each.
	Increasing Timestamps = "increasing"
)

// Visibility is a choice of who sees what.
type Visibility string

const (
	// Network shows every caller of the network everything.
	Network Visibility = "network"
	// Closed shows a caller what is its own, and what contracts show to it: docs/access.md.
	Closed Visibility = "closed"
)

// Closed reports whether callers see their own alone.
func (s *Settings) Closed() bool { return s.Visibility == Closed }

const (
	maxMaxTxBytes = 2 << 20
	maxGapWait    = 10 * time.Minute
	// maxConfirmationBlocks bounds what one transaction adds to an idle ledger.
	maxConfirmationBlocks = 256
	// maxBlockTransactions bounds a block, and so a batch.
	maxBlockTransactions = 5000
	// maxBlockBytes leaves room for a header in what a block's RLP may be (EIP-7934).
	maxBlockBytes = params.MaxBlockSize - 2048
	// maxBlockPause leaves room for executing and committing in the time for which a client's node waits.
	maxBlockPause = 10 * time.Second
	minGasLimit   = params.MinGasLimit
	maxGasLimit   = 500_000_000
	maxChainID    = math.MaxUint64/2 - 36 // so that V of EIP-155 fits 64 bits
)

// settingsJSON is the section as it is stored.
//
// Fields: one for each setting.
type settingsJSON struct {
	ChainID            number                 `json:"chain_id"`
	Fork               string                 `json:"fork"`
	GasLimit           *number                `json:"gas_limit"`
	CallGasLimit       *number                `json:"call_gas_limit"`
	MaxTxBytes         *number                `json:"max_tx_bytes"`
	MinGasPrice        *quantity              `json:"min_gas_price"`
	Coinbase           common.Address         `json:"coinbase"`
	AllowUnprotected   bool                   `json:"allow_unprotected"`
	GapWaitMs          *number                `json:"gap_wait_ms"`
	GapPerSender       *number                `json:"gap_per_sender"`
	GapTotal           *number                `json:"gap_total"`
	GapBytes           *number                `json:"gap_bytes"`
	Timestamps         Timestamps             `json:"timestamps"`
	ConfirmationBlocks number                 `json:"confirmation_blocks"`
	EmptyBlocks        bool                   `json:"empty_blocks"`
	BlockTransactions  *number                `json:"block_transactions"`
	BlockBytes         *number                `json:"block_bytes"`
	BlockWaitMs        number                 `json:"block_wait_ms"`
	BlockIntervalMs    number                 `json:"block_interval_ms"`
	Visibility         Visibility             `json:"visibility"`
	Auditors           []string               `json:"auditors"`
	Counts             bool                   `json:"counts"`
	Policies           map[string]policy.Text `json:"policies"`
	Development        bool                   `json:"development"`
	AuthenticatedCalls []string               `json:"authenticated_calls"`
	Links              map[string]linkJSON    `json:"links"`
	Alloc              map[string]accountJSON `json:"alloc"`
	Upgrades           map[string]number      `json:"upgrades"`
	Imported           *Imported              `json:"imported"`
	Pin                *pinJSON               `json:"pin"`
	RPC                RPC                    `json:"rpc"`
}

type accountJSON struct {
	Balance *quantity         `json:"balance"`
	Nonce   number            `json:"nonce"`
	Code    hexutil.Bytes     `json:"code"`
	Storage map[string]string `json:"storage"`
}

type pinJSON struct {
	Number           *number           `json:"number"`
	Timestamp        *number           `json:"timestamp"`
	Coinbase         common.Address    `json:"coinbase"`
	Difficulty       *quantity         `json:"difficulty"`
	MixHash          common.Hash       `json:"mix_hash"`
	GasLimit         *number           `json:"gas_limit"`
	BaseFee          *quantity         `json:"base_fee"`
	ExcessBlobGas    *number           `json:"excess_blob_gas"`
	ParentHash       common.Hash       `json:"parent_hash"`
	ParentBeaconRoot *common.Hash      `json:"parent_beacon_root"`
	BlockHashes      map[string]string `json:"block_hashes"`
}

// number is an unsigned 64-bit JSON number, or a decimal or 0x-prefixed string.
type number uint64

func (n *number) UnmarshalJSON(b []byte) error {
	v, ok := gethmath.ParseUint64(string(bytes.Trim(b, `"`)))
	if !ok || len(b) == 0 || string(b) == `""` {
		return fmt.Errorf("expected a number of 64 bits, found %s", clip(b))
	}
	*n = number(v)
	return nil
}

// quantity is a number of up to 256 bits in the same forms.
type quantity big.Int

func (q *quantity) UnmarshalJSON(b []byte) error {
	v, ok := gethmath.ParseBig256(string(bytes.Trim(b, `"`)))
	if !ok || v.Sign() < 0 || len(b) == 0 || string(b) == `""` {
		return fmt.Errorf("expected a number of 256 bits, found %s", clip(b))
	}
	*q = quantity(*v)
	return nil
}

func clip(b []byte) string {
	if len(b) > 40 {
		return string(b[:40]) + "…"
	}
	return string(b)
}

// Parse reads complete settings. Errors are coco.ErrInvalid and name the field.
func Parse(b []byte) (*Settings, error) {
	var in settingsJSON
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("%w: ethereum settings: %w", coco.ErrInvalid, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: ethereum settings: something follows the object", coco.ErrInvalid)
	}
	if err := checkComplete(b); err != nil {
		return nil, fmt.Errorf("%w: ethereum settings: %w", coco.ErrInvalid, err)
	}
	s, err := in.settings()
	if err != nil {
		return nil, fmt.Errorf("%w: ethereum settings: %w", coco.ErrInvalid, err)
	}
	return s, nil
}

func (in *settingsJSON) settings() (*Settings, error) {
	s := &Settings{
		ChainID:          uint64(in.ChainID),
		Fork:             in.Fork,
		MinGasPrice:      in.MinGasPrice.big(),
		Coinbase:         in.Coinbase,
		AllowUnprotected: in.AllowUnprotected,
		Timestamps:       cmp.Or(in.Timestamps, Real),
		EmptyBlocks:      in.EmptyBlocks,
		Visibility:       cmp.Or(in.Visibility, Network),
		Auditors:         in.Auditors,
		Counts:           in.Counts,
		Development:      in.Development,
		Alloc:            make(types.GenesisAlloc, len(in.Alloc)),
		RPC:              in.RPC,
		Imported:         in.Imported,
	}
	if err := s.Imported.validate(); err != nil {
		return nil, err
	}
	s.AuthenticatedCalls = in.AuthenticatedCalls
	s.AuthenticatedCalls = in.AuthenticatedCalls
	if err := s.RPC.validate(); err != nil {
		return nil, err
	}
	if s.ChainID == 0 || s.ChainID > maxChainID {
		return nil, fmt.Errorf("chain_id: expected 1 to %d, found %d", uint64(maxChainID), s.ChainID)
	}
	if s.Timestamps != Real && s.Timestamps != Increasing {
		return nil, fmt.Errorf("timestamps: expected %q or %q, found %q", Real, Increasing, s.Timestamps)
	}
	if s.Development && (s.Visibility != Network || in.Pin != nil) {
		return nil, fmt.Errorf("development: expected visibility %q and no pin: whoever reaches such a network acts for everybody", Network)
	}
	if s.Visibility != Network && s.Visibility != Closed {
		return nil, fmt.Errorf("visibility: expected %q or %q, found %q", Network, Closed, s.Visibility)
	}
	s.BlockTransactions, s.BlockBytes = maxBlockTransactions, maxBlockBytes // as before these were settings
	var wait, perSender, total, size, txBytes uint64
	for _, f := range []struct {
		name     string
		in       *number
		out      *uint64
		min, max uint64
	}{
		{"gas_limit", in.GasLimit, &s.GasLimit, minGasLimit, maxGasLimit},
		{"call_gas_limit", in.CallGasLimit, &s.CallGasLimit, params.TxGas, params.MaxGasLimit},
		{"max_tx_bytes", in.MaxTxBytes, &txBytes, 256, maxMaxTxBytes},
		{"gap_wait_ms", in.GapWaitMs, &wait, 0, uint64(maxGapWait.Milliseconds())},
		{"gap_per_sender", in.GapPerSender, &perSender, 0, 1 << 20},
		{"gap_total", in.GapTotal, &total, 0, 1 << 20},
		{"gap_bytes", in.GapBytes, &size, 0, 1 << 30},
		{"confirmation_blocks", &in.ConfirmationBlocks, &s.ConfirmationBlocks, 0, maxConfirmationBlocks},
		{"block_transactions", in.BlockTransactions, &s.BlockTransactions, 1, maxBlockTransactions},
		{"block_bytes", in.BlockBytes, &s.BlockBytes, 1, maxBlockBytes},
		{"block_wait_ms", &in.BlockWaitMs, &s.BlockWait, 0, uint64(maxBlockPause.Milliseconds())},
		{"block_interval_ms", &in.BlockIntervalMs, &s.BlockInterval, 0, uint64(maxBlockPause.Milliseconds())},
	} {
		if f.in == nil {
			continue // the pinned block says it, or the ledger is from before
		}
		*f.out = uint64(*f.in)
		if *f.out < f.min || *f.out > f.max {
			return nil, fmt.Errorf("%s: expected %d to %d, found %d", f.name, f.min, f.max, *f.out)
		}
	}
	s.GapWait = time.Duration(wait) * time.Millisecond
	s.MaxTxBytes, s.GapPerSender, s.GapTotal, s.GapBytes = int(txBytes), int(perSender), int(total), int(size)
	linked, err := readLinks(in.Links)
	if err != nil {
		return nil, err
	}
	s.Links = linked
	if s.Policies, err = readPolicies(in.Policies); err != nil {
		return nil, err
	}
	for text, a := range in.Alloc {
		addr, account, err := a.account(text)
		if err != nil {
			return nil, fmt.Errorf("alloc.%s: %w", text, err)
		}
		if _, ok := s.Alloc[addr]; ok {
			return nil, fmt.Errorf("alloc.%s: the address is listed twice", text)
		}
		s.Alloc[addr] = account
	}
	if in.Pin == nil {
		if ForkIndex(s.Fork) < 0 {
			return nil, fmt.Errorf("fork: expected one of %v, found %q", forkNames(), s.Fork)
		}
		s.Upgrades, err = readUpgrades(in.Upgrades, s.Fork)
		return s, err
	}
	if len(in.Upgrades) > 0 {
		return nil, errors.New("pin: upgrades: the pinned block's rules never change")
	}
	if s.Fork != "" || in.GasLimit != nil || in.Coinbase != (common.Address{}) {
		return nil, errors.New("pin: fork, gas_limit and coinbase are the pinned block's and must be left out")
	}
	if s.Pin, err = in.Pin.pin(); err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	s.GasLimit = s.Pin.GasLimit
	s.Coinbase = s.Pin.Coinbase
	s.AllowUnprotected = true
	return s, nil
}

func (a *accountJSON) account(text string) (common.Address, types.Account, error) {
	if !common.IsHexAddress(text) {
		return common.Address{}, types.Account{}, errors.New("expected an address of 40 hexadecimal digits")
	}
	out := types.Account{Balance: a.Balance.big(), Nonce: uint64(a.Nonce), Code: a.Code}
	if out.Balance == nil {
		out.Balance = new(big.Int)
	}
	for k, v := range a.Storage {
		slot, err1 := hexWord(k)
		value, err2 := hexWord(v)
		if err := errors.Join(err1, err2); err != nil {
			return common.Address{}, types.Account{}, fmt.Errorf("storage.%s: %w", clip([]byte(k)), err)
		}
		if out.Storage == nil {
			out.Storage = make(map[common.Hash]common.Hash, len(a.Storage))
		}
		if _, ok := out.Storage[slot]; ok {
			return common.Address{}, types.Account{}, fmt.Errorf("storage.%s: the slot is listed twice", clip([]byte(k)))
		}
		out.Storage[slot] = value
	}
	return common.HexToAddress(text), out, nil
}

// hexWord reads up to 64 hexadecimal digits.
func hexWord(s string) (common.Hash, error) {
	v, ok := gethmath.ParseBig256(s)
	if !ok || len(s) < 3 || s[:2] != "0x" || len(s) > 66 || v.Sign() < 0 {
		return common.Hash{}, fmt.Errorf("expected 0x and up to 64 hexadecimal digits, found %q", clip([]byte(s)))
	}
	return common.BigToHash(v), nil
}

func (q *quantity) big() *big.Int { return (*big.Int)(q) }

func (in *pinJSON) pin() (*Pin, error) {
	if in.Number == nil || in.Timestamp == nil || in.Difficulty == nil || in.GasLimit == nil {
		return nil, errors.New("number, timestamp, difficulty and gas_limit: one is missing")
	}
	p := &Pin{
		Number: uint64(*in.Number), Timestamp: uint64(*in.Timestamp), Coinbase: in.Coinbase,
		Difficulty: in.Difficulty.big(), MixHash: in.MixHash, GasLimit: uint64(*in.GasLimit),
		BaseFee: in.BaseFee.big(), ExcessBlobGas: (*uint64)(in.ExcessBlobGas), ParentHash: in.ParentHash,
		ParentBeaconRoot: in.ParentBeaconRoot, BlockHashes: make(map[uint64]common.Hash, len(in.BlockHashes)),
	}
	if p.Number == 0 || p.Number > math.MaxInt64 {
		return nil, fmt.Errorf("number: expected 1 to %d, found %d", math.MaxInt64, p.Number)
	}
	if p.GasLimit < minGasLimit || p.GasLimit > maxGasLimit {
		return nil, fmt.Errorf("gas_limit: expected %d to %d, found %d", minGasLimit, maxGasLimit, p.GasLimit)
	}
	for k, v := range in.BlockHashes {
		n, ok := gethmath.ParseUint64(k)
		h, err := hexutil.Decode(v)
		if !ok || k == "" || n >= p.Number || err != nil || len(h) != common.HashLength {
			return nil, fmt.Errorf("block_hashes.%s: expected an earlier block's number and 32 bytes in hexadecimal, found %q", clip([]byte(k)), clip([]byte(v)))
		}
		p.BlockHashes[n] = common.BytesToHash(h)
	}
	p.BlockHashes[p.Number-1] = p.ParentHash
	c, num := params.MainnetChainConfig, new(big.Int).SetUint64(p.Number)
	if c.IsLondon(num) != (p.BaseFee != nil) {
		return nil, errors.New("base_fee: is there from the London fork on, and only then")
	}
	if c.IsCancun(num, p.Timestamp) != (p.ExcessBlobGas != nil) {
		return nil, errors.New("excess_blob_gas: is there from the Cancun fork on, and only then")
	}
	if p.ParentBeaconRoot != nil && p.ExcessBlobGas == nil {
		return nil, errors.New("parent_beacon_root: is there from the Cancun fork on, and only then")
	}
	if p.BaseFee != nil {
		if _, overflow := uint256.FromBig(p.BaseFee); overflow {
			return nil, errors.New("base_fee: exceeds 256 bits")
		}
	}
	return p, nil
}
