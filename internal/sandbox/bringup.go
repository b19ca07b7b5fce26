package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/resume"
)

// firstUp brings the network up at the start of the supervisor, when nothing depends on the nodes'
// addresses yet: if another process has taken one, all get others.
func (s *Sandbox) firstUp(ctx context.Context, n *processes) error {
	again := func(err error) bool { return s.info.Committed && !final(err) }
	return s.tryUp(ctx, n, again, func() error {
		err := s.bringUp(ctx, n)
		for try := 1; errors.Is(err, nodeconfig.ErrAddressInUse) && ctx.Err() == nil; try++ {
			if try == giveUp {
				return fmt.Errorf("%w: found no free loopback ports from %d to %d in %d tries: %w", coco.ErrInvalid, nodePortLow, nodePortHigh, giveUp, err)
			}
			s.report(localnet.Step{Step: "down", Text: fmt.Sprintf("%v: all nodes get other ports", err)})
			n.clear()
			if err := s.changeNodePorts(); err != nil {
				return err
			}
			err = s.bringUp(ctx, n)
		}
		return err
	})
}

// tryUp calls up until it succeeds, with a pause after each failure that again admits, up to giveUp
// times. Nodes that a failure leaves behind are stopped before the next try.
func (s *Sandbox) tryUp(ctx context.Context, n *processes, again func(error) bool, up func() error) error {
	for try := 1; ; try++ {
		err := up()
		if err == nil || ctx.Err() != nil || !again(err) {
			return err
		}
		if try == giveUp {
			return fmt.Errorf("the network does not come up again: %w", err)
		}
		s.report(localnet.Step{Step: "down", Text: err.Error()})
		n.clear()
		if !ctxtime.Sleep(ctx, pauseHigh/giveUp) {
			return err
		}
	}
}

// final reports whether trying again cannot help.
func final(err error) bool {
	return errors.Is(err, coco.ErrVerify) && !errors.Is(err, errOtherNode) || errors.Is(err, coco.ErrCorrupt) || errors.Is(err, coco.ErrInvalid) || errors.Is(err, coco.ErrDenied)
}

// bringUp starts all nodes; see bringUpFrom. A node that cannot go on from its ledger is passed over, as long as a majority of
// ledgers is left: any majority has what was committed.
func (s *Sandbox) bringUp(ctx context.Context, n *processes) error {
	unfit := map[int]error{}
	for {
		err := s.bringUpFrom(ctx, n, unfit)
		var bad *unfitError
		if !errors.As(err, &bad) {
			return err
		}
		unfit[bad.node] = err
		if s.info.Active()-len(unfit) < s.quorum() {
			return errors.Join(slices.Collect(maps.Values(unfit))...)
		}
		step := "down"
		if errors.Is(err, coco.ErrVerify) || errors.Is(err, coco.ErrCorrupt) {
			step = "damaged"
		}
		s.report(localnet.Step{Step: step, Node: s.info.Nodes[bad.node].Name, Text: fmt.Sprintf("%v: another ledger is taken", err)})
		n.clear()
	}
}

// unfitError says that a node cannot go on from its ledger.
type unfitError struct {
	node int
	err  error
}

func (e *unfitError) Error() string { return e.err.Error() }
func (e *unfitError) Unwrap() error { return e.err }

