// Package account is what the examples about contracts share: an organisation's account, which asks the organisation's own node. It uses
// go-ethereum's client, as a program for any Ethereum network would, and nothing of Coco's but the addresses and keys that `coco up` writes
// into sandbox.json.
//
// Trust: host
package account

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/cocoframework/coco/internal/contracts"
)

// Account is an account of an organisation, at the organisation's node.
type Account struct {
	*ethclient.Client
	Name    string // of the organisation
	Address common.Address

	key   *ecdsa.PrivateKey
	chain *big.Int
}

// Sandbox returns an account of each organisation of the network that `coco up` runs in a folder.
func Sandbox(ctx context.Context, dir string) (accounts []*Account, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "sandbox.json"))
	if err != nil {
		return nil, fmt.Errorf("start a network first, by coco up --closed: %w", err)
	}
	var network struct {
		Nodes []struct {
			Member string `json:"member"`
			HTTP   string `json:"http"`
		} `json:"nodes"`
		Accounts []struct {
			Key string `json:"key"`
		} `json:"accounts"`
	}
	if err := json.Unmarshal(text, &network); err != nil {
		return nil, err
	}
	for i, node := range network.Nodes {
		a := &Account{Name: node.Member}
		if a.key, err = crypto.HexToECDSA(strings.TrimPrefix(network.Accounts[i].Key, "0x")); err != nil {
			return nil, err
		}
		a.Address = crypto.PubkeyToAddress(a.key.PublicKey)
		// linearizable: another node's answer has what one has just committed
		if a.Client, err = ethclient.DialContext(ctx, node.HTTP+"/rpc?consistency=linearizable"); err != nil {
			return nil, err
		}
		if a.chain, err = a.ChainID(ctx); err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	return accounts, nil
}

// Create creates a contract, by a transaction of the account.
func (a *Account) Create(ctx context.Context, c *contracts.Artefact, args ...any) (common.Address, error) {
	input, err := c.ABI.Pack("", args...)
	if err != nil {
		return common.Address{}, err
	}
	r, err := a.send(ctx, nil, append(c.Bytecode[:len(c.Bytecode):len(c.Bytecode)], input...))
	if err != nil {
		return common.Address{}, err
	}
	return r.ContractAddress, nil
}

// Send calls a method of a contract by a transaction.
func (a *Account) Send(ctx context.Context, contract common.Address, c *contracts.Artefact, method string, args ...any) error {
	input, err := c.ABI.Pack(method, args...)
	if err == nil {
		_, err = a.send(ctx, &contract, input)
	}
	return err
}

func (a *Account) send(ctx context.Context, to *common.Address, data []byte) (*types.Receipt, error) {
	nonce, err := a.PendingNonceAt(ctx, a.Address)
	if err != nil {
		return nil, err
	}
	tx, err := types.SignNewTx(a.key, types.LatestSignerForChainID(a.chain), &types.DynamicFeeTx{
		ChainID: a.chain, Nonce: nonce, To: to, Gas: 3_000_000, Data: data, GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Value: new(big.Int),
	})
	if err != nil {
		return nil, err
	}
	if err := a.SendTransaction(ctx, tx); err != nil { // Coco answers when it is committed
		return nil, err
	}
	r, err := a.TransactionReceipt(ctx, tx.Hash())
	if err == nil && r.Status != types.ReceiptStatusSuccessful {
		err = errors.New("the transaction failed")
	}
	return r, err
}

// Hidden is what Call answers where a contract does not admit the account: the call returns no bytes, as one to an account without code does.
const Hidden = "nothing"

// Call returns the result of a method that returns one value, as text.
func (a *Account) Call(ctx context.Context, contract common.Address, c *contracts.Artefact, method string, args ...any) (string, error) {
	input, err := c.ABI.Pack(method, args...)
	if err != nil {
		return "", err
	}
	returned, err := a.CallContract(ctx, ethereum.CallMsg{From: a.Address, To: &contract, Data: input}, nil)
	if err != nil || len(returned) == 0 {
		return Hidden, err
	}
	values, err := c.ABI.Unpack(method, returned)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(values[0]), nil
}

// Events returns how many events of a contract the account sees.
func (a *Account) Events(ctx context.Context, contract common.Address) (int, error) {
	logs, err := a.FilterLogs(ctx, ethereum.FilterQuery{Addresses: []common.Address{contract}})
	return len(logs), err
}

// Compare asks the same of each account's node, and writes the answers and how many events each sees.
func Compare(ctx context.Context, w io.Writer, accounts []*Account, contract common.Address, question string, ask func(*Account) (string, error)) error {
	fmt.Fprintln(w, question)
	for _, a := range accounts {
		answer, err := ask(a)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		events, err := a.Events(ctx, contract)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		fmt.Fprintf(w, "  %-8s is told %s, and sees %d events\n", a.Name, answer, events)
	}
	return nil
}
