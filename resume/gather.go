package resume

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
)

const (
	lookEvery   = 250 * time.Millisecond // for other nodes
	askPatience = 3 * time.Second
	// joinEvery is how often a node asks to be admitted although nobody has told it of a network, and joinPatience for how long at a time.
	joinEvery    = 20 * time.Second
	joinPatience = 5 * time.Second
	// turn is how long a node leaves it to the one with the smallest id, and each other before it, to gather a generation.
	turn = 4 * time.Second
	// jump is how much higher a generation's views begin than all that its members know. As many elections do not pass without an entry on any ledger.
	jump = 1 << 16
	// lastView is what a view may be: it is a part of nonces.
	lastView = 1<<32 - 1<<20
)

// met is a node that waits, as this one has met it.
type met struct {
	member  peer.ResumeMember
	address string
	told    peer.ResumeTold
}

// Wait looks for other nodes until the process begins, and returns what it begins with. If there may be a network that goes on, it has join ask that to
// admit this node, for as long as its context lets it, and returns nil once join reports that this is done. An error of join ends it. It fails with a join.RecoveredError once a
// node shows that members have recovered the network.
func (p *Process) Wait(ctx context.Context, join func(context.Context) (bool, error)) (*peer.ResumeAsk, error) {
	known := maps.Clone(p.cfg.Ledger.Nodes)
	since, said := p.cfg.Clock.Elapsed(), ""
	asked := since
	for {
		all, strange := p.meetAll(ctx, known)
		if err := p.gone(); err != nil {
			return nil, err
		}
		p.fetch(ctx, all)
		for _, m := range all {
			if b := m.told.Begun; b != nil {
				p.beginLate(b)
			}
			for id, address := range m.told.Nodes {
				if _, ok := known[id]; !ok {
					known[id] = address
				}
			}
		}
		group, lacks := p.group(all)
		switch {
		case lacks != "":
			p.tellWaits(all)
			if since = p.cfg.Clock.Elapsed(); lacks != said {
				said = lacks
				p.cfg.Log.Warn("all nodes of this network have stopped, or this one does not reach them: waiting for the others", logevent.ResumeWaits.Attr(), "lacks", lacks)
			}
			if now := p.cfg.Clock.Elapsed(); strange || now-asked > joinEvery {
				if done, err := p.admitted(ctx, join); done || err != nil {
					return nil, err
				}
				asked = p.cfg.Clock.Elapsed()
			}
		case p.mayGather(group, p.cfg.Clock.Elapsed()-since):
			if err := p.gather(ctx, group); err != nil {
				p.cfg.Log.Info("the nodes do not go on together yet", "error", err)
			}
			since = p.cfg.Clock.Elapsed()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case g := <-p.begins:
			return g, nil
		case <-p.cfg.Clock.After(lookEvery):
		}
	}
}

// admitted has join ask a network to admit this node, which promises nothing meanwhile, nor ever after it is admitted: it is never there twice.
func (p *Process) admitted(ctx context.Context, join func(context.Context) (bool, error)) (bool, error) {
	if !p.leave() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	done, err := join(ctx)
	if !done {
		p.back()
	}
	return done, err
}

// meetAll asks every node that is known. This one is the first of those that it returns. Strange says that a node has answered that is none of them, or that
// there is a network with a leader.
func (p *Process) meetAll(ctx context.Context, known map[coco.NodeID]string) (out []met, strange bool) {
	out = []met{{member: p.member, told: p.own()}}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for id, address := range known {
		if id == p.member.Node {
			continue
		}
		asked.Go(func() {
			m, err := p.ask(ctx, id, address, peer.ResumeAsk{Stage: peer.ResumeMeet})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				p.cfg.Log.Debug("a node does not answer", "node", id.Short(), "address", address, "error", err)
				strange = strange || errors.Is(err, channel.ErrRefused) || errors.Is(err, coco.ErrVerify)
				return
			}
			out, strange = append(out, *m), strange || m.told.Leads
		})
	}
	asked.Wait()
	slices.SortFunc(out[1:], func(a, b met) int { return bytes.Compare(a.member.Node[:], b.member.Node[:]) })
	return out, strange
}

