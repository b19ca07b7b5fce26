package check

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

// Ahead does the work on entries that depends on nothing before them: digests, decoding, and the signature by the key that the
// batch's node used before. Its goroutines end with Close. An Ahead belongs to one goroutine, as do the entries that it prepares.
type Ahead struct {
	jobs   chan *Prepared // nil without goroutines
	done   sync.WaitGroup
	closed atomic.Bool
	keys   sync.Map // coco.NodeID to *ecdsa.PublicKey: the last key that a Sequence has found each node to sign with
}

// Prepared is an entry on which the work has begun. Prepare's caller bounds how many there are.
type Prepared struct {
	ahead *Ahead
	entry batch.Entry
	ready chan struct{} // closed when the fields below are set; nil: wait sets them

	data  coco.Digest  // SHA-256 of the entry's data
	batch *batch.Batch // of an entry that is one
	err   error        // why the data is no batch

	signer    *ecdsa.PublicKey // the key that the signature was compared with; nil: none
	signature error            // what came of it
}

// NewAhead starts so many goroutines. Without any, the work is done when the Sequence comes to an entry.
func NewAhead(workers int) *Ahead {
	a := new(Ahead)
	if workers < 1 {
		return a
	}
	a.jobs = make(chan *Prepared, workers)
	for range workers {
		a.done.Go(func() {
			for p := range a.jobs {
				if !a.closed.Load() {
					p.work()
					close(p.ready)
				}
			}
		})
	}
	return a
}

// Close ends the goroutines and waits for them. Entries that were prepared and not checked are of no use afterwards.
func (a *Ahead) Close() {
	if a.jobs == nil {
		return
	}
	a.closed.Store(true)
	close(a.jobs)
	a.done.Wait()
}

// Prepare begins with an entry, whose data MUST NOT change afterwards. It waits while all goroutines are busy and as many entries again
// are waiting for one.
func (a *Ahead) Prepare(e batch.Entry) *Prepared {
	p := &Prepared{ahead: a, entry: e}
	if a.jobs != nil {
		p.ready = make(chan struct{})
		a.jobs <- p
	}
	return p
}

// wait returns when the work is done.
func (p *Prepared) wait() {
	if p.ready == nil {
		p.work()
		return
	}
	<-p.ready
}

func (p *Prepared) work() {
	p.data = sha256.Sum256(p.entry.Data)
	if p.entry.Kind != batch.KindBatch {
		return
	}
	if p.batch, p.err = batch.Decode(p.entry.Data); p.err != nil || p.ready == nil {
		return // without goroutines, the key that must have signed is about to be known
	}
	if key, ok := p.ahead.keys.Load(p.batch.Header.Node); ok {
		p.signer = key.(*ecdsa.PublicKey)
		p.signature = p.batch.VerifySignature(p.signer)
	}
}

// verifySignature checks that the batch is signed by a key, and notes the key for the batches of the same node that are prepared from now on.
func (p *Prepared) verifySignature(signer *ecdsa.PublicKey) error {
	if p.signer != nil && signer != nil && p.signer.Equal(signer) {
		return p.signature
	}
	if err := p.batch.VerifySignature(signer); err != nil {
		return err
	}
	p.ahead.keys.Store(p.batch.Header.Node, signer)
	return nil
}
