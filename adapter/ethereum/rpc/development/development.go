// Package development is the methods by which Hardhat and Foundry drive a node of theirs in tests: the namespaces evm, hardhat and anvil, and the
// accounts of the node, for which it signs. Only a network in development mode has them: package adapter/ethereum/development says what they do.
//
// Names, parameters and results are Hardhat's, and where only Anvil has a method, Anvil's. What cannot be had here is refused by its name, with the
// reason.
//
// Trust: enclave
package development

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/development"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// server is what all methods need.
type server struct {
	*group.Server
	env *adapter.Env
}

// Groups returns the methods by their namespaces. What they commit and read is the ledger's of env.
func Groups(s *group.Server, env *adapter.Env) map[string]any {
	own := server{s, env}
	nodes := &Nodes{own}
	return map[string]any{"evm": &EVM{own}, "hardhat": nodes, "anvil": nodes, "eth": newAccounts(own), "personal": &Personal{newAccounts(own)}}
}

// do commits a call.
func (s server) do(ctx context.Context, c *development.Call) (development.Reply, error) {
	r := s.env.Submit(ctx, &adapter.Call{Caller: s.Caller(ctx), Payload: c.Payload(), Decoded: c, Done: ctx.Done()})[0]
	if r.Err != nil {
		return 0, s.Refuse(r.Err)
	}
	return development.DecodeReply(r.Reply), nil
}

// yes commits a call whose result is whether it did something.
func (s server) yes(ctx context.Context, c development.Call) (bool, error) {
	r, err := s.do(ctx, &c)
	return r == 1, err
}

// mode is that of the newest state.
func (s server) mode() (*development.Mode, error) {
	state := s.env.State.Snapshot()
	defer state.Release()
	m, err := development.Read(state)
	return m, s.Fail(err)
}

// maxMined is how many blocks one request makes at most.
const maxMined = 1 << 16

// mine makes blocks, which are step seconds apart after the first; 0 leaves that to the mode.
func (s server) mine(ctx context.Context, count, step uint64) error {
	if count > maxMined {
		return invalid("%d blocks: expected at most %d: each is a block of the ledger", count, maxMined)
	}
	for first := true; count > 0; first = false {
		c := development.Call{Kind: development.Mine, Number: min(count, development.MaxMined), Word: common.BigToHash(hexutil.MustDecodeBig(hexutil.EncodeUint64(step)))}
		if !first && step > 0 { // so that the first one of these is step after the last of those
			if err := s.after(ctx, step); err != nil {
				return err
			}
		}
		if _, err := s.do(ctx, &c); err != nil {
			return err
		}
		count -= c.Number
	}
	return nil
}

// after sets the time of the next block so many seconds after the newest one.
func (s server) after(ctx context.Context, step uint64) error {
	state := s.env.State.Snapshot()
	head, _, err := rows.ReadHead(state)
	state.Release()
	if err == nil {
		_, err = s.do(ctx, &development.Call{Kind: development.Next, Number: head.Time + step})
	}
	return err
}

func invalid(format string, args ...any) error {
	return group.Errorf(group.CodeInvalidParams, format, args...)
}

// EVM is the namespace evm.
type EVM struct{ s server }

// Snapshot remembers the state of the chain. The result is its id.
func (m *EVM) Snapshot(ctx context.Context) (hexutil.Uint64, error) {
	id, err := m.s.do(ctx, &development.Call{Kind: development.Take})
	return hexutil.Uint64(id), err
}

// Revert takes back what came after a snapshot, which can be used once. It is false if there is none by this id.
func (m *EVM) Revert(ctx context.Context, id amount) (bool, error) {
	number, err := id.uint64("snapshot")
	if err != nil || number == 0 {
		return false, err
	}
	return m.s.yes(ctx, development.Call{Kind: development.Revert, Number: number})
}

// Mine makes a block, of a time if one is given.
func (m *EVM) Mine(ctx context.Context, at *amount) (string, error) {
	time, err := at.optional(0, "timestamp")
	if err == nil && time > 0 {
		_, err = m.s.do(ctx, &development.Call{Kind: development.Next, Number: time})
	}
	if err == nil {
		err = m.s.mine(ctx, 1, 0)
	}
	return "0x0", err
}

