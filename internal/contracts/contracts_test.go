package contracts

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm/runtime"
	"github.com/ethereum/go-ethereum/crypto"
)

// chain runs calls in go-ethereum's EVM.
type chain struct {
	t     *testing.T
	cfg   runtime.Config
	token common.Address
}

var (
	owner = common.HexToAddress("0x0a")
	alice = common.HexToAddress("0x0b")
	bob   = common.HexToAddress("0x0c")
)

func deploy(t *testing.T, supply int64) *chain {
	t.Helper()
	db, err := state.New(types.EmptyRootHash, state.NewDatabaseForTesting())
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{t: t, cfg: runtime.Config{State: db, Origin: owner, GasLimit: 10_000_000}}
	_, c.token, _, err = runtime.Create(DeployToken("Token", "TOK", big.NewInt(supply)), &c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *chain) call(from common.Address, data []byte) ([]byte, error) {
	c.cfg.Origin = from
	ret, _, err := runtime.Call(c.token, data, &c.cfg)
	return ret, err
}

func (c *chain) done(from common.Address, data []byte) {
	c.t.Helper()
	if ret, err := c.call(from, data); err != nil {
		c.t.Fatalf("reverted: %s", RevertReason(ret))
	}
}

func (c *chain) refused(from common.Address, data []byte, want string) {
	c.t.Helper()
	ret, err := c.call(from, data)
	if err == nil {
		c.t.Fatalf("accepted, expected %q", want)
	}
	if got := RevertReason(ret); !strings.Contains(got, want) {
		c.t.Fatalf("reverted with %q, expected %q", got, want)
	}
}

func (c *chain) reads(data []byte, want int64) {
	c.t.Helper()
	ret, err := c.call(bob, data)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := Uint(ret)
	if err != nil {
		c.t.Fatal(err)
	}
	if got.Int64() != want {
		c.t.Fatalf("read %v, expected %d", got, want)
	}
}

func TestTokenMovesMintsAndBurns(t *testing.T) {
	c := deploy(t, 1000)
	if code := c.cfg.State.GetCode(c.token); !bytes.Equal(code, Token().DeployedBytecode) {
		t.Error("the deployed code differs from the artefact's")
	}
	c.reads(BalanceOf(owner), 1000)
	c.done(owner, Transfer(alice, big.NewInt(300)))
	c.done(owner, Mint(bob, big.NewInt(7)))
	c.done(owner, MintMany([]common.Address{alice, bob}, big.NewInt(10)))
	c.done(alice, Token().pack("burn", big.NewInt(5)))
	c.done(alice, Token().pack("approve", bob, big.NewInt(50)))
	c.done(bob, Token().pack("transferFrom", alice, owner, big.NewInt(40)))
	c.reads(Token().pack("allowance", alice, bob), 10)
	c.reads(BalanceOf(owner), 740)
	c.reads(BalanceOf(alice), 265)
	c.reads(BalanceOf(bob), 17)
	c.reads(TotalSupply(), 1022)
}

func TestTokenRefusesWithAReason(t *testing.T) {
	c := deploy(t, 10)
	one := big.NewInt(1)
	c.refused(alice, Transfer(bob, one), "ERC20InsufficientBalance(sender="+alice.Hex()+", balance=0, needed=1)")
	c.refused(owner, Transfer(common.Address{}, one), "ERC20InvalidReceiver(receiver=")
	c.refused(alice, Mint(alice, one), "OwnableUnauthorizedAccount(account="+alice.Hex()+")")
	c.refused(owner, Mint(alice, new(big.Int)), "Token: nothing to mint")
	c.refused(bob, Token().pack("transferFrom", owner, bob, one), "ERC20InsufficientAllowance(")
	c.refused(owner, Token().pack("transferOwnership", common.Address{}), "OwnableInvalidOwner(")
	full := new(big.Int).Sub(new(big.Int).Lsh(one, 256), one)
	c.refused(owner, Mint(alice, full), "arithmetic underflow or overflow")
	c.reads(TotalSupply(), 10)
}

func TestUintRefusesOtherLengths(t *testing.T) {
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := Uint(make([]byte, n)); err == nil {
			t.Errorf("%d bytes: accepted", n)
		}
	}
}

func TestRevertReasonOfAnything(t *testing.T) {
	short := crypto.Keccak256([]byte("OwnableUnauthorizedAccount(address)"))[:4]
	for _, ret := range [][]byte{nil, {1}, {1, 2, 3, 4}, short, append(short, 1)} {
		if RevertReason(ret) == "" {
			t.Errorf("%x: no reason", ret)
		}
	}
}
