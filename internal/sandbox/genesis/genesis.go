// Package genesis makes the files with which a network on this machine begins:
//
//	members/NAME/       an organisation with its keys (package identity)
//	constitution.toml   their constitution, with the settings that the user chose ([Set])
//	bin/coco            the program that it lists, if that is to be kept
//	sandbox.json        the description
//
// [Make] makes them in a folder of their own and moves them to their place when they are whole (place.go). Whatever
// is refused, fails or is interrupted leaves the network that the folder holds already as it is, or leaves the new one.
// Nothing is started.
//
// Trust: host
package genesis

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/wellknown"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
)

// Funds of each account at genesis, in wei: a million ether, and in development mode ten thousand, as in Hardhat.
const (
	funds            = "1000000000000000000000000"
	fundsDevelopment = "10000000000000000000000"
)

// chainDevelopment is the chain id of a network in development mode unless another one is asked for: Hardhat's.
const chainDevelopment = 31337

// Options say which network to make.
type Options struct {
	Members int // organisations, each with one node; 1 to len(localnet.Names)
	// Names are theirs, as many at least; nil means localnet.Names.
	Names   []string
	ChainID uint64 // zero means a random one
	// Exe is the program that nodes run, and Code its measurement.
	Exe  string
	Code coco.Measurement
	// Development makes a network in development mode, with the accounts and the chain id that Hardhat's nodes have.
	Development bool
	// KeepCode copies Exe into the folder.
	KeepCode bool
	// Replace discards the network that the folder holds. Without it such a folder is refused.
	Replace bool
	// Constitution, if set, changes the constitution before it is completed, or refuses to.
	Constitution func(*constitution.Constitution) error
	// CompleteSettings completes the settings of the adapters. Required.
	CompleteSettings constitution.CompleteSettings
	Report           func(localnet.Step)
}

func (o *Options) names() []string {
	if o.Names == nil {
		return localnet.Names[:o.Members]
	}
	return o.Names[:o.Members]
}

// Make makes everything that a new network needs but its nodes' ledgers. It calls [Finish] first. No node and no
// other Make may run in the folder.
func Make(lay localnet.Layout, o Options) (localnet.Info, error) {
	if err := Finish(lay); err != nil {
		return localnet.Info{}, err
	}
	stage := stageOf(lay)
	info, err := o.prepare(stage)
	if err != nil {
		return localnet.Info{}, errors.Join(err, os.RemoveAll(stage.Dir))
	}
	if err := place(lay, o.Replace, os.Rename); err != nil {
		if errors.Is(err, errOccupied) { // nothing was moved
			err = errors.Join(err, os.RemoveAll(stage.Dir))
		}
		return localnet.Info{}, err
	}
	info.MoveTo(lay)
	return info, info.Save() // until then the file names the folder in which it was made; [localnet.Load] corrects that
}

// prepare makes the network in the folder from which it is moved to its place.
func (o *Options) prepare(lay localnet.Layout) (localnet.Info, error) {
	now := time.Now()
	var err error
	info := localnet.Info{Version: localnet.InfoVersion, Insecure: true, Measurement: string(o.Code), ChainID: o.ChainID, Development: o.Development}
	if info.ChainID == 0 && o.Development {
		info.ChainID = chainDevelopment
	}
	if info.ChainID == 0 {
		if info.ChainID, err = makeChainID(); err != nil {
			return localnet.Info{}, err
		}
	}
	info.Network = fmt.Sprintf("sandbox %d", info.ChainID)
	if info.Accounts, err = makeAccounts(o.accounts()); err != nil {
		return localnet.Info{}, err
	}
	// They are there even if they stay empty: see place.
	for _, dir := range []string{lay.Members(), lay.Nodes(), lay.Code()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return localnet.Info{}, err
		}
	}
	c, err := o.constitution(lay, info, now)
	if err != nil {
		return localnet.Info{}, err
	}
	for _, name := range o.names() {
		info.Members = append(info.Members, localnet.Member{Name: name})
		info.Nodes = append(info.Nodes, localnet.Node{Name: name, Member: name})
	}
	o.Report(localnet.Step{
		Step: "organisations", Members: o.names(),
		Text: fmt.Sprintf("%d organisations, each with certificate, encryption key and a user", o.Members),
	})
	if err := atomicfile.Write(lay.ConstitutionFile(), c.TOML()); err != nil {
		return localnet.Info{}, err
	}
	info.Constitution = c.Digest()
	o.Report(localnet.Step{
		Step: "constitution", Constitution: info.Constitution.String(),
		Text: fmt.Sprintf("constitution %s: 1 code measurement, any member's node that runs it is admitted", info.Constitution.Fingerprint()),
	})
	if o.KeepCode {
		if err := o.keepCode(lay); err != nil {
			return localnet.Info{}, err
		}
	}
	info.MoveTo(lay)
	return info, info.Save() // last: it says that the rest is whole
}