// IncreaseTime moves the time of later blocks. The result is by how many seconds it is ahead in all, in decimal.
func (m *EVM) IncreaseTime(ctx context.Context, by seconds) (string, error) {
	total, err := m.s.do(ctx, &development.Call{Kind: development.Increase, Number: uint64(by)})
	return strconv.FormatInt(int64(total), 10), err
}

// SetNextBlockTimestamp is the time of the next block, in seconds.
func (m *EVM) SetNextBlockTimestamp(ctx context.Context, at amount) (string, error) {
	time, err := at.uint64("timestamp")
	if err == nil {
		_, err = m.s.do(ctx, &development.Call{Kind: development.Next, Number: time})
	}
	return strconv.FormatUint(time, 10), err
}

// SetAutomine says whether each transaction makes its block at once. What waits is mined when it is switched on.
func (m *EVM) SetAutomine(ctx context.Context, on bool) (bool, error) {
	ok, err := m.s.yes(ctx, development.Call{Kind: development.Automine, Number: flag(on)})
	if err == nil && on && m.s.waiting() {
		err = m.s.mine(ctx, 1, 0)
	}
	return ok, err
}

// waiting reports whether transactions wait for a block.
func (s server) waiting() bool {
	state := s.env.State.Snapshot()
	defer state.Release()
	pool, err := development.Pool(state)
	return err == nil && len(pool) > 0
}

// SetIntervalMining has a block made every so many milliseconds; 0 ends that. Of two numbers the second counts.
func (m *EVM) SetIntervalMining(ctx context.Context, every interval) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Interval, Number: uint64(every)})
}

// SetBlockGasLimit is the gas limit of later blocks.
func (m *EVM) SetBlockGasLimit(ctx context.Context, limit amount) (bool, error) {
	gas, err := limit.uint64("gas limit")
	if err != nil {
		return false, err
	}
	return m.s.yes(ctx, development.Call{Kind: development.GasLimit, Number: gas})
}

// Nodes is the namespaces hardhat and anvil.
type Nodes struct{ s server }

// SetBalance sets what an account holds, in wei.
func (m *Nodes) SetBalance(ctx context.Context, addr common.Address, wei amount) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Balance, Address: addr, Data: wei.Bytes()})
}

// SetCode sets an account's code.
func (m *Nodes) SetCode(ctx context.Context, addr common.Address, code hexutil.Bytes) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Code, Address: addr, Data: code})
}

// SetStorageAt sets a slot of a contract.
func (m *Nodes) SetStorageAt(ctx context.Context, addr common.Address, slot, value word) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Slot, Address: addr, Word: common.Hash(slot), Data: value[:]})
}

// SetNonce raises the nonce of an account.
func (m *Nodes) SetNonce(ctx context.Context, addr common.Address, nonce amount) (bool, error) {
	n, err := nonce.uint64("nonce")
	if err != nil {
		return false, err
	}
	if m.s.waiting() {
		return false, invalid("cannot set account nonce when the transaction pool is not empty")
	}
	return m.s.yes(ctx, development.Call{Kind: development.Nonce, Address: addr, Number: n})
}

// ImpersonateAccount lets transactions be sent from an address of which nobody has the key.
func (m *Nodes) ImpersonateAccount(ctx context.Context, addr common.Address) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Impersonate, Address: addr})
}

// StopImpersonatingAccount ends that. It is false if the address was not impersonated.
func (m *Nodes) StopImpersonatingAccount(ctx context.Context, addr common.Address) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Stop, Address: addr})
}

// AutoImpersonateAccount lets transactions be sent from all addresses.
func (m *Nodes) AutoImpersonateAccount(ctx context.Context, on bool) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Everybody, Number: flag(on)})
}

// Mine makes blocks, one if no number is given, which are so many seconds apart.
func (m *Nodes) Mine(ctx context.Context, count, step *amount) (bool, error) {
	n, err := count.optional(1, "blocks")
	if err != nil {
		return false, err
	}
	apart, err := step.optional(0, "seconds between blocks")
	if err != nil {
		return false, err
	}
	return true, m.s.mine(ctx, n, apart)
}

