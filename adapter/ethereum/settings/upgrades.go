package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
)

// Upgrade is a fork that the blocks of a time and later follow.
type Upgrade struct {
	Fork string
	Time uint64 // seconds since 1970, above 0
}

// byTime is the first fork that comes by time: those before come by a block's number on the mainnet, and the merge by neither.
const byTime = "shanghai"

// readUpgrades returns them in the order of the forks.
func readUpgrades(in map[string]number, base string) ([]Upgrade, error) {
	var out []Upgrade
	for name, at := range in {
		switch i := ForkIndex(name); {
		case i < ForkIndex(byTime):
			return nil, fmt.Errorf("upgrades: expected some of %v, which come by time, found %q", forkNames()[ForkIndex(byTime):], name)
		case i <= ForkIndex(base):
			return nil, fmt.Errorf("upgrades.%s: the network follows %s from block 0 on", name, base)
		case at == 0 || at > math.MaxInt64/1000:
			return nil, fmt.Errorf("upgrades.%s: expected a time in seconds since 1970, found %d", name, at)
		}
		out = append(out, Upgrade{name, uint64(at)})
	}
	if len(out) > 0 && ForkIndex(base) < ForkIndex("paris") {
		return nil, fmt.Errorf("upgrades: a network of the fork %s has none: no block is mined here, so it is never merged, and the forks after the merge do not follow", base)
	}
	slices.SortFunc(out, func(a, b Upgrade) int { return ForkIndex(a.Fork) - ForkIndex(b.Fork) })
	for i := 1; i < len(out); i++ {
		if out[i].Time < out[i-1].Time {
			return nil, fmt.Errorf("upgrades.%s: expected a time from %d on, when %s begins, found %d", out[i].Fork, out[i-1].Time, out[i-1].Fork, out[i].Time)
		}
	}
	return out, nil
}

// ForkAt is the fork that blocks of a time, in seconds, follow. A pinned network has none.
func (s *Settings) ForkAt(time uint64) string {
	fork := s.Fork
	for _, u := range s.Upgrades {
		if u.Time <= time {
			fork = u.Fork
		}
	}
	return fork
}

// upgrade adds the forks that come later.
func (s *Settings) upgrade(c *params.ChainConfig) {
	last := ForkIndex(s.Fork)
	for _, u := range s.Upgrades {
		at := u.Time
		for _, f := range Forks[last+1 : ForkIndex(u.Fork)+1] {
			f.set(c, nil, &at)
		}
		last = ForkIndex(u.Fork)
	}
}

// system are the contracts without which no block of prague is made (EIP-7002, EIP-7251). On the mainnet they were deployed before the fork.
var system = []struct {
	what string
	addr common.Address
	code []byte
}{
	{"withdrawals", params.WithdrawalQueueAddress, params.WithdrawalQueueCode},
	{"consolidations", params.ConsolidationQueueAddress, params.ConsolidationQueueCode},
	{"", params.HistoryStorageAddress, params.HistoryStorageCode},
	{"", params.BeaconRootsAddress, params.BeaconRootsCode},
}

func (s *Settings) missingSystem() error {
	if ForkIndex(s.Fork) >= ForkIndex("prague") || !slices.ContainsFunc(s.Upgrades, func(u Upgrade) bool { return ForkIndex(u.Fork) >= ForkIndex("prague") }) {
		return nil
	}
	for _, c := range system {
		if c.what != "" && len(s.Alloc[c.addr].Code) == 0 {
			return fmt.Errorf("%w: ethereum settings: upgrades: blocks of prague call the contract of requests for %s at %v, and block 0 has no code there: networks have it whose page schedules the upgrade", coco.ErrInvalid, c.what, c.addr)
		}
	}
	return nil
}

// expandSystem adds the system contracts to alloc of a page that schedules upgrades.
func expandSystem(all map[string]json.RawMessage) error {
	if raw := all["upgrades"]; raw == nil || string(raw) == "{}" {
		return nil
	}
	alloc := map[string]json.RawMessage{}
	if all["alloc"] != nil {
		var err error
		if alloc, err = object(all["alloc"]); err != nil {
			return fmt.Errorf("alloc: %w", err)
		}
	}
	given := map[common.Address]bool{}
	for address := range alloc {
		given[common.HexToAddress(address)] = true
	}
	for _, c := range system {
		if !given[c.addr] {
			alloc[c.addr.Hex()] = json.RawMessage(fmt.Sprintf(`{"code":"0x%x","nonce":1}`, c.code))
		}
	}
	var err error
	all["alloc"], err = json.Marshal(alloc)
	return err
}

// upgrades are the values of the setting.
type upgrades struct{}

// Check implements setting.Values. Which forks may follow the network's own is checked with it.
func (upgrades) Check(value []byte) error {
	var in map[string]number
	if err := json.Unmarshal(value, &in); err != nil || in == nil {
		return errors.New(`expected times in seconds since 1970 by the names of forks, such as {"osaka": 1800000000}, found ` + clip(value))
	}
	_, err := readUpgrades(in, "paris")
	return err
}

func (upgrades) String() string { return "a table of times by names of forks" }

// Ends implements setting.Values.
func (upgrades) Ends() []string { return []string{`{}`} }

// CheckSchedule says why a vote that ends until some time may not put one section in the place of another, both in JSON: an upgrade, and what replaces it, is later than the vote, so that
// no block that there is follows other rules afterwards. The error is coco.ErrInvalid.
func CheckSchedule(old, next []byte, until time.Time) error {
	was, err := Parse(old)
	if err != nil {
		return err
	}
	is, err := Parse(next)
	if err != nil {
		return err
	}
	before, after := map[string]uint64{}, map[string]uint64{}
	for _, u := range was.Upgrades {
		before[u.Fork] = u.Time
	}
	for _, u := range is.Upgrades {
		after[u.Fork] = u.Time
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, fork := range slices.Sorted(maps.Keys(all)) {
		if before[fork] == after[fork] {
			continue
		}
		for what, at := range map[string]uint64{"": after[fork], ", and is to be changed": before[fork]} {
			if at != 0 && int64(at) <= until.Unix() {
				return fmt.Errorf("%w: ethereum settings: upgrades.%s is at %d (%s)%s: expected a time after the end of the vote, %s (%d), so that no block before the decision is by other rules afterwards",
					coco.ErrInvalid, fork, at, time.Unix(int64(at), 0).UTC().Format(time.RFC3339), what, until.UTC().Format(time.RFC3339), until.Unix())
			}
		}
	}
	if before, after := len(was.Upgrades), len(is.Upgrades); before+after > 0 && is.Timestamps == Increasing && !slices.Equal(was.Upgrades, is.Upgrades) {
		return fmt.Errorf("%w: ethereum settings: upgrades: times of blocks may be ahead of the ledger's with timestamps %q: set timestamps %q first", coco.ErrInvalid, Increasing, Real)
	}
	return is.missingSystem()
}
