package chain

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/internal/contracts"
)

// ledgersClock is a node's whose clock is as the ledger's time.
type ledgersClock struct {
	hurriedClock
	c *testChain
}

func (k ledgersClock) Now() time.Time { return time.UnixMilli(int64(k.c.now)) }

// busy makes random traffic that is valid by each fork.
func (c *testChain) busy(f *traffic, batches int) {
	c.t.Helper()
	for range batches {
		c.now += 1000
		var calls []*adapter.Call
		for range 1 + f.r.IntN(6) {
			calls = append(calls, c.call(f.next()))
		}
		included_(c.t, c.execute(calls...), len(calls))
	}
}

func TestAnUpgradeByVoteComesAtItsTimeAndUnmodifiedGoEthereumFollows(t *testing.T) {
	c := newTestChain(t, 4, map[string]any{"fork": "prague"})
	c.env.Clock = ledgersClock{c: c}
	f := &traffic{c: c, r: rand.New(rand.NewPCG(5, 6)), nonces: make([]uint64, 4), token: crypto.CreateAddress(c.address(0), 0)}
	included_(t, c.execute(c.call(c.sign(0, 0, nil, 5_000_000, 0, contracts.DeployToken("Token", "TOK", big.NewInt(10_000))))), 1)
	f.nonces[0]++
	c.busy(f, 3)
	at := c.now/1000 + 5
	c.vote(map[string]string{"upgrades": fmt.Sprintf(`{"osaka": %d}`, at)})
	to := c.address(0)
	// By Osaka no transaction has more than 16,777,216 gas (EIP-7825). One that was checked before it and executes after it is refused.
	large := func(nonce uint64) *types.Transaction { return c.sign(1, nonce, &to, 17_000_000, 1, nil) }
	included_(t, c.execute(c.call(large(f.nonces[1]))), 1)
	f.nonces[1]++
	c.busy(f, 3)
	equal(t, "time before the upgrade", c.Head().Header.Time < at, true)
	late := c.call(large(f.nonces[1]))
	c.now = at * 1000
	out := c.execute(late)
	if len(out) != 1 || out[0].Err == nil || !strings.Contains(out[0].Err.Error(), "16777216") {
		t.Fatalf("outcomes %+v", out)
	}
	c.busy(f, 3)
	if c.Head().Header.Time < at {
		t.Fatalf("time %d, expected %d or later", c.Head().Header.Time, at)
	}
	newAuditor(c).follow(c)
	// A node that begins later reads blocks of both.
	n := c.restored(c.env.Settings)
	equal(t, "head", n.Head().Hash, c.Head().Hash)
}

func TestAnUpgradeThatThePageSchedulesBringsItsHeadersAndSystemContracts(t *testing.T) {
	at := uint64(1_700_000_000) + 4
	c := newTestChain(t, 4, map[string]any{"fork": "shanghai", "upgrades": map[string]any{"prague": at}})
	f := &traffic{c: c, r: rand.New(rand.NewPCG(7, 8)), nonces: make([]uint64, 4), token: crypto.CreateAddress(c.address(0), 0)}
	included_(t, c.execute(c.call(c.sign(0, 0, nil, 5_000_000, 0, contracts.DeployToken("Token", "TOK", big.NewInt(10_000))))), 1)
	f.nonces[0]++
	c.busy(f, 2)
	if h := c.Head().Header; h.Time >= at || h.ParentBeaconRoot != nil || h.RequestsHash != nil {
		t.Fatalf("a header before the upgrade: %+v", h)
	}
	c.busy(f, 6)
	if h := c.Head().Header; h.Time < at || h.ParentBeaconRoot == nil || h.RequestsHash == nil || h.BlobGasUsed == nil {
		t.Fatalf("a header after the upgrade: %+v", h)
	}
	newAuditor(c).follow(c)
}

func TestAnUpgradeThatCannotBeFollowedIsRefused(t *testing.T) {
	section := func(fork, upgrades string) []byte {
		enc, err := settings.Complete([]byte(fmt.Sprintf(`{"chain_id":5,"fork":%q,"upgrades":%s}`, fork, upgrades)))
		must(t, err)
		return enc
	}
	change := func(was []byte, fork, upgrades string) error {
		next := []byte(strings.Replace(string(section(fork, "{}")), `"upgrades":{}`, `"upgrades":`+upgrades, 1))
		if err := settings.Table().CheckChange(3, was, next); err != nil {
			return err
		}
		if err := settings.Check(next); err != nil {
			return err
		}
		return settings.CheckSchedule(was, next, time.Unix(1000, 0))
	}
	prague := section("prague", "{}")
	must(t, change(prague, "prague", `{"osaka":1001}`))
	for _, c := range []struct {
		want string
		err  error
	}{
		{"upgrades.osaka is at 1000 (1970-01-01T00:16:40Z): expected a time after the end of the vote", change(prague, "prague", `{"osaka":1000}`)},
		{"upgrades: expected some of [shanghai cancun prague osaka], which come by time, found \"verkle\"", change(prague, "prague", `{"verkle":2000}`)},
		{"which come by time, found \"london\"", change(prague, "prague", `{"london":2000}`)},
		{"upgrades.prague: the network follows prague from block 0 on", change(prague, "prague", `{"prague":2000}`)},
		{"upgrades.osaka: expected a time in seconds since 1970, found 0", change(prague, "prague", `{"osaka":0}`)},
		{`expected times in seconds since 1970 by the names of forks`, change(prague, "prague", `[1]`)},
		{"upgrades.osaka: expected a time from 3000 on, when prague begins, found 2000", change(section("cancun", "{}"), "cancun", `{"prague":3000,"osaka":2000}`)},
		{"block 0 has no code there", change(section("cancun", "{}"), "cancun", `{"prague":3000}`)},
		{"a network of the fork london has none", change(section("london", "{}"), "london", `{"osaka":3000}`)},
		{"and is to be changed", settings.CheckSchedule(section("prague", `{"osaka":900}`), section("prague", `{"osaka":2000}`), time.Unix(1000, 0))},
		{"upgrades can be changed by a vote from rules 3 on", settings.Table().CheckChange(2, prague, []byte(strings.Replace(string(prague), `"upgrades":{}`, `"upgrades":{"osaka":2000}`, 1)))},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %v, expected %q", c.err, c.want)
		}
	}
}