// bringUpFrom starts all nodes: the first of them alone, from the genesis constitution or from the
// longest ledger, and the others, which join it. It is done when a quorum is up and the others are, or cannot be: one that cannot be
// started keeps nobody else from starting, and the supervision tries it again.
func (s *Sandbox) bringUpFrom(ctx context.Context, n *processes, unfit map[int]error) error {
	first, found, err := s.longestLedger(unfit)
	if err != nil {
		return err
	}
	start := nodeconfig.StartGenesis
	if found && len(unfit) == 0 && s.mayResume(first) {
		err := s.resumeAll(ctx, n)
		if err == nil || ctx.Err() != nil || errors.Is(err, nodeconfig.ErrAddressInUse) {
			return err
		}
		s.report(localnet.Step{Step: "down", Text: fmt.Sprintf("the nodes do not go on by themselves: %v", err)})
		n.clear()
	}
	if found {
		start = nodeconfig.StartRecover
		if others := s.info.Active() - 1; others >= resume.Needed(s.info.Active(), false) {
			if err := s.dropKept(); err != nil { // they must not go on beside the one that recovers
				return err
			}
		}
		if err := s.mend(first); err != nil {
			return &unfitError{first, err}
		}
		s.report(localnet.Step{Step: "recovering", Node: s.info.Nodes[first].Name, Text: fmt.Sprintf("%s has the longest ledger and checks it", s.info.Nodes[first].Name)})
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("it took longer than %v", startPatience))
		defer cancel()
	}
	// All processes start at once: those that join ask until they are admitted.
	for i := range s.info.Nodes {
		if s.info.Nodes[i].Retired {
			continue
		}
		how, others := nodeconfig.StartJoin, []int{first}
		if i == first {
			how, others = start, nil
		}
		err := n.start(i, how, others)
		switch {
		case err == nil:
		case i != first:
			s.report(localnet.Step{Step: "down", Node: s.info.Nodes[i].Name, Text: err.Error()})
		case found:
			return &unfitError{first, err}
		default:
			return err
		}
	}
	if err := n.awaitReady(ctx, first, start, nil); err != nil {
		if found && ctx.Err() == nil && !errors.Is(err, nodeconfig.ErrAddressInUse) && !errors.Is(err, errOtherNode) {
			return &unfitError{first, err}
		}
		return err
	}
	if s.known.trust.Service == nil {
		if err := s.learnService(ctx, first); err != nil {
			return err
		}
	}
	text := "starts the network"
	if found {
		text = "goes on from its ledger"
	}
	s.report(localnet.Step{Step: "joined", Node: s.info.Nodes[first].Name, Text: fmt.Sprintf("%s %s", s.info.Nodes[first].Name, text)})
	if err := s.joinOthers(ctx, n, first); err != nil {
		return err
	}
	if err := s.accepted(); err != nil {
		return err
	}
	return s.update(func(info *localnet.Info) { info.Committed = true })
}

// attestPatience bounds how long a node that said that it is ready may be out of reach.
const attestPatience = 30 * time.Second

// attestReady verifies a node that says that it is ready. A node that finds its ledger damaged
// begins again in the same process, under a new key: then it gets ready once more.
func (s *Sandbox) attestReady(ctx context.Context, c *child, i int, e nodeconfig.Event) error {
	ctx, cancel := context.WithTimeout(ctx, attestPatience)
	defer cancel()
	for {
		err := s.attest(ctx, i, e.Node)
		if err == nil || !errors.Is(err, coco.ErrUnreachable) && !errors.Is(err, coco.ErrBusy) && !errors.Is(err, errOtherNode) {
			return err
		}
		again := time.NewTimer(200 * time.Millisecond)
		select {
		case e = <-c.ready:
		case <-again.C:
		case <-c.done:
			return c.err
		case <-ctx.Done():
			return err
		}
		again.Stop()
	}
}

// errOtherNode says that a node answers under another key than it was expected to.
var errOtherNode = fmt.Errorf("%w: another node answers", coco.ErrVerify)

// attest verifies a node's evidence as any client would.
func (s *Sandbox) attest(ctx context.Context, i int, id coco.NodeID) error {
	c, err := s.clientOf(i)
	if err != nil {
		return err
	}
	defer c.Close()
	a, err := c.Verify(ctx)
	if err != nil {
		return fmt.Errorf("node %s: %w", s.info.Nodes[i].Name, err)
	}
	if a.Node != id {
		return fmt.Errorf("%w: %s answers as node %s, but %s started as %s", errOtherNode, s.info.Nodes[i].Client, a.Node.Short(), s.info.Nodes[i].Name, id.Short())
	}
	text := fmt.Sprintf("%s runs %s", s.info.Nodes[i].Name, a.Claims.Measurement.Short())
	if a.Claims.Insecure {
		text += " in a simulated TEE"
	}
	s.report(localnet.Step{Step: "attested", Node: s.info.Nodes[i].Name, NodeID: id.String(), Measurement: string(a.Claims.Measurement), Insecure: a.Claims.Insecure, Text: text})
	return nil
}

