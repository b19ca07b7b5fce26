package ethereum

import (
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

func TestClaimsOfATransactionAreExplained(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	to, from := common.Address{7}, crypto.PubkeyToAddress(key.PublicKey)
	logs := []*types.Log{{Address: common.Address{9}, Topics: []common.Hash{{5}}, Data: []byte{1, 2}}}
	legacy, unprotected := &types.LegacyTx{Nonce: 4, To: &to, Gas: 21000, GasPrice: new(big.Int), Value: big.NewInt(12)}, types.Signer(types.HomesteadSigner{})
	for name, c := range map[string]struct {
		data   types.TxData
		signer types.Signer
		to     string
	}{
		"dynamic fees": {&types.DynamicFeeTx{ChainID: big.NewInt(77), Nonce: 4, To: &to, Gas: 21000, GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Value: big.NewInt(12)}, types.LatestSignerForChainID(big.NewInt(77)), to.Hex()},
		"legacy":       {legacy, types.LatestSignerForChainID(big.NewInt(77)), to.Hex()},
		"unprotected":  {legacy, unprotected, to.Hex()},
		"creation":     {&types.LegacyTx{Nonce: 4, Gas: 21000, GasPrice: new(big.Int), Value: big.NewInt(12)}, types.LatestSignerForChainID(big.NewInt(77)), "none: it creates a contract"},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := types.SignNewTx(key, c.signer, c.data)
			if err != nil {
				t.Fatal(err)
			}
			hash := tx.Hash()
			row := rows.Tx{Block: 300, Index: 1, Status: 1, Cumulative: 42000, Logs: rows.EncodeLogs(logs)}
			claims, _ := rows.EncodeClaims(&hash, tx.Type(), &row, &types.Bloom{})
			raw, err := tx.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			for _, content := range [][]byte{raw, []byte(hexutil.Encode(raw) + "\n")} {
				facts, err := ethereum{}.Explain(claims, content)
				if err != nil {
					t.Fatal(err)
				}
				found := map[string]string{}
				for _, f := range facts {
					found[f.Name] = f.Value
				}
				want := map[string]string{
					"hash": hash.Hex(), "block": "300", "index": "1", "type": fmt.Sprint(tx.Type()), "status": "success", "cumulative_gas": "42000",
					"log": logs[0].Address.Hex(), "from": from.Hex(), "to": c.to, "value": "12", "nonce": "4",
				}
				if fmt.Sprint(found) != fmt.Sprint(want) {
					t.Errorf("explained as %v, expected %v", found, want)
				}
			}
			raw[len(raw)-1] ^= 1
			if _, err := (ethereum{}).Explain(claims, raw); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("another transaction: %v", err)
			}
			for n := range claims {
				if facts, err := (ethereum{}).Explain(claims[:n], nil); facts != nil || err != nil {
					t.Fatalf("the first %d bytes of claims: %v, %v", n, facts, err)
				}
			}
		})
	}
}
