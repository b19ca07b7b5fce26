package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/setting"
)

// From when on a vote about a setting counts.
const (
	nextBlock       = "the next block"
	nextTransaction = "the next transaction"
	nextCall        = "the next call"
	nextRequest     = "the next request"
)

// Table lists the settings. Whatever votes may change is independent of the rest; see package setting.
func Table() setting.Table {
	t := setting.Table{
		{Name: "chain_id", Values: setting.Range{Min: 1, Max: maxChainID}, Meaning: "what transactions are signed for; required", Fixed: "all transactions so far are signed for it"},
		{Name: "fork", Values: setting.Words(forkNames()), Meaning: "the rules of the EVM; not with `pin`. No transaction names its chain before `spurious-dragon`, so `allow_unprotected` is needed there", Fixed: "the blocks so far are executed by it"},
		{Name: "alloc", Meaning: "the state of block 0, by address: `balance`, `nonce`, `code`, `storage`; what an account does not mention is zero", Fixed: "it is block 0"},
		{
			Name: "upgrades", Values: upgrades{}, Absent: "{}", Rules: 3, Takes: "the first block of that time",
			Meaning: "forks that follow `fork`, by their names, and when: the first block of that time in seconds, or later, has the fork's rules. A vote sets times after its own end; see [Forks](json-rpc.md#forks)",
		},
		{Name: "imported", Meaning: "the SHA-256 of the files that block 0 was made of: `genesis`, a genesis.json; `state`, a dump of a chain's state, with its `state_root`. See [Genesis](json-rpc.md#genesis)", Fixed: "it is where block 0 comes from"},
		{
			Name: "predeploys", Fixed: "it is block 0",
			Meaning: "contracts in block 0 that tools expect at the same address on every chain: `create2-deployer` (0x4e59b44847b379578588920cA78FbF26c0B4956C, of salted `forge script`), `multicall3` (0xcA11bde05977b3631167028862bE2a173976CA11), `entrypoint-v0.6` and `entrypoint-v0.7` of ERC-4337 (0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789, 0x0000000071727De22E5E9d8BAf0edAc6f37da032), `erc1820-registry` (0x1820a4B7618BdE71Dce8cdc73aAB6C95905faD24), `safe-singleton-factory` (0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7). On a page only: they are stored as accounts of `alloc`. `coco up` has the first two",
		},
		{Name: "links", Meaning: "whose addresses are when the network starts, by address: `actor` (an organisation's id) and `user`; see [Links](json-rpc.md#links)", Fixed: "the network has begun with it", Rules: 3},
		{
			Name: "development", Values: setting.Switch{}, Absent: "false", Fixed: "the network has begun with it", Rules: 3,
			Meaning: "unlocked accounts, and the methods by which Hardhat and Foundry drive a node of theirs, see [Development mode](json-rpc.md#development-mode); only a network with `network.insecure` starts with it. `coco up --dev` has it",
		},
		{Name: "pin", Meaning: "executes everything in the context of one block of the mainnet, as `coco bench mainnet` does; with it no vote changes any setting", Fixed: "the blocks so far are executed by it"},
		{Name: "gas_limit", Meaning: "of a block; not with `pin`. A vote changes it at once, not by a thousandth a block as Ethereum's validators do", Takes: nextBlock},
		{Name: "call_gas_limit", Meaning: "of `eth_call` and `eth_estimateGas`", Takes: nextCall},
		{Name: "max_tx_bytes", Meaning: "of one transaction", Takes: nextTransaction},
		{Name: "min_gas_price", Meaning: "the least tip that a transaction offers, in wei", Takes: nextTransaction},
		{Name: "coinbase", Values: address{}, Meaning: "receives the fees of those who offer any; not with `pin`", Takes: nextBlock},
		{Name: "allow_unprotected", Values: setting.Switch{}, Meaning: "admits transactions without a chain id (before EIP-155), which could be replayed from other chains; with `pin` true", Takes: nextTransaction},
		{Name: "gap_wait_ms", Meaning: "how long a transaction waits for lower nonces", Takes: nextTransaction},
		{Name: "gap_per_sender", Meaning: "transactions of one sender that wait for lower nonces", Takes: nextTransaction},
		{Name: "gap_total", Meaning: "transactions of all senders that wait for lower nonces", Takes: nextTransaction},
		{Name: "gap_bytes", Meaning: "size together of the transactions that wait for lower nonces", Takes: nextTransaction},
		{
			Name: "timestamps", Values: setting.Words{string(Real), string(Increasing)}, Absent: strconv.Quote(string(Real)),
			Meaning: "how the times of blocks follow one another, see [Blocks and states](json-rpc.md#blocks-and-states)", Takes: nextBlock,
		},
		{Name: "confirmation_blocks", Absent: "0", Meaning: "blocks without transactions after the last one with some; with `pin` 0", Takes: nextBlock},
		{Name: "authenticated_calls", Values: credentials{}, Absent: "[]", Rules: 3, Meaning: "credentials by which callers send from their linked addresses without a signature, see [Calls without a signature](json-rpc.md#calls-without-a-signature)", Takes: nextTransaction},
		{Name: "empty_blocks", Values: setting.Switch{}, Absent: "false", Rules: 3, Meaning: "blocks without transactions follow for ever, see [Batching](json-rpc.md#batching)", Takes: nextBlock},
		{Name: "block_transactions", Absent: strconv.Itoa(maxBlockTransactions), Rules: 3, Meaning: "the most transactions of a block", Takes: nextBlock},
		{Name: "block_bytes", Absent: strconv.Itoa(maxBlockBytes), Rules: 3, Meaning: "the most bytes that a block's transactions have together; the first one is admitted whatever its size", Takes: nextBlock},
		{Name: "block_wait_ms", Absent: "0", Rules: 3, Meaning: "how long a block waits for more transactions after its first, unless they fill it", Takes: nextBlock},
		{Name: "block_interval_ms", Absent: "0", Rules: 3, Meaning: "blocks begin at multiples of this time, at most one at each; 0: as soon as a transaction waits. With it `block_wait_ms` does not count", Takes: nextBlock},
		{
			Name: "visibility", Values: setting.Words{string(Network), string(Closed)}, Absent: strconv.Quote(string(Network)), Rules: 3,
			Meaning: "who sees what: every caller everything, or each its own and what contracts admit, see [Access](access.md); with `pin` `network`. `coco up` has `network`, `coco up --closed` `closed`", Takes: nextRequest,
		},
		{Name: "auditors", Values: names{}, Absent: "[]", Rules: 3, Meaning: "names of the organisations that see everything in a closed network", Takes: nextRequest},
		{Name: "counts", Values: setting.Switch{}, Absent: "false", Rules: 3, Meaning: "blocks of a closed network tell how many transactions they hide", Takes: nextRequest},
		{Name: "policies", Values: policies{}, Absent: "{}", Rules: 3, Meaning: "who may see what of single contracts of a closed network, see [Policies](access.md#a-policy-from-outside); an empty `policy` ends the deployer's", Takes: nextRequest},
	}
	for _, f := range new(RPC).fields() {
		takes := nextRequest
		if f.name == "connection_calls" {
			takes = "the next connection"
		}
		t = append(t, setting.Setting{Name: "rpc." + f.name, Default: strconv.Itoa(f.standard), Meaning: "see [Limits](json-rpc.md#limits); on a page 0 is the default", Takes: takes})
	}
	defaults := defaults(false)
	for i := range t {
		s := &t[i]
		if v := defaults[s.Name]; v != nil {
			s.Default = string(v)
		}
		for _, b := range bounds() {
			if b.name == s.Name {
				s.Values = b.Range
			}
		}
	}
	return t
}

// Check says why a vote may not lead to a section in which each setting has one of its values. The error is coco.ErrInvalid.
func Check(section []byte) error {
	s, err := Parse(section)
	if err == nil && s.Pin != nil {
		err = fmt.Errorf("%w: ethereum settings: no vote changes those of a pinned network: its block says them", coco.ErrInvalid)
	}
	return err
}

// address are the addresses of accounts.
type address struct{}

// Check implements setting.Values.
func (address) Check(value []byte) error {
	var text string
	if json.Unmarshal(value, &text) != nil || !common.IsHexAddress(text) || len(text) != 2+2*common.AddressLength {
		return errors.New("expected an address, 0x and 40 hexadecimal digits, found " + clip(value))
	}
	return nil
}

func (address) String() string { return "an address" }

// Ends implements setting.Values.
func (address) Ends() []string {
	return []string{strconv.Quote(common.Address{}.Hex()), strconv.Quote(common.MaxAddress.Hex())}
}