// learnService reads the network's service certificate from the first node, which has just proven
// that it runs listed code, and pins it for all clients and for later starts.
func (s *Sandbox) learnService(ctx context.Context, first int) error {
	c, err := s.clientOf(first)
	if err != nil {
		return err
	}
	defer c.Close()
	cert, err := c.Service(ctx)
	if err != nil {
		return fmt.Errorf("service certificate: %w", err)
	}
	if err := atomicfile.Write(s.lay.ServiceFile(), identity.CertificatePEM(cert)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.trust.Service = cert
	return nil
}

// clientOf returns a client of a node under the identity of its member's user.
func (s *Sandbox) clientOf(i int) (*client.Client, error) {
	cfg, err := s.clientConfig(i)
	if err != nil {
		return nil, err
	}
	return client.New(cfg)
}

func (s *Sandbox) clientConfig(i int) (client.Config, error) {
	cert, err := s.info.Members[i].UserCertificate()
	if err != nil {
		return client.Config{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	trust := s.known.trust
	if trust.Service != nil {
		trust.Constitution = coco.Digest{} // members may have changed it since; the service stays
	}
	return client.Config{Addr: s.info.Nodes[i].Client, Certificate: cert, Policy: trust}, nil
}

// longestLedger finds the node whose ledger is the furthest: of the highest view and in it of the
// highest index, as consensus compares logs. A committed entry is on a majority of the nodes, so
// the longest of any majority of ledgers has it; with fewer, nothing is started. Those in unfit do not count: nodes that
// could not go on from their ledgers, and why. found is false for a network that has not begun.
func (s *Sandbox) longestLedger(unfit map[int]error) (node int, found bool, err error) {
	var view, index uint64
	var whole bool
	var damage error
	intact := 0
	for i, n := range s.info.Nodes {
		if n.Retired {
			continue
		}
		v, x, w, err := ledgerEnd(nodeconfig.Dir(n.Dir))
		switch {
		case unfit[i] != nil:
			damage = errors.Join(damage, unfit[i])
			continue
		case err != nil:
			s.report(localnet.Step{Step: "damaged", Node: n.Name, Text: fmt.Sprintf("the ledger of %s is damaged, it must fetch what is missing from the others: %v", n.Name, err)})
			damage = errors.Join(damage, fmt.Errorf("node %s: %w", n.Name, err))
			continue
		case x == 0:
			continue
		case v > view || v == view && x > index || v == view && x == index && w && !whole:
			node, view, index, whole = i, v, x, w
		}
		intact++
	}
	if s.info.Committed && intact < s.quorum() {
		return 0, false, errors.Join(fmt.Errorf("%w: %d of %d ledgers in %s are whole, and the network needs %d to go on: put the missing files back, or start a new network with --fresh",
			coco.ErrCorrupt, intact, s.info.Active(), s.lay.Nodes(), s.quorum()), damage)
	}
	return node, intact > 0, nil
}

// quorum is how many nodes the network needs.
func (s *Sandbox) quorum() int { return s.info.Active()/2 + 1 }

// ledgerEnd returns the view and index of a ledger's last entry, zeros if no network has begun in it, and whether it has all
// entries before it.
func ledgerEnd(dir nodeconfig.Dir) (view, index uint64, whole bool, err error) {
	disk, err := local.OpenReadOnly(string(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, err
	}
	defer disk.Close()
	log, err := ledger.OpenReadOnly(disk, nodeconfig.LedgerDir)
	if err != nil {
		return 0, 0, false, err
	}
	defer log.Close()
	if begun, err := log.Begun(); err != nil || !begun {
		return 0, 0, false, err
	}
	index = log.Last()
	view, ok := log.ViewOf(index)
	if !ok {
		return 0, 0, false, fmt.Errorf("%w: the ledger does not know the view of its last entry %d", coco.ErrCorrupt, index)
	}
	return view, index, len(log.Missing()) == 0, nil
}

// nodeConfig writes what a node needs to start; others are the nodes that it may ask to admit it.
func (s *Sandbox) nodeConfig(i int, start string, others []int) error {
	n := s.info.Nodes[i]
	dir, member := s.lay.Node(n.Name), s.lay.Member(n.Member)
	c := nodeconfig.Config{
		Name: n.Name, Dir: string(dir), Peer: n.Peer, Client: n.Client, Admin: n.Admin,
		OwnerCertificate: member.Org(), OwnerKey: member.OrgKey(),
		Start: start, Approve: s.info.Constitution,
	}
	old, err := nodeconfig.Load(dir.Config())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("node %s: its settings cannot be read, and may name ledger_folders: correct the file, or delete it for default settings: %w", n.Name, err)
	}
	c.LedgerFolders = old.LedgerFolders
	switch start {
	case nodeconfig.StartGenesis:
		c.Constitution = s.lay.ConstitutionFile()
	case nodeconfig.StartRecover:
		if c.RecoverAtLeast, c.RecoverLast, err = s.mustHold(); err != nil {
			return err
		}
		for _, m := range s.info.Members {
			d := s.lay.Member(m.Name)
			c.RecoverKeys = append(c.RecoverKeys, identity.MemberKey{Certificate: d.Org(), Key: d.Encryption()})
		}
	case nodeconfig.StartJoin:
		for _, k := range others {
			c.Join = append(c.Join, s.info.Nodes[k].Peer)
		}
	}
	if start != nodeconfig.StartGenesis && s.knowsService() {
		c.Service = s.lay.ServiceFile()
	}
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return err
	}
	return c.SaveSupervised(dir.Config())
}

// update changes the description, in memory and on disk.
func (s *Sandbox) update(change func(*localnet.Info)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.info)
	return s.info.Save()
}
