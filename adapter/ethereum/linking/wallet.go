package linking

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
)

// This file is a wallet's part, for commands: from the typed data that a node has made to what it is asked to commit.

// ParseAddress reads an address. The error is coco.ErrInvalid.
func ParseAddress(text string) (common.Address, error) {
	if !common.IsHexAddress(text) {
		return common.Address{}, fmt.Errorf("%w: address %q: expected 20 bytes in hexadecimal", coco.ErrInvalid, text)
	}
	return common.HexToAddress(text), nil
}

// ParseSignature reads a signature in hexadecimal. The error is coco.ErrInvalid.
func ParseSignature(text string) ([]byte, error) {
	sig, err := hexutil.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%w: a signature: expected 65 bytes in hexadecimal: %w", coco.ErrInvalid, err)
	}
	return sig, nil
}

// Wallet is the key of an address. It prints nothing of itself.
type Wallet struct{ private *ecdsa.PrivateKey }

// ParseWallet reads a private key in hexadecimal. The error is coco.ErrInvalid and does not contain it.
func ParseWallet(text []byte) (Wallet, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(string(bytes.TrimSpace(text)), "0x"))
	if err == nil {
		if private, err := crypto.ToECDSA(raw); err == nil {
			return Wallet{private}, nil
		}
	}
	return Wallet{}, fmt.Errorf("%w: expected a private key of 32 bytes in hexadecimal", coco.ErrInvalid)
}

// Format implements fmt.Formatter.
func (w Wallet) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, "wallet") }

// MarshalJSON implements json.Marshaler.
func (w Wallet) MarshalJSON() ([]byte, error) { return []byte(`"wallet"`), nil }

// Address returns the key's address.
func (w Wallet) Address() common.Address { return crypto.PubkeyToAddress(w.private.PublicKey) }

// Sign signs a statement for a network.
func (w Wallet) Sign(s Statement, of owncall.Network) ([]byte, error) {
	sig, err := crypto.Sign(s.Hash(of).Bytes(), w.private)
	if err != nil {
		return nil, err
	}
	sig[64] += 27
	return sig, nil
}

// ParseTypedData reads typed data as Statement.TypedData makes it. The error is coco.ErrInvalid.
func ParseTypedData(text []byte) (s Statement, of owncall.Network, err error) {
	var t struct {
		Domain struct {
			ChainID json.Number   `json:"chainId"`
			Salt    hexutil.Bytes `json:"salt"`
		} `json:"domain"`
		Message Statement `json:"message"`
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return s, of, fmt.Errorf("%w: typed data of a link: %w", coco.ErrInvalid, err)
	}
	id, ok := new(big.Int).SetString(t.Domain.ChainID.String(), 10)
	if !ok || len(t.Domain.Salt) != len(of.ID) {
		return s, of, fmt.Errorf("%w: typed data of a link: it names no network (chainId, salt)", coco.ErrInvalid)
	}
	return t.Message, owncall.Network{ChainID: id, ID: coco.Digest(t.Domain.Salt)}, nil
}
