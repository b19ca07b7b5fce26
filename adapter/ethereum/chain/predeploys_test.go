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

// The entry points keep deposits and nonces, and an account's first operation creates it by their sender creators.
func TestEntryPointsOfERC4337DoTheirWork(t *testing.T) {
	c := newTestChain(t, 1, map[string]any{"predeploys": []string{"entrypoint-v0.6", "entrypoint-v0.7", "erc1820-registry"}})
	for i, entry := range []string{"0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789", "0x0000000071727De22E5E9d8BAf0edAc6f37da032"} {
		at, who := common.HexToAddress(entry), common.LeftPadBytes(c.address(0).Bytes(), 32)
		deposit := append(crypto.Keccak256([]byte("depositTo(address)"))[:4], who...)
		included_(t, c.execute(c.call(c.sign(0, uint64(i), &at, 100_000, 7, deposit))), 1)
		for call, want := range map[string]int64{"balanceOf(address)": 7} {
			v := c.Latest()
			r, err := c.Call(t.Context(), v, &core.Message{To: &at, Data: append(crypto.Keccak256([]byte(call))[:4], who...)}, nil)
			v.Release()
			must(t, err)
			must(t, r.Err)
			equal(t, entry+" "+call, new(big.Int).SetBytes(r.Return).Int64(), want)
		}
	}
	newAuditor(c).follow(c)
}