// constitution makes the members' files and the constitution of a new network.
func (o *Options) constitution(lay localnet.Layout, info localnet.Info, now time.Time) (*constitution.Constitution, error) {
	c := &constitution.Constitution{
		Network:  constitution.Network{Name: info.Network, Insecure: true},
		Code:     []constitution.Code{{Measurement: o.Code, Note: "the program that started this sandbox"}},
		TEE:      []constitution.TEE{{Platform: constitution.Virtual}},
		Adapters: o.adapterSettings(info),
	}
	c.Recovery.Unattended = constitution.Yes // its nodes are simulated, and its members' keys lie in one folder
	for _, name := range o.names() {
		org, err := identity.Make(name, lay.Member(name), now)
		if err != nil {
			return nil, err
		}
		c.Members = append(c.Members, constitution.Member{Name: name, Certificate: org.Certificate, EncryptionKey: org.EncryptionKey})
	}
	if o.Constitution != nil {
		if err := o.Constitution(c); err != nil {
			return nil, err
		}
	}
	if !c.Network.Insecure {
		return nil, fmt.Errorf("%w: network %q is not insecure: its accounts' keys would be those of a phrase that everybody knows", coco.ErrInvalid, c.Network.Name)
	}
	return c, c.CompleteNew(o.CompleteSettings)
}

// accounts is how many funded accounts the network has.
func (o *Options) accounts() int {
	if o.Development {
		return wellknown.Count
	}
	return accountCount
}

// adapterSettings are those of a network for developers.
func (o *Options) adapterSettings(info localnet.Info) map[string]map[string]any {
	alloc := map[string]any{}
	for _, a := range info.Accounts {
		alloc[a.Address] = map[string]any{"balance": funds}
		if o.Development {
			alloc[a.Address] = map[string]any{"balance": fundsDevelopment}
		}
	}
	all := map[string]map[string]any{
		"ethereum": {"chain_id": info.ChainID, "alloc": alloc, "predeploys": []any{"create2-deployer", "multicall3"}, "visibility": "network"},
		"kv":       {},
	}
	if o.Development {
		maps.Copy(all["ethereum"], map[string]any{"development": true, "timestamps": "increasing", "confirmation_blocks": 0})
	}
	return all
}

// Import has the network begin with the settings of another chain. Its accounts are those of the chain, and beside them the funded ones, as far as the chain has none at their addresses.
func Import(c *constitution.Constitution, settings map[string]any) {
	own := c.Adapters["ethereum"]
	alloc := map[string]any{}
	maps.Copy(alloc, settings["alloc"].(map[string]any))
	given := map[string]bool{}
	for address := range alloc {
		given[strings.ToLower(address)] = true
	}
	for address, a := range own["alloc"].(map[string]any) {
		if !given[strings.ToLower(address)] {
			alloc[address] = a
		}
	}
	maps.Copy(own, settings)
	own["alloc"] = alloc
}

// Close makes the network one in which each caller sees its own, and what contracts admit. The funded accounts belong to the members, in turn.
func Close(c *constitution.Constitution) error {
	accounts, err := makeAccounts(accountCount)
	if err != nil {
		return err
	}
	links := map[string]any{}
	for i, a := range accounts {
		links[a.Address] = map[string]any{"actor": c.Members[i%len(c.Members)].Actor().String()}
	}
	c.Adapters["ethereum"]["visibility"], c.Adapters["ethereum"]["links"] = "closed", links
	return nil
}

func (o *Options) keepCode(lay localnet.Layout) error {
	src, err := os.Open(o.Exe)
	if err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	defer src.Close()
	dst, err := os.OpenFile(lay.ProgramFile(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	return nil
}
