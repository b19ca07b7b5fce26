package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/cocoframework/coco/adapter/ethereum/wellknown"
)

// externalSigner is a process that keeps keys and signs, with the JSON-RPC that Web3Signer or Clef documents and nothing else: signer ADDRESS API CHAIN. Its two
// accounts are the first ones of package wellknown.
func externalSigner() {
	flag.Parse()
	s := &signing{api: flag.Arg(1)}
	var err error
	s.accounts, err = wellknown.Accounts(2)
	if err == nil {
		err = json.Unmarshal([]byte(flag.Arg(2)), &s.chain)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	srv := &http.Server{Addr: flag.Arg(0), Handler: s}
	context.AfterFunc(ctx, func() { srv.Close() })
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type signing struct {
	api      string
	chain    uint64
	accounts []wellknown.Account
}

func (s *signing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var call struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	reply := map[string]any{"jsonrpc": "2.0"}
	err := json.NewDecoder(r.Body).Decode(&call)
	if err == nil {
		reply["id"] = call.ID
		reply["result"], err = s.call(call.Method, call.Params)
	}
	if err != nil {
		delete(reply, "result")
		reply["error"] = map[string]any{"code": -32000, "message": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reply)
}

// read reads parameters, which must be as many, and have no unknown members.
func read(params []json.RawMessage, into ...any) error {
	if len(params) != len(into) {
		return fmt.Errorf("expected %d parameters, found %d", len(into), len(params))
	}
	for i, p := range params {
		d := json.NewDecoder(strings.NewReader(string(p)))
		d.DisallowUnknownFields()
		if err := d.Decode(into[i]); err != nil {
			return fmt.Errorf("parameter %d: %w", i, err)
		}
	}
	return nil
}

func (s *signing) call(method string, params []json.RawMessage) (any, error) {
	var address common.Address
	var data hexutil.Bytes
	var kind, text string
	switch s.api + " " + method {
	case "web3signer eth_accounts", "clef account_list":
		return []common.Address{s.accounts[0].Address, s.accounts[1].Address}, nil
	case "web3signer eth_sign":
		if err := read(params, &address, &data); err != nil {
			return nil, err
		}
		return s.sign(address, accounts.TextHash(data))
	case "clef account_signData":
		if err := read(params, &kind, &address, &data); err != nil {
			return nil, err
		}
		if kind != accounts.MimetypeTextPlain {
			return nil, fmt.Errorf("content type %q", kind)
		}
		return s.sign(address, accounts.TextHash(data))
	case "web3signer eth_signTypedData":
		if err := read(params, &address, &text); err != nil {
			return nil, err
		}
		return s.signTyped(address, []byte(text))
	case "clef account_signTypedData":
		if len(params) != 2 {
			return nil, errors.New("expected two parameters")
		}
		if err := read(params[:1], &address); err != nil {
			return nil, err
		}
		return s.signTyped(address, params[1])
	case "web3signer eth_signTransaction":
		var tx struct { // what its documentation lists
			From, To                                                        *common.Address
			Gas, GasPrice, MaxFeePerGas, MaxPriorityFeePerGas, Value, Nonce any
			Data                                                            hexutil.Bytes
		}
		if err := read(params, &tx); err != nil {
			return nil, err
		}
		raw, _, err := s.signTransaction(params[0])
		return raw, err
	case "clef account_signTransaction":
		raw, tx, err := s.signTransaction(params[0])
		return map[string]any{"raw": raw, "tx": tx}, err
	}
	return nil, fmt.Errorf("the method %s does not exist", method)
}

func (s *signing) sign(address common.Address, hash []byte) (hexutil.Bytes, error) {
	for _, a := range s.accounts {
		if a.Address == address {
			sig, err := crypto.Sign(hash, a.Key)
			if err == nil {
				sig[crypto.RecoveryIDOffset] += 27
			}
			return sig, err
		}
	}
	return nil, fmt.Errorf("no account %v", address)
}

func (s *signing) signTyped(address common.Address, text []byte) (hexutil.Bytes, error) {
	var typed apitypes.TypedData
	if err := json.Unmarshal(text, &typed); err != nil {
		return nil, err
	}
	hash, _, err := apitypes.TypedDataAndHash(typed)
	if err != nil {
		return nil, err
	}
	return s.sign(address, hash)
}

func (s *signing) signTransaction(param json.RawMessage) (hexutil.Bytes, *types.Transaction, error) {
	var args apitypes.SendTxArgs
	if err := json.Unmarshal(param, &args); err != nil {
		return nil, nil, err
	}
	if args.ChainID == nil {
		args.ChainID = (*hexutil.Big)(hexutil.MustDecodeBig(hexutil.EncodeUint64(s.chain)))
	} else if args.ChainID.ToInt().Uint64() != s.chain {
		return nil, nil, fmt.Errorf("chain id %v, expected %d", args.ChainID.ToInt(), s.chain)
	}
	unsigned, err := args.ToTransaction()
	if err != nil {
		return nil, nil, err
	}
	for _, a := range s.accounts {
		if a.Address != args.From.Address() {
			continue
		}
		tx, err := types.SignTx(unsigned, types.LatestSignerForChainID(args.ChainID.ToInt()), a.Key)
		if err != nil {
			return nil, nil, err
		}
		raw, err := tx.MarshalBinary()
		return raw, tx, err
	}
	return nil, nil, fmt.Errorf("no account %v", args.From.Address())
}
