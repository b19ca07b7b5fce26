package settings

import (
	"math/big"

	"github.com/ethereum/go-ethereum/params"
)

// defaultFork is what the mainnet followed when the default was chosen. A page that names no fork gets this name.
const defaultFork = "osaka"

// Forks are the named rule sets, oldest first. Each switches on one more step of the schedule.
var Forks = []struct {
	Name string
	set  func(c *params.ChainConfig, zero *big.Int, genesis *uint64)
}{
	{"frontier", func(*params.ChainConfig, *big.Int, *uint64) {}},
	{"homestead", func(c *params.ChainConfig, zero *big.Int, _ *uint64) { c.HomesteadBlock = zero }},
	{"tangerine-whistle", func(c *params.ChainConfig, zero *big.Int, _ *uint64) { c.EIP150Block = zero }},
	{"spurious-dragon", func(c *params.ChainConfig, zero *big.Int, _ *uint64) {
		c.EIP155Block, c.EIP158Block = zero, zero
	}},
	{"byzantium", func(c *params.ChainConfig, zero *big.Int, _ *uint64) { c.ByzantiumBlock = zero }},
	{"constantinople", func(c *params.ChainConfig, zero *big.Int, _ *uint64) {
		// The mainnet activated Constantinople together with its correction.
		c.ConstantinopleBlock, c.PetersburgBlock = zero, zero
	}},
	{"istanbul", func(c *params.ChainConfig, zero *big.Int, _ *uint64) {
		c.IstanbulBlock, c.MuirGlacierBlock = zero, zero
	}},
	{"berlin", func(c *params.ChainConfig, zero *big.Int, _ *uint64) { c.BerlinBlock = zero }},
	{"london", func(c *params.ChainConfig, zero *big.Int, _ *uint64) {
		c.LondonBlock, c.ArrowGlacierBlock, c.GrayGlacierBlock = zero, zero, zero
	}},
	{"paris", func(c *params.ChainConfig, zero *big.Int, _ *uint64) {
		c.MergeNetsplitBlock, c.TerminalTotalDifficulty = zero, zero
	}},
	{"shanghai", func(c *params.ChainConfig, _ *big.Int, genesis *uint64) { c.ShanghaiTime = genesis }},
	{"cancun", func(c *params.ChainConfig, _ *big.Int, genesis *uint64) {
		c.CancunTime = genesis
		c.BlobScheduleConfig = &params.BlobScheduleConfig{Cancun: params.DefaultCancunBlobConfig}
	}},
	{"prague", func(c *params.ChainConfig, _ *big.Int, genesis *uint64) {
		c.PragueTime = genesis
		c.BlobScheduleConfig.Prague = params.DefaultPragueBlobConfig
	}},
	{"osaka", func(c *params.ChainConfig, _ *big.Int, genesis *uint64) {
		c.OsakaTime, c.BPO1Time, c.BPO2Time = genesis, genesis, genesis
		c.BlobScheduleConfig.BPO1 = params.MainnetChainConfig.BlobScheduleConfig.BPO1
		c.BlobScheduleConfig.BPO2 = params.MainnetChainConfig.BlobScheduleConfig.BPO2
	}},
}

func forkNames() []string {
	names := make([]string, len(Forks))
	for i, f := range Forks {
		names[i] = f.Name
	}
	return names
}

func ForkIndex(name string) int {
	for i, f := range Forks {
		if f.Name == name {
			return i
		}
	}
	return -1
}

// ChainConfig returns go-ethereum's form of the rules. A pinned network follows the mainnet's
// schedule, which its pinned number and time decide.
func (s *Settings) ChainConfig() *params.ChainConfig {
	id := new(big.Int).SetUint64(s.ChainID)
	if s.Pin != nil {
		c := *params.MainnetChainConfig
		c.ChainID = id
		return &c
	}
	c, zero, genesis := &params.ChainConfig{ChainID: id}, new(big.Int), new(uint64)
	for _, f := range Forks[:ForkIndex(s.Fork)+1] {
		f.set(c, zero, genesis)
	}
	s.upgrade(c)
	return c
}
