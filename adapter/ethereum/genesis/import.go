package genesis

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	gethstate "github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/triedb"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// Section is what settings of a new network a genesis makes: the chain's id, the forks, the gas limit, the receiver of fees and the state. They are an adapter's section of a page, which
// Complete completes. now is the time in seconds at which it is made: what the genesis schedules before it holds from block 0 on. Of a later state than block 0 (ReadDump replaces
// alloc) all that goes by blocks holds already: then later is set.
//
// The error is coco.ErrInvalid and says what a network cannot follow, where, and what is expected.
func Section(g *core.Genesis, now uint64, later bool) (map[string]any, error) {
	fork, upgrades, err := forks(g.Config, now, later)
	if err != nil {
		return nil, fmt.Errorf("%w: config.%w", coco.ErrInvalid, err)
	}
	alloc := map[string]any{}
	for addr, a := range g.Alloc {
		if a.Balance != nil && a.Balance.BitLen() > 256 {
			return nil, fmt.Errorf("%w: alloc.%v.balance: expected a number of 256 bits, found one of %d", coco.ErrInvalid, addr, a.Balance.BitLen())
		}
		alloc[addr.Hex()] = accountOf(&a)
	}
	out := map[string]any{"chain_id": number(g.Config.ChainID.Uint64()), "fork": fork, "gas_limit": number(g.GasLimit), "coinbase": g.Coinbase.Hex(), "alloc": alloc}
	if len(upgrades) > 0 {
		out["upgrades"] = upgrades
	}
	return out, nil
}

// number is one in JSON, whatever its size.
func number(n uint64) json.Number { return json.Number(strconv.FormatUint(n, 10)) }

func accountOf(a *types.Account) map[string]any {
	out := map[string]any{}
	if a.Balance != nil && a.Balance.Sign() > 0 {
		out["balance"] = a.Balance.String()
	}
	if a.Nonce > 0 {
		out["nonce"] = number(a.Nonce)
	}
	if len(a.Code) > 0 {
		out["code"] = hexutil.Encode(a.Code)
	}
	slots := map[string]any{}
	for k, v := range a.Storage {
		if v != (common.Hash{}) {
			slots[k.Hex()] = v.Hex()
		}
	}
	if len(slots) > 0 {
		out["storage"] = slots
	}
	return out
}

// forks says which named rules a schedule has in block 0, and which follow at a time.
func forks(c *params.ChainConfig, now uint64, later bool) (fork string, upgrades map[string]any, err error) {
	if c.DAOForkBlock != nil && c.DAOForkSupport {
		return "", nil, fmt.Errorf("daoForkBlock: expected none, found %v: this ledger does not move the DAO's balances", c.DAOForkBlock)
	}
	merged := c.TerminalTotalDifficulty != nil && (later || c.TerminalTotalDifficulty.Sign() == 0)
	if !merged && c.TerminalTotalDifficulty != nil && c.ShanghaiTime != nil {
		return "", nil, fmt.Errorf("terminalTotalDifficulty: expected 0, found %v: no block is mined here, so a chain is merged from block 0 on or never (with --state it is of a chain that is)", c.TerminalTotalDifficulty)
	}
	var gap error // the first fork that block 0 does not follow
	for _, f := range []struct {
		name, field string
		block       *big.Int
		time        *uint64
	}{
		{name: "homestead", field: "homesteadBlock", block: c.HomesteadBlock},
		{name: "tangerine-whistle", field: "eip150Block", block: c.EIP150Block},
		{name: "spurious-dragon", field: "eip158Block", block: c.EIP158Block},
		{name: "byzantium", field: "byzantiumBlock", block: c.ByzantiumBlock},
		{name: "constantinople", field: "petersburgBlock", block: cmp.Or(c.PetersburgBlock, c.ConstantinopleBlock)},
		{name: "istanbul", field: "istanbulBlock", block: c.IstanbulBlock},
		{name: "berlin", field: "berlinBlock", block: c.BerlinBlock},
		{name: "london", field: "londonBlock", block: c.LondonBlock},
		{name: "paris", field: "terminalTotalDifficulty"},
		{name: "shanghai", field: "shanghaiTime", time: c.ShanghaiTime},
		{name: "cancun", field: "cancunTime", time: c.CancunTime},
		{name: "prague", field: "pragueTime", time: c.PragueTime},
		{name: "osaka", field: "osakaTime", time: c.OsakaTime},
	} {
		follows, is := false, ""
		switch {
		case f.name == "paris":
			follows, is = merged, fmt.Sprint(c.TerminalTotalDifficulty)
		case f.block != nil:
			follows, is = later || f.block.Sign() == 0, f.block.String()
		case f.time != nil:
			follows, is = *f.time <= now, strconv.FormatUint(*f.time, 10)
		default:
			if gap == nil {
				gap = fmt.Errorf("%s: there is none", f.field)
			}
			continue
		}
		switch {
		case follows && gap != nil:
			return "", nil, fmt.Errorf("%s: %s holds in block 0, and a fork before it does not (%w): each network follows all forks up to its own", f.field, f.name, gap)
		case follows:
			fork = f.name
		case f.name == "paris":
			if gap == nil {
				gap = fmt.Errorf("%s: %s", f.field, is)
			}
		case f.time != nil && merged:
			if upgrades == nil {
				upgrades = map[string]any{}
			}
			if gap == nil {
				gap = fmt.Errorf("%s: %s", f.field, is)
			}
			upgrades[f.name] = number(*f.time)
		default:
			return "", nil, fmt.Errorf("%s: expected 0, found %s: rules that hold by a block's number hold from block 0 on, and those from Shanghai on change at a time", f.field, is)
		}
	}
	if c.AmsterdamTime != nil {
		return "", nil, fmt.Errorf("amsterdamTime: expected none, found %d: the newest rules that this program knows are those of osaka", *c.AmsterdamTime)
	}
	return cmp.Or(fork, settings.Forks[0].Name), upgrades, nil
}

