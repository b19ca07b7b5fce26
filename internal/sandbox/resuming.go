package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/resume"
)

// After all nodes have stopped, those of a sandbox go on together with what they have kept sealed, as those of any network whose constitution allows it
// (package resume). Where that cannot be, because a node is missing, or what it has kept is, one of them recovers with the members' keys. If the others are enough to
// go on beside it, what they have kept is removed first.

// resumePatience is how long nodes may take to go on together, beside the time that an audit of their ledgers takes at auditBytes a second.
const (
	resumePatience = 20 * time.Second
	auditBytes     = 10 << 20
)

// mayResume reports whether the nodes may go on together: enough of them have kept what they need, and the longest ledger, of the node given, has what is known to
// be committed.
func (s *Sandbox) mayResume(longest int) bool {
	kept := 0
	for _, n := range s.info.Nodes {
		if _, err := os.Stat(filepath.Join(n.Dir, filepath.FromSlash(resume.File))); err != nil || n.Retired {
			continue
		}
		if _, _, _, err := ledgerEnd(nodeconfig.Dir(n.Dir)); err == nil {
			kept++
		}
	}
	if active := s.info.Active(); !s.info.Committed || s.known.moved || !s.knowsService() || kept < resume.Needed(active, false) {
		return false
	}
	atLeast, last, err := s.mustHold()
	if err != nil || last != (coco.TxID{}) {
		return false // for the recovery to say
	}
	held, err := holds(nodeconfig.Dir(s.info.Nodes[longest].Dir), atLeast)
	return err == nil && held
}

// holds reports whether a transaction is in a ledger.
func holds(dir nodeconfig.Dir, id coco.TxID) (bool, error) {
	if id == (coco.TxID{}) {
		return true, nil
	}
	disk, err := local.OpenReadOnly(string(dir))
	if err != nil {
		return false, err
	}
	defer disk.Close()
	log, err := ledger.OpenReadOnly(disk, nodeconfig.LedgerDir)
	if err != nil {
		return false, err
	}
	defer log.Close()
	for index := log.Last(); index > 0; index-- { // what is noted is seconds old at most
		entries, err := log.Read(index, index+1, 0)
		if err != nil {
			return false, err
		}
		if entries[0].Kind != batch.KindBatch {
			continue
		}
		h, err := batch.DecodeHeader(entries[0].Data)
		if err != nil {
			return false, err
		}
		if h.First <= id.Seqno {
			return id.Seqno <= h.Last() && h.View == id.View, nil
		}
	}
	return false, nil
}

// resumeAll has the nodes go on together. It is done when a quorum is up, and the others are, or have had their time.
func (s *Sandbox) resumeAll(ctx context.Context, n *processes) error {
	patience := resumePatience
	for _, node := range s.info.Nodes {
		patience += time.Duration(ledgerBytes(nodeconfig.Dir(node.Dir))/auditBytes) * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: they have not gone on together within %v", coco.ErrUnreachable, patience))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	s.report(localnet.Step{Step: "recovering", Text: "the nodes go on together, with what each has kept sealed: no member's key is read"})
	outcomes := make(chan outcome)
	w := quorumWait{joined: "goes on", ends: func(err error, up int) bool { return up == 0 && errors.Is(err, errNotKept) }} // the others wait for that one
	for i, node := range s.info.Nodes {
		if node.Retired {
			continue
		}
		switch err := n.start(i, nodeconfig.StartJoin, s.others(i)); {
		case errors.Is(err, nodeconfig.ErrAddressInUse):
			return err
		case err != nil:
			s.report(localnet.Step{Step: "down", Node: node.Name, Text: err.Error()})
			continue
		}
		w.waiting++
		running.Go(func() {
			err := n.awaitResumed(ctx, i, s.others(i))
			select {
			case outcomes <- outcome{i, err}:
			case <-ctx.Done():
			}
		})
	}
	return s.awaitQuorum(ctx, w, outcomes)
}

// errNotKept says that what a node has kept is of no use.
var errNotKept = errors.New("it cannot go on by itself")

// awaitResumed is awaitReady for a node that goes on with others. It returns errNotKept as soon as the node says that it cannot.
func (n *processes) awaitResumed(ctx context.Context, i int, others []int) error {
	c := n.child(i)
	ctx, end := endOn(ctx, c.alone, func(why string) error { return fmt.Errorf("node %s: %w: %s", c.name, errNotKept, why) })
	defer end()
	err := n.awaitReady(ctx, i, nodeconfig.StartJoin, others)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// others are the nodes of the network but one.
func (s *Sandbox) others(i int) (out []int) {
	for k, n := range s.info.Nodes {
		if k != i && !n.Retired {
			out = append(out, k)
		}
	}
	return out
}

// ledgerBytes is how much a node's audit reads.
func ledgerBytes(dir nodeconfig.Dir) (bytes int64) {
	files, _ := os.ReadDir(filepath.Join(string(dir), nodeconfig.LedgerDir))
	for _, f := range files {
		if st, err := f.Info(); err == nil {
			bytes += st.Size()
		}
	}
	return bytes
}

// dropKept removes what all nodes have kept: one of them recovers, and none may go on beside it.
func (s *Sandbox) dropKept() error {
	for _, n := range s.info.Nodes {
		for _, name := range []string{resume.File, resume.File + ".new"} {
			if err := os.Remove(filepath.Join(n.Dir, filepath.FromSlash(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("what node %s has kept sealed cannot be removed, and it must not go on beside a recovery: %w", n.Name, err)
			}
		}
	}
	return nil
}
