package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
)

// funds of each account at genesis, in wei: a million ether.
const funds = "1000000000000000000000000"

// Create makes the folder of a new network, with everything that its nodes need to start, for those
// who start them in another way than Start does. The nodes have no addresses yet.
func Create(opts Options) (localnet.Info, error) {
	if opts.Members == 0 {
		opts.Members = DefaultMembers
	}
	if err := opts.validate(); err != nil {
		return localnet.Info{}, err
	}
	lay, err := Prepare(opts.Dir)
	if err != nil {
		return localnet.Info{}, err
	}
	if _, err := localnet.Load(lay.Dir); !errors.Is(err, coco.ErrNotFound) {
		return localnet.Info{}, fmt.Errorf("%w: %s holds a network already: name another folder", coco.ErrInvalid, lay.Dir)
	}
	s := &Sandbox{opts: opts, lay: lay}
	if err := s.create(); err != nil {
		return localnet.Info{}, err
	}
	return s.info, s.info.Save()
}

// create makes everything that a new network needs but its nodes' ledgers. sandbox.json comes last:
// a folder that a crash leaves without it is taken for new again.
func (s *Sandbox) create() error {
	now := time.Now()
	var err error
	info := localnet.Info{Version: localnet.InfoVersion, Insecure: true, Measurement: string(s.opts.Code), ChainID: s.opts.ChainID}
	if info.ChainID == 0 {
		if info.ChainID, err = makeChainID(); err != nil {
			return err
		}
	}
	info.Network = fmt.Sprintf("sandbox %d", info.ChainID)
	if info.Accounts, err = makeAccounts(); err != nil {
		return err
	}
	if s.opts.Constitution != nil {
		if err := s.rehearse(info, now); err != nil {
			return err
		}
	}
	if err := s.clear(); err != nil {
		return err
	}
	c, err := s.constitution(s.lay, info, now)
	if err != nil {
		return err
	}
	for _, name := range localnet.Names[:s.opts.Members] {
		info.Members = append(info.Members, localnet.Member{Name: name})
		info.Nodes = append(info.Nodes, localnet.Node{Name: name, Member: name})
	}
	s.report(localnet.Step{
		Step: "organisations", Members: localnet.Names[:s.opts.Members],
		Text: fmt.Sprintf("%d organisations, each with certificate, encryption key and a user", s.opts.Members),
	})
	if err := atomicfile.Write(s.lay.ConstitutionFile(), c.TOML()); err != nil {
		return err
	}
	info.Constitution = c.Digest()
	s.report(localnet.Step{
		Step: "constitution", Constitution: info.Constitution.String(),
		Text: fmt.Sprintf("constitution %s: 1 code measurement, any member's node that runs it is admitted", info.Constitution.Short()),
	})
	if s.opts.KeepCode {
		if err := s.keepCode(); err != nil {
			return err
		}
	}
	info.MoveTo(s.lay)
	s.info = info
	return nil
}

// constitution makes the members' files and the constitution of a new network.
func (s *Sandbox) constitution(lay localnet.Layout, info localnet.Info, now time.Time) (*constitution.Constitution, error) {
	c := &constitution.Constitution{
		Network:  constitution.Network{Name: info.Network, Insecure: true},
		Code:     []constitution.Code{{Measurement: s.opts.Code, Note: "the program that started this sandbox"}},
		TEE:      []constitution.TEE{{Platform: constitution.Virtual}},
		Adapters: adapterSettings(info),
	}
	for _, name := range localnet.Names[:s.opts.Members] {
		org, err := identity.Make(name, lay.Member(name), now)
		if err != nil {
			return nil, err
		}
		c.Members = append(c.Members, constitution.Member{Name: name, Certificate: org.Certificate, EncryptionKey: org.EncryptionKey})
	}
	if s.opts.Constitution != nil {
		if err := s.opts.Constitution(c); err != nil {
			return nil, err
		}
	}
	return c, c.Complete()
}

// rehearse makes a constitution for nobody: a change of it that is refused is refused before the folder's
// old network is discarded.
func (s *Sandbox) rehearse(info localnet.Info, now time.Time) error {
	dir, err := os.MkdirTemp("", "coco-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	_, err = s.constitution(localnet.Layout{Dir: dir}, info, now)
	return err
}

// adapterSettings are those of a network for developers.
func adapterSettings(info localnet.Info) map[string]map[string]any {
	alloc := map[string]any{}
	for _, a := range info.Accounts {
		alloc[a.Address] = map[string]any{"balance": funds}
	}
	return map[string]map[string]any{
		"ethereum": {"chain_id": info.ChainID, "alloc": alloc},
		"kv":       {},
	}
}

// clear removes what an older sandbox left in the folder, and nothing else.
func (s *Sandbox) clear() error {
	own := []string{s.lay.InfoFile(), s.lay.ConstitutionFile(), s.lay.InForceFile(), s.lay.ServiceFile(), s.lay.Members(), s.lay.Nodes(), s.lay.Code()}
	for _, name := range own { // sandbox.json first: without it the rest is nothing
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("clearing the sandbox: %w", err)
		}
	}
	return nil
}

// checkFolder makes sure that a sandbox may live in the folder. One that holds other files is
// somebody else's.
func checkFolder(lay localnet.Layout) error {
	entries, err := os.ReadDir(lay.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, err)
	}
	ours := []string{
		lay.InfoFile(), lay.LockFile(), lay.LogFile(), lay.ConstitutionFile(), lay.InForceFile(), lay.ServiceFile(), lay.Members(), lay.Nodes(), lay.Code(),
	}
	for _, e := range entries {
		if !slices.Contains(ours, filepath.Join(lay.Dir, e.Name())) && e.Name()[0] != '.' {
			return fmt.Errorf("%w: %s holds %q, which is no part of a sandbox: name a new or an empty folder with --dir", coco.ErrInvalid, lay.Dir, e.Name())
		}
	}
	return nil
}

func (s *Sandbox) keepCode() error {
	src, err := os.Open(s.opts.Exe)
	if err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	defer src.Close()
	if err := os.MkdirAll(s.lay.Code(), 0o700); err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	dst, err := os.OpenFile(s.lay.ProgramFile(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	_, err = io.Copy(dst, src)
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	return nil
}

// chooseCode decides which program the nodes run: the kept one, if there is one that the
// constitution lists, because it stays what it is for as long as the network runs; otherwise this one.
func (s *Sandbox) chooseCode(c *constitution.Constitution) error {
	listed := c.Measurements()
	own := slices.Contains(listed, s.opts.Code)
	kept, err := localnet.Measure(s.lay.ProgramFile())
	switch {
	case err == nil && slices.Contains(listed, kept):
		s.exe, s.info.Measurement = s.lay.ProgramFile(), string(kept)
		if !own {
			s.report(localnet.Step{
				Step: "code", Measurement: string(kept),
				Text: fmt.Sprintf("this program measures %s, which the constitution does not list: the nodes run the one that made the network (--fresh makes a new network with this one)",
					s.opts.Code.Short()),
			})
		}
	case own:
		s.exe, s.info.Measurement = s.opts.Exe, string(s.opts.Code)
	default:
		return fmt.Errorf("%w: this program measures %s, but the network's constitution lists %v: run the program that made the network, or start a new one with --fresh",
			coco.ErrDenied, s.opts.Code, listed)
	}
	return nil
}
