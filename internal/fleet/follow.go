package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
)

// follow looks whether home still is the right node and the terms are those in force; list has the network's nodes be asked for, too.
func (f *Fleet) follow(ctx context.Context, list bool) error {
	f.choosing.Lock()
	defer f.choosing.Unlock()
	home, err := f.at()
	if err != nil {
		return nil // it has ended
	}
	if home == nil {
		_, err := f.survey(ctx)
		return err
	}
	a := home.ask(ctx)
	if a.err == nil {
		a.err = f.agree(ctx, a)
	}
	if f.halted() != nil {
		return f.halted()
	}
	if a.err != nil {
		f.left(home)
		home.rest(followEvery)
		_, err := f.survey(ctx)
		return err
	}
	if f.cfg.Alone {
		return nil
	}
	if list {
		if err := f.list(ctx, home); err != nil {
			f.cfg.Log.Debug("asking for the network's nodes", "node", home.address, "error", err)
		}
	}
	if a.status.Role == "leader" {
		return nil
	}
	leader := f.called(a.status.Leader)
	if leader == nil && !list { // it may have joined a moment ago
		if err := f.list(ctx, home); err != nil {
			return err
		}
		leader = f.called(a.status.Leader)
	}
	if leader == nil || leader.rests() > 0 {
		return nil
	}
	l := leader.ask(ctx)
	if l.err != nil {
		leader.rest(askPatience) // it may not be reached from here
		f.cfg.Log.Debug("the leader does not answer", "node", leader.address, "error", l.err)
		return nil
	}
	if l.status.Role == "leader" && f.agree(ctx, l) == nil {
		f.settle(leader)
	}
	return nil
}

// called returns the node of an id; nil if it is not known.
func (f *Fleet) called(id coco.NodeID) *node {
	for _, n := range f.known() {
		if n.said().Node == id {
			return n
		}
	}
	return nil
}

// agree compares the constitution that a verified node says is in force with the terms, which follow it if it is a later one. It is called under choosing.
func (f *Fleet) agree(ctx context.Context, a answer) error {
	if a.status.Constitution == f.terms.Digest {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	page, digest, err := a.n.c.Constitution(ctx)
	if err != nil {
		return err
	}
	to, err := f.cfg.Read(page)
	if err != nil {
		return err
	}
	switch {
	case to.Digest != digest:
		return fmt.Errorf("%w: its constitution has digest %s, and it says %s", coco.ErrVerify, to.Digest.Short(), digest.Short())
	case to.Version < f.terms.Version:
		return fmt.Errorf("%w: it is behind: its constitution is version %d, and the network's is %d", coco.ErrBusy, to.Version, f.terms.Version)
	case to.Version == f.terms.Version:
		return fmt.Errorf("%w: it runs under constitution %s, expected %s: it belongs to another network, or members have gone on from an older copy of the ledger",
			coco.ErrVerify, to.Digest.Short(), f.terms.Digest.Short())
	}
	if err := f.cfg.Accept(f.terms, to, a.n.address); err != nil {
		return f.halt(err)
	}
	f.setTerms(to)
	return f.setPolicy()
}

// setPolicy has all nodes verified anew. It is called under choosing.
func (f *Fleet) setPolicy() error {
	for _, n := range f.known() {
		if err := n.c.Transport().SetPolicy(f.policy); err != nil {
			return err
		}
	}
	return nil
}

// list learns the network's nodes from one that is verified. Those that have left are forgotten.
func (f *Fleet) list(ctx context.Context, home *node) error {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	all, err := home.c.Nodes(ctx)
	if err != nil {
		return err
	}
	trusted := map[string]coco.NodeID{}
	for _, n := range all {
		if n.State == "trusted" && n.ClientAddress != "" {
			trusted[n.ClientAddress] = n.Node
		}
	}
	f.mu.Lock()
	kept := f.nodes[:0:0]
	for _, n := range f.nodes {
		id, listed := trusted[n.address]
		if n.named || n == f.home || listed {
			kept = append(kept, n)
		} else {
			n.c.Close()
		}
		if listed {
			n.is(id)
		}
	}
	f.nodes = kept
	f.mu.Unlock()
	for address, id := range trusted {
		if len(f.known()) >= maxNodes {
			break
		}
		if err := f.add(address, id); err != nil {
			f.cfg.Log.Debug("a node cannot be asked", "address", address, "error", err)
		}
	}
	return nil
}

// succeeded looks whether the known service certificate has been replaced, after a node has shown a service that follows it.
func (f *Fleet) succeeded(err error) bool {
	next := (*client.SuccessorError)(nil)
	if f.cfg.Service == nil || !errors.As(err, &next) {
		return false
	}
	now, err := f.cfg.Service()
	if err != nil || now.Equal(f.policy.Service) {
		return false
	}
	f.policy.Service = now
	return f.setPolicy() == nil
}
