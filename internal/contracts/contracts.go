// Package contracts holds the Solidity contracts that the demonstration, the load generator, the documentation and
// the tests deploy, with the encoding of the token's calls.
//
// Each artefact is compiled from the source of its name by `npm run contracts` in test/web3, which also checks
// (`-- --check`) that the two agree.
//
// Trust: host
package contracts

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco"
)

//go:embed Token.json
var tokenJSON []byte

//go:embed Shipments.json
var shipmentsJSON []byte

//go:embed TenToken.json
var tenTokenJSON []byte

//go:embed Token.sol
var tokenSource string

// Artefact is a compiled contract.
type Artefact struct {
	Contract string `json:"contract"`
	Compiler struct {
		Name       string `json:"name"`
		Version    string `json:"version"`
		EVMVersion string `json:"evmVersion"`
	} `json:"compiler"`
	ABI              abi.ABI       `json:"abi"`
	Bytecode         hexutil.Bytes `json:"bytecode"`         // creates the contract; the constructor's arguments follow it
	DeployedBytecode hexutil.Bytes `json:"deployedBytecode"` // what is then found at its address
}

// Artefacts of the contracts. They are shared: they MUST NOT be changed.
var (
	// Token is the ERC-20 token.
	Token = artefact("Token", tokenJSON)
	// Shipments decides by its state who sees what of it in a closed network: the example of docs/access.md for the interface CocoAccess.
	Shipments = artefact("Shipments", shipmentsJSON)
	// TenToken is a token that states who sees its events as contracts of the TEN network do.
	TenToken = artefact("TenToken", tenTokenJSON)
)

func artefact(name string, text []byte) func() *Artefact {
	return sync.OnceValue(func() *Artefact {
		var a Artefact
		if err := json.Unmarshal(text, &a); err != nil {
			panic(fmt.Sprintf("contracts: the embedded %s.json is damaged: %v", name, err))
		}
		return &a
	})
}

// TokenSource returns the Solidity source of Token.
func TokenSource() string { return tokenSource }

// DeployToken returns the data of a transaction that creates a token. All of the supply belongs to
// the sender, who becomes the owner.
func DeployToken(name, symbol string, supply *big.Int) []byte {
	return Token().deploy(name, symbol, supply)
}

// DeployTenToken returns the data of a transaction that creates a token whose transfers their two parties see in a closed network.
func DeployTenToken(supply *big.Int) []byte { return TenToken().deploy(supply) }

// Transfer returns the data of transfer(to, value).
func Transfer(to common.Address, value *big.Int) []byte { return Token().pack("transfer", to, value) }

// Mint returns the data of mint(to, value).
func Mint(to common.Address, value *big.Int) []byte { return Token().pack("mint", to, value) }

// MintMany returns the data of mintMany(to, value): the same value for each account.
func MintMany(to []common.Address, value *big.Int) []byte {
	return Token().pack("mintMany", to, value)
}

// BalanceOf returns the data of balanceOf(account).
func BalanceOf(account common.Address) []byte { return Token().pack("balanceOf", account) }

// DeployShipments returns the data of a transaction that creates Shipments, whose inspector sees all.
func DeployShipments(inspector common.Address) []byte { return Shipments().deploy(inspector) }

// Pass returns the data of pass(shipment, to, what).
func Pass(shipment *big.Int, to common.Address, what string) []byte {
	return Shipments().pack("pass", shipment, to, what)
}

// HolderOf returns the data of holderOf(shipment).
func HolderOf(shipment *big.Int) []byte { return Shipments().pack("holderOf", shipment) }

// TotalSupply returns the data of totalSupply().
func TotalSupply() []byte { return Token().pack("totalSupply") }

// Uint decodes the return data of a call that gives one uint256.
func Uint(ret []byte) (*big.Int, error) {
	if len(ret) != 32 {
		return nil, fmt.Errorf("%w: return data: expected one uint256 (32 bytes), found %d bytes; is the contract deployed?", coco.ErrInvalid, len(ret))
	}
	return new(big.Int).SetBytes(ret), nil
}

// RevertReason returns what the return data of a reverted call says, such as
// `Token: nothing to mint` or `ERC20InsufficientBalance(sender=0x…, balance=0, needed=5)`.
func RevertReason(ret []byte) string {
	if len(ret) == 0 {
		return "reverted without a reason"
	}
	if reason, err := abi.UnpackRevert(ret); err == nil {
		return reason
	}
	if len(ret) >= 4 {
		for _, e := range Token().ABI.Errors {
			if !bytes.Equal(e.ID[:4], ret[:4]) {
				continue
			}
			values, err := e.Inputs.Unpack(ret[4:])
			if err != nil {
				break
			}
			args := make([]string, len(values))
			for i, v := range values {
				args[i] = fmt.Sprintf("%s=%v", e.Inputs[i].Name, v)
			}
			return e.Name + "(" + strings.Join(args, ", ") + ")"
		}
	}
	return "reverted with " + hexutil.Encode(ret)
}

// deploy is the data of a transaction that creates the contract, with the constructor's arguments.
func (a *Artefact) deploy(args ...any) []byte {
	return append(bytes.Clone(a.Bytecode), a.pack("", args...)...)
}

// pack encodes a call of a method; the empty name is the constructor. The package's own functions
// fix the types of all arguments, so an error is a defect that the tests would find.
func (a *Artefact) pack(method string, args ...any) []byte {
	data, err := a.ABI.Pack(method, args...)
	if err != nil {
		panic(fmt.Sprintf("contracts: %s.%s: %v", a.Contract, method, err))
	}
	return data
}