// ask asks one node.
func (p *Process) ask(ctx context.Context, id coco.NodeID, address string, ask peer.ResumeAsk) (*met, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	dialer := peer.Dialer{Net: p.cfg.Net, Identity: p.cfg.Identity, Verify: p.Verify}
	conn, err := dialer.Dial(ctx, id, address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if ask.Evidence, err = p.cfg.Evidence(ctx, conn.Binding()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	told, err := peer.AskResume(conn, &ask)
	if err != nil {
		return nil, err
	}
	if told.Refused != "" {
		return nil, fmt.Errorf("%w: %q", coco.ErrDenied, told.Refused)
	}
	if err := p.check(told.Evidence, conn); err != nil {
		return nil, err
	}
	return &met{MemberAt(conn.Peer()), address, *told}, nil
}

// MemberAt names the process at the far end of a connection.
func MemberAt(c channel.PeerCert) peer.ResumeMember {
	return peer.ResumeMember{Node: c.ID, Certificate: sha256.Sum256(c.Certificate.Raw)}
}

// led reports whether one of the nodes has a leader.
func led(all []met) bool { return slices.ContainsFunc(all, func(m met) bool { return m.told.Leads }) }

// group returns the nodes that may go on together: those that wait and that the longest of their ledgers trusts. Lacks says what is missing.
func (p *Process) group(all []met) (group []met, lacks string) {
	if led(all) {
		return nil, "nothing: the network has a leader, and this node asks to be admitted"
	}
	longest, group := together(all)
	if len(longest.told.Nodes) == 0 && p.lacks() {
		return nil, "no node has all that it begins with: those that have lost their snapshots fetch one"
	}
	if len(longest.told.Nodes) == 0 {
		return nil, "nothing: nodes that this one has met have begun, and so may it"
	}
	if n, need := len(longest.told.Nodes), Needed(len(longest.told.Nodes), longest.told.All); len(group) < need {
		return nil, fmt.Sprintf("%d of %d nodes wait, and %d are needed", len(group), n, need)
	}
	return group, ""
}

// together returns the node whose ledger is the longest one of those that wait, and which of these that ledger trusts.
func together(all []met) (longest met, group []met) {
	waiting := slices.DeleteFunc(slices.Clone(all), func(m met) bool { return !m.told.Waits })
	if len(waiting) == 0 {
		return longest, nil
	}
	longest = longestOf(waiting)
	return longest, slices.DeleteFunc(waiting, func(m met) bool {
		_, trusted := longest.told.Nodes[m.member.Node]
		return !trusted
	})
}

// Waiting is why nodes do not go on together yet, as one of them sees it.
type Waiting struct {
	Here, Nodes, Needed int // how many of how many nodes wait, and are needed
	// Missing are the addresses of the nodes that do not answer, in order: they have not started, or are not reached.
	Missing []string
	// Lacks says that the node itself does not wait yet: it has no snapshot that it can begin with, and gets one from another node first.
	Lacks bool
}

// tellWaits tells the process's owner that too few nodes wait, where that is so.
func (p *Process) tellWaits(all []met) {
	if p.cfg.Waits == nil || led(all) {
		return
	}
	longest, group := together(all)
	w := Waiting{Lacks: p.lacks()}
	if len(longest.told.Nodes) == 0 && w.Lacks {
		longest = longestOf(all)
	}
	nodes := longest.told.Nodes
	if len(nodes) == 0 {
		return // it begins
	}
	w.Here, w.Nodes, w.Needed = len(group), len(nodes), Needed(len(nodes), longest.told.All)
	for id, address := range nodes {
		if !slices.ContainsFunc(all, func(m met) bool { return m.member.Node == id }) {
			w.Missing = append(w.Missing, address)
		}
	}
	slices.Sort(w.Missing)
	p.cfg.Waits(w)
}

// longestOf returns the node whose ledger ends last.
func longestOf(nodes []met) met {
	return slices.MaxFunc(nodes, func(a, b met) int { return compareEnds(a.told.End, b.told.End) })
}

func compareEnds(a, b peer.ResumeEnd) int {
	return cmp.Or(cmp.Compare(a.View, b.View), cmp.Compare(a.Index, b.Index))
}

// mayGather reports whether it is this node's turn to gather a generation: those with smaller ids go first. A node that has just promised waits for the
// one that it has promised to.
func (p *Process) mayGather(group []met, waited time.Duration) bool {
	before := 0
	for _, m := range group {
		if bytes.Compare(m.member.Node[:], p.member.Node[:]) < 0 {
			before++
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accepted != nil && p.by != p.member.Node && p.cfg.Clock.Elapsed()-p.at < turn {
		return false
	}
	return p.begun == nil && waited >= time.Duration(before)*turn && slices.ContainsFunc(group, func(m met) bool { return m.member == p.member })
}

// gather has a group promise to a generation, and begin. A crash after some have promised leaves nodes that wait; one after some have begun leaves those that tell
// the others what with.
func (p *Process) gather(ctx context.Context, group []met) error {
	g := peer.ResumeAsk{Stage: peer.ResumePromise}
	_, _ = rand.Read(g.ID[:]) // it never fails
	for _, m := range group {
		g.Members = append(g.Members, m.member)
		g.View = max(g.View, m.told.View, m.told.End.View)
	}
	var random [2]byte
	_, _ = rand.Read(random[:])
	if g.View += jump + uint64(binary.BigEndian.Uint16(random[:])); g.View > lastView {
		return fmt.Errorf("%w: view %d is more than a nonce has room for: recover the network with the members' shares", coco.ErrInvalid, g.View)
	}
	promised, err := p.askAll(ctx, group, g, func() (peer.ResumeTold, error) {
		p.mu.Lock()
		err := p.promise(p.member.Node, &g)
		p.mu.Unlock()
		return p.own(), err
	})
	if err != nil {
		return err
	}
	if again, lacks := p.group(promised); lacks != "" || len(again) < len(group) {
		return fmt.Errorf("%w: of those that have promised, %s", coco.ErrBusy, lacks)
	}
	longest := longestOf(promised)
	begin := g
	begin.Stage, begin.Floor, begin.Nodes, begin.Secrets = peer.ResumeBegin, longest.told.End, longest.told.Nodes, map[uint64]keys.Secret{}
	for _, m := range append(promised, longest) { // the one whose ledger is gone on from has the last word
		maps.Copy(begin.Secrets, m.told.Secrets)
		begin.Offers = append(begin.Offers, m.told.Offers...)
	}
	p.cfg.Log.Warn("the nodes of this network go on together after all of them have stopped", logevent.Resuming.Attr(),
		"nodes", len(group), "of", len(begin.Nodes), "last", coco.TxID{View: begin.Floor.View, Seqno: begin.Floor.Seqno}.String(), "view", begin.View)
	_, err = p.askAll(ctx, promised, begin, func() (peer.ResumeTold, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.accepted == nil || p.accepted.ID != g.ID {
			return peer.ResumeTold{}, fmt.Errorf("%w: this node has promised to another generation since", coco.ErrBusy)
		}
		p.begin(own(&begin))
		return p.tell(), nil
	})
	return err
}

// askAll asks every node of a group, and this one itself, the same. It fails if one of them does.
func (p *Process) askAll(ctx context.Context, group []met, ask peer.ResumeAsk, self func() (peer.ResumeTold, error)) ([]met, error) {
	out, errs := make([]met, len(group)), make([]error, len(group))
	var asked sync.WaitGroup
	for i, m := range group {
		asked.Go(func() {
			if m.member == p.member {
				out[i] = m
				out[i].told, errs[i] = self()
				return
			}
			got, err := p.ask(ctx, m.member.Node, m.address, ask)
			if err == nil && got.member != m.member {
				err = fmt.Errorf("%w: node %s was started again meanwhile", coco.ErrBusy, m.member.Node.Short())
			}
			if errs[i] = err; err == nil {
				out[i] = *got
			}
		})
	}
	asked.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", group[i].member.Node.Short(), err)
		}
	}
	return out, nil
}

// beginLate begins with what another member of this process's generation has begun with.
func (p *Process) beginLate(b *peer.ResumeAsk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accepted != nil && p.accepted.ID == b.ID {
		p.begin(b)
	}
}