// fork is what hardhat_reset and anvil_reset may be given.
type fork struct {
	Forking any `json:"forking"`
}

// Reset takes back all blocks but the first.
func (m *Nodes) Reset(ctx context.Context, of *fork) (bool, error) {
	if of != nil && of.Forking != nil {
		return false, m.s.refused("the state of another chain is not read from here, so there is no forking")
	}
	return m.s.yes(ctx, development.Call{Kind: development.Revert})
}

// DropTransaction forgets a transaction that waits for a block. It is false if none does by this hash.
func (m *Nodes) DropTransaction(ctx context.Context, hash common.Hash) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Drop, Word: hash})
}

// SetCoinbase is the address that later blocks name.
func (m *Nodes) SetCoinbase(ctx context.Context, addr common.Address) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Coinbase, Address: addr})
}

// SetPrevRandao is PREVRANDAO of the next block.
func (m *Nodes) SetPrevRandao(ctx context.Context, value word) (bool, error) {
	return m.s.yes(ctx, development.Call{Kind: development.Random, Word: common.Hash(value)})
}

// GetAutomine reports whether each transaction makes its block at once.
func (m *Nodes) GetAutomine() (bool, error) {
	mode, err := m.s.mode()
	if err != nil {
		return false, err
	}
	return !mode.Held, nil
}

// metadata is what hardhat_metadata tells.
type metadata struct {
	ClientVersion string         `json:"clientVersion"`
	ChainID       hexutil.Uint64 `json:"chainId"`
	Instance      common.Hash    `json:"instanceId"`
	Number        uint64         `json:"latestBlockNumber"`
	Hash          common.Hash    `json:"latestBlockHash"`
}

// Metadata describes the node. The instance is the network.
func (m *Nodes) Metadata() (*metadata, error) {
	out := &metadata{ClientVersion: "Coco", ChainID: hexutil.Uint64(m.s.Ledger.ChainID().Uint64()), Instance: common.Hash(m.s.env.Network)}
	if head := m.s.Ledger.Head(); head != nil {
		out.Number, out.Hash = head.Number(), head.Hash
	}
	return out, nil
}

// SetLoggingEnabled does nothing: a node writes no log of its calls for those who make them.
func (m *Nodes) SetLoggingEnabled(bool) bool { return true }

// SetNextBlockBaseFeePerGas accepts the base fee that there is.
func (m *Nodes) SetNextBlockBaseFeePerGas(fee amount) (bool, error) {
	if fee.Sign() == 0 {
		return true, nil
	}
	return false, m.s.refused("gas is free, and the base fee of every block is 0")
}

// SetMinGasPrice accepts the price that there is.
func (m *Nodes) SetMinGasPrice(price amount) (bool, error) {
	if price.Cmp(m.s.Ledger.Tip()) == 0 {
		return true, nil
	}
	return false, m.s.refused("the least price is the setting min_gas_price of the network: coco gov propose set adapters.ethereum.min_gas_price …")
}

// AddCompilationResult is refused.
func (m *Nodes) AddCompilationResult(any, any, any) (bool, error) {
	return false, m.s.refused("a node does not know sources: take debug_traceTransaction, and what a failed call returns")
}

// SetChainId is refused.
func (m *Nodes) SetChainId(any) (bool, error) {
	return false, m.s.refused("the chain id is fixed when the network begins: coco up --dev --fresh --chain-id …")
}

// SetBlockTimestampInterval is refused.
func (m *Nodes) SetBlockTimestampInterval(any) (bool, error) {
	return false, m.s.refused("blocks are made at the ledger's time, at least a second apart: set the next one's by evm_setNextBlockTimestamp")
}

// DumpState is refused.
func (m *Nodes) DumpState() (bool, error) {
	return false, m.s.refused("the network keeps its state in its folder: coco up goes on with it")
}

// LoadState is refused.
func (m *Nodes) LoadState(any) (bool, error) {
	return false, m.s.refused("set accounts one by one by hardhat_setBalance, hardhat_setCode and hardhat_setStorageAt, or begin with the setting alloc")
}

func (s server) refused(reason string) error {
	return group.Errorf(group.CodeServer, "%v", fmt.Errorf("not offered in a network of Coco: %s", reason))
}
