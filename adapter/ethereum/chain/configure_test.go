package chain

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// vote puts other values of settings in force, in JSON by name, as the core does after a vote. It returns the section.
func (c *testChain) vote(values map[string]string) []byte {
	c.t.Helper()
	var all map[string]json.RawMessage
	must(c.t, json.Unmarshal(c.env.Settings, &all))
	for name, v := range values {
		all[name] = json.RawMessage(v)
	}
	next, err := json.Marshal(all)
	must(c.t, err)
	must(c.t, settings.Table().CheckChange(3, c.env.Settings, next))
	must(c.t, settings.Check(next))
	must(c.t, c.Configure(next))
	return next
}

// deployer is the transaction, signed without a chain id, that deploys the proxy of CREATE2 at the same address on every chain:
// github.com/Arachnid/deterministic-deployment-proxy.
const deployer = "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222222222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222"

func TestAVoteAdmitsTheDeployerThatWasSignedForNoChain(t *testing.T) {
	proxy := common.HexToAddress("0x4e59b44847b379578588920cA78FbF26c0B4956C")
	raw, err := hex.DecodeString(deployer)
	must(t, err)
	tx := new(types.Transaction)
	must(t, tx.UnmarshalBinary(raw))
	signer, err := types.Sender(types.HomesteadSigner{}, tx)
	must(t, err)
	c := newTestChain(t, 1, nil)
	included_(t, c.execute(c.call(c.sign(0, 0, &signer, 21000, tx.Cost().Int64(), nil))), 1)
	if _, err := c.DecodeAndCheck(raw); err == nil {
		t.Fatal("it is admitted without a vote")
	}
	c.vote(map[string]string{"allow_unprotected": "true"})
	admitted := c.call(tx)
	// It waits for its turn while another vote takes that back, and is judged by what is in force then.
	c.vote(map[string]string{"allow_unprotected": "false"})
	refused(t, c.execute(admitted), errUnprotected.Error(), coco.ErrInvalid)
	c.vote(map[string]string{"allow_unprotected": "true"})
	included_(t, c.execute(admitted), 1)
	v := c.Latest()
	defer v.Release()
	code, err := v.Code(t.Context(), proxy)
	must(t, err)
	equal(t, "size of the proxy's code", len(code), 69)
}

func TestTheNextBlockIsMadeByTheSettingsInForce(t *testing.T) {
	c := newTestChain(t, 2, nil)
	a := newAuditor(c)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	coinbase := common.BytesToAddress([]byte{0xc0})
	c.vote(map[string]string{"gas_limit": "30000000", "coinbase": `"` + coinbase.Hex() + `"`, "timestamps": `"increasing"`})
	was := c.Head().Header
	equal(t, "gas limit of the block before", was.GasLimit, 100_000_000)
	included_(t, c.execute(c.call(c.transfer(0, 1, 1))), 1)
	h := c.Head().Header
	equal(t, "gas limit", h.GasLimit, 30_000_000)
	equal(t, "coinbase", h.Coinbase, coinbase)
	equal(t, "time", h.Time, was.Time+1)
	a.follow(c) // unmodified go-ethereum comes to the same
}

// Calls that wait, in the queue or for a lower nonce, were checked before the vote.
func TestATransactionAboveALoweredGasLimitIsRefusedAndHoldsUpNoOther(t *testing.T) {
	c := newTestChain(t, 3, nil)
	a := newAuditor(c)
	to := c.address(0)
	gap, queued, other := c.call(c.sign(0, 1, &to, 60_000, 1, nil)), c.forwarded(c.sign(1, 0, &to, 60_000, 1, nil)), c.call(c.transfer(2, 0, 1))
	none(t, c.execute(gap))
	c.vote(map[string]string{"gas_limit": "50000"})
	out := c.execute(queued, other)
	if len(out) != 2 || out[0].Call != queued || out[0].Err == nil || out[1].Err != nil {
		t.Fatalf("outcomes: %+v", out)
	}
	out = c.execute(c.call(c.transfer(0, 0, 1)))
	if len(out) != 2 || out[1].Call != gap || out[1].Err == nil {
		t.Fatalf("outcomes: %+v", out)
	}
	c.vote(map[string]string{"gas_limit": "70000"})
	included_(t, c.execute(c.call(c.sign(1, 0, &to, 60_000, 1, nil))), 1)
	a.follow(c)
}

// What waits for a lower nonce stays when the room for such gets less; more does not come in.
func TestTheRoomForGapsFollowsAVote(t *testing.T) {
	c := newTestChain(t, 2, nil)
	none(t, c.execute(c.call(c.transfer(0, 1, 1)), c.call(c.transfer(0, 2, 1))))
	c.vote(map[string]string{"gap_per_sender": "2"})
	refused(t, c.execute(c.call(c.transfer(0, 3, 1))), "account limit exceeded", coco.ErrBusy)
	c.vote(map[string]string{"gap_total": "2"})
	refused(t, c.execute(c.call(c.transfer(1, 1, 1))), "busy", coco.ErrBusy)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 3)
	c.vote(map[string]string{"gap_wait_ms": "0"})
	none(t, c.execute(c.call(c.transfer(1, 1, 1))))
	c.now += sweepEvery
	refused(t, c.execute(), core.ErrNonceTooHigh.Error(), coco.ErrInvalid)
}

// A long transaction began a block by the settings before the vote. Its block is one after the vote, so it is executed again.
func TestALongTransactionThatIsUnderWayDuringAVoteIsExecutedByIt(t *testing.T) {
	for _, ended := range []bool{false, true} {
		c := newTestChain(t, 2, nil)
		a := newAuditor(c)
		long := c.long(1, 0)
		none(t, c.batch(long))
		if ended {
			<-c.exec.long.done
		}
		c.vote(map[string]string{"gas_limit": "31000000"})
		for c.Busy() {
			<-c.exec.long.done
		}
		included_(t, c.execute(), 1)
		equal(t, "gas limit", c.Head().Header.GasLimit, 31_000_000)
		equal(t, "gas used", c.Head().Header.GasUsed, longGas+1)
		a.follow(c)
	}
}

// A node that begins with a snapshot has settings that are newer than the newest block, and shows that block as it is.
func TestANodeThatBeginsBetweenAVoteAndTheNextBlockShowsTheBlockBefore(t *testing.T) {
	c := newTestChain(t, 1, nil)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	section := c.vote(map[string]string{"gas_limit": "32000000", "coinbase": `"0x00000000000000000000000000000000000000c1"`})
	n := c.restored(section)
	n.env.Past = nil
	was, is := c.Head().Header, n.Head().Header
	equal(t, "gas limit of the block before the vote", is.GasLimit, was.GasLimit)
	equal(t, "coinbase of the block before the vote", is.Coinbase, was.Coinbase)
	included_(t, n.execute(n.call(n.transfer(0, 1, 1))), 1)
	equal(t, "gas limit of the block after the vote", n.Head().Header.GasLimit, 32_000_000)
	m := n.restored(section)
	equal(t, "gas limit of that block on another node", m.Head().Header.GasLimit, 32_000_000)
	equal(t, "coinbase of that block on another node", m.Head().Header.Coinbase, n.Head().Header.Coinbase)
}
