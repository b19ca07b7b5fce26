package chain

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/crypto"
)

func TestPredeployedContractsDoTheirWork(t *testing.T) {
	c := newTestChain(t, 1, map[string]any{"predeploys": []string{"create2-deployer", "multicall3"}})
	deployer, multicall := common.HexToAddress("0x4e59b44847b379578588920cA78FbF26c0B4956C"), common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")
	salt := common.Hash{7}
	init := initCode([]byte{0x60, 0x01})
	included_(t, c.execute(c.call(c.sign(0, 0, &deployer, 200_000, 0, append(salt.Bytes(), init...)))), 1)
	v := c.Latest()
	defer v.Release()
	code, err := v.Code(t.Context(), crypto.CreateAddress2(deployer, salt, crypto.Keccak256(init)))
	must(t, err)
	sameBytes(t, "code of the salted contract", code, []byte{0x60, 0x01})

	r, err := c.Call(t.Context(), v, &core.Message{To: &multicall, Data: crypto.Keccak256([]byte("getChainId()"))[:4]}, nil)
	must(t, err)
	must(t, r.Err)
	equal(t, "chain id by multicall", new(big.Int).SetBytes(r.Return).Int64(), testChainID)
	newAuditor(c).follow(c)
}