// Dump is a state that go-ethereum has dumped.
type Dump struct {
	Root     common.Hash
	Accounts uint64
	Alloc    types.GenesisAlloc
}

// maxLine bounds a line of a dump, which is one account: 64 MiB.
const maxLine = 64 << 20

// ReadDump reads what `geth dump --iterative` writes: a line with the state root, and a line for each account. It is checked against that root. The error is coco.ErrInvalid and names the line,
// and coco.ErrVerify if the accounts have another root.
func ReadDump(name string, r io.Reader) (*Dump, error) {
	d := &Dump{Alloc: types.GenesisAlloc{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	n := 0
	fail := func(format string, args ...any) (*Dump, error) {
		return nil, fmt.Errorf("%w: %s: line %d: %w", coco.ErrInvalid, name, n, fmt.Errorf(format, args...))
	}
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if n == 1 {
			var head struct {
				Root *common.Hash `json:"root"`
			}
			if err := json.Unmarshal(line, &head); err != nil || head.Root == nil || bytes.Contains(line, []byte(`"balance"`)) {
				return fail(`expected {"root":"0x…"}, as geth dump --iterative begins, found %.60s`, line)
			}
			d.Root = *head.Root
			continue
		}
		if len(line) == 0 {
			continue
		}
		var a gethstate.DumpAccount
		if err := json.Unmarshal(line, &a); err != nil {
			return fail("expected an account of geth dump: %w", err)
		}
		if a.Address == nil {
			return fail("expected the address of the account, found its hash alone (key %v): the node that dumped it must have preimages (geth --cache.preimages)", a.AddressHash)
		}
		if _, ok := d.Alloc[*a.Address]; ok {
			return fail("account %v is listed twice", a.Address)
		}
		account, err := dumped(&a)
		if err != nil {
			return fail("account %v: %w", a.Address, err)
		}
		d.Alloc[*a.Address] = account
		d.Accounts++
	}
	if err := lines.Err(); err != nil {
		if n++; errors.Is(err, bufio.ErrTooLong) {
			return fail("expected at most %d bytes", maxLine)
		}
		return nil, err
	}
	if n == 0 {
		return fail("expected a dump of geth dump --iterative, found nothing")
	}
	root, err := rootOf(d.Alloc)
	if err != nil {
		return nil, err
	}
	if root != d.Root {
		return nil, fmt.Errorf("%w: %s: its %d accounts have the state root %v, expected %v, which its first line says: a part of the state is missing (dump with storage and code, and without --start or --limit), or was altered", coco.ErrVerify, name, d.Accounts, root, d.Root)
	}
	return d, nil
}

func dumped(a *gethstate.DumpAccount) (types.Account, error) {
	balance, ok := new(big.Int).SetString(a.Balance, 10)
	if !ok || balance.Sign() < 0 || balance.BitLen() > 256 {
		return types.Account{}, fmt.Errorf("balance: expected a number of 256 bits, found %.80q", a.Balance)
	}
	if hash := crypto.Keccak256(a.Code); len(a.CodeHash) > 0 && !bytes.Equal(hash, a.CodeHash) {
		return types.Account{}, fmt.Errorf("code: expected bytes with the hash %v, found %x (dump without --nocode)", a.CodeHash, hash)
	}
	out := types.Account{Balance: balance, Nonce: a.Nonce, Code: a.Code}
	for k, text := range a.Storage {
		if len(text)%2 == 1 {
			text = "0" + text
		}
		v, err := hex.DecodeString(text)
		if err != nil || len(v) > common.HashLength {
			return types.Account{}, fmt.Errorf("storage.%v: expected up to 64 hexadecimal digits, found %.80q", k, text)
		}
		if out.Storage == nil {
			out.Storage = map[common.Hash]common.Hash{}
		}
		out.Storage[k] = common.BytesToHash(v)
	}
	return out, nil
}

// rootOf is the state root of accounts, empty ones included, as go-ethereum computes it.
func rootOf(alloc types.GenesisAlloc) (common.Hash, error) {
	s, err := gethstate.New(types.EmptyRootHash, gethstate.NewDatabase(triedb.NewDatabase(rawdb.NewMemoryDatabase(), nil), nil))
	if err != nil {
		return common.Hash{}, err
	}
	for addr, a := range alloc {
		s.SetBalance(addr, uint256.MustFromBig(a.Balance), tracing.BalanceIncreaseGenesisBalance)
		s.SetCode(addr, a.Code, tracing.CodeChangeGenesis)
		s.SetNonce(addr, a.Nonce, tracing.NonceChangeGenesis)
		for k, v := range a.Storage {
			s.SetState(addr, k, v)
		}
	}
	return s.IntermediateRoot(params.Rules{}), nil
}

// TextOf is a section in JSON, in the order of its names.
func TextOf(section map[string]any) ([]byte, error) { return json.Marshal(section) }
