package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// A ledger that is older than it was, or another history, looks whole in itself: whoever puts older copies of all nodes' folders in place
// rolls the network back. So the supervisor notes the last transaction that it has seen committed, and no node goes on from a ledger
// that lacks it, unless the user names the transaction that the ledger ends with. The note is outside of the nodes' folders. What was
// committed in the last notedEvery before a crash may not be in it.

// notedEvery is how often the supervisor asks what is committed.
const notedEvery = time.Second

// keepNoting notes what is committed until ctx is done.
func (s *Sandbox) keepNoting(ctx context.Context) error {
	w := &noter{s: s}
	defer w.close()
	for {
		if err := w.ask(ctx); err != nil {
			s.opts.Log.Debug("asking what is committed", "error", err)
		}
		if !ctxtime.Sleep(ctx, notedEvery) {
			return nil
		}
	}
}

// noteLast notes what is committed before the nodes are told to end.
func (s *Sandbox) noteLast() {
	w := &noter{s: s}
	defer w.close()
	if err := w.ask(context.Background()); err != nil {
		s.opts.Log.Warn("what is committed at the end could not be asked", "error", err)
	}
}

// noter asks one node that serves, as long as it answers.
type noter struct {
	s      *Sandbox
	client *client.Client // nil while no node is known to answer
}

func (w *noter) close() {
	if w.client != nil {
		w.client.Close()
		w.client = nil
	}
}

// ask notes what a node says is committed, if that is later than what is noted.
func (w *noter) ask(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*notedEvery)
	defer cancel()
	if w.client == nil {
		ready := w.s.readyNodes()
		if len(ready) == 0 {
			return nil
		}
		if w.client, err = w.s.clientOf(ready[rand.IntN(len(ready))]); err != nil {
			return err
		}
	}
	st, err := w.client.Status(ctx)
	if err != nil {
		w.close()
		return err
	}
	noted, err := w.s.committed()
	if err != nil || !later(st.Committed, noted) {
		return err
	}
	return w.s.note(st.Committed)
}

// later reports whether a transaction was committed after another one of the same history. A recovery begins a higher view than its
// ledger's last.
func later(a, b coco.TxID) bool { return a.View > b.View || a.View == b.View && a.Seqno > b.Seqno }

func (s *Sandbox) note(id coco.TxID) error {
	return atomicfile.Write(s.lay.CommittedFile(), []byte(id.String()+"\n"))
}

// committed returns the transaction that is noted; zero if there is none.
func (s *Sandbox) committed() (coco.TxID, error) {
	b, err := os.ReadFile(s.lay.CommittedFile())
	if errors.Is(err, fs.ErrNotExist) {
		return coco.TxID{}, nil
	}
	if err != nil {
		return coco.TxID{}, fmt.Errorf("what was committed: %w", err)
	}
	id, err := coco.ParseTxID(strings.TrimSpace(string(b)))
	if err != nil {
		return coco.TxID{}, fmt.Errorf("%w: %s: %w: expected a transaction such as 2.17: correct it, or remove the file to go on from whatever the ledgers hold", coco.ErrCorrupt, s.lay.CommittedFile(), err)
	}
	return id, nil
}

// mustHold returns the transaction that a ledger must hold to go on from it, or the one that it must end with because the user accepts what
// is lost after it.
func (s *Sandbox) mustHold() (atLeast, last coco.TxID, err error) {
	if s.opts.AcceptLast != (coco.TxID{}) {
		return coco.TxID{}, s.opts.AcceptLast, nil
	}
	atLeast, err = s.committed()
	return atLeast, coco.TxID{}, err
}

// accepted forgets what is noted of the history whose end the user has accepted to lose, once the network is up without it.
func (s *Sandbox) accepted() error {
	if s.opts.AcceptLast == (coco.TxID{}) {
		return nil
	}
	s.opts.AcceptLast = coco.TxID{}
	if err := os.Remove(s.lay.CommittedFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("what was committed and is lost: %w", err)
	}
	return nil
}

// showRecovery reports where the ledger ends that a node goes on from, before it reads any member's key.
func (s *Sandbox) showRecovery(node string, e nodeconfig.Event) {
	s.report(localnet.Step{
		Step: "recovering", Node: node,
		LedgerEnd: &localnet.LedgerEnd{Last: e.Last.String(), Time: e.Time, Root: e.Root.String(), Point: e.Point.String()},
		Text: fmt.Sprintf("%s goes on after transaction %s of %s (root %s): the members' keys open its ledger for that end alone",
			node, e.Last, time.UnixMilli(int64(e.Time)).UTC().Format(time.RFC3339), e.Root.Short()),
	})
}
