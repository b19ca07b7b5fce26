package catchup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/snapshot"
)

// Answer finds what another node fetches. Of the entries, those up to applied are given out.
func (l *Local) Answer(applied uint64, rq peer.FetchRequest) (peer.FetchAnswer, peer.Pieces, error) {
	switch rq.What {
	case peer.FetchSnapshot:
		return l.sendSnapshot(rq)
	case peer.FetchEntries:
		return l.sendEntries(applied, rq)
	case peer.FetchChunk:
		for _, c := range l.Ledger.Chunks() {
			if c.First <= rq.Index && (rq.Index <= c.Last || !c.Complete) {
				a := peer.FetchAnswer{First: c.First}
				if c.Complete {
					a.Last = c.Last
				}
				return a, peer.Pieces{}, nil
			}
		}
		return peer.FetchAnswer{}, peer.Pieces{}, fmt.Errorf("%w: no chunk with entry %d is here", coco.ErrMissing, rq.Index)
	}
	return peer.FetchAnswer{}, peer.Pieces{}, fmt.Errorf("%w: fetch of kind %d", coco.ErrInvalid, rq.What)
}

// sendEntries sends committed entries.
func (l *Local) sendEntries(applied uint64, rq peer.FetchRequest) (peer.FetchAnswer, peer.Pieces, error) {
	none := peer.FetchAnswer{}
	if rq.Index == 0 || rq.To <= rq.Index || rq.To > applied+1 {
		return none, peer.Pieces{}, fmt.Errorf("%w: entries %d to before %d: this node has applied %d", coco.ErrNotFound, rq.Index, rq.To, applied)
	}
	if _, err := l.Ledger.Read(rq.Index, rq.Index+1, 0); err != nil {
		return none, peer.Pieces{}, err
	}
	next := rq.Index
	return none, peer.Pieces{Next: func() ([]byte, error) {
		if next == rq.To {
			return nil, io.EOF
		}
		entries, err := l.Ledger.Read(next, rq.To, peer.FetchPiece)
		if err != nil {
			return nil, err
		}
		next += uint64(len(entries))
		return peer.EncodeEntries(entries)
	}}, nil
}

// sendSnapshot sends a snapshot's file.
func (l *Local) sendSnapshot(rq peer.FetchRequest) (peer.FetchAnswer, peer.Pieces, error) {
	none := peer.FetchAnswer{}
	all, err := snapshot.List(l.Disk, l.Snapshots)
	if err != nil {
		return none, peer.Pieces{}, err
	}
	for _, i := range all {
		if i.Index != rq.Index {
			continue
		}
		file, err := snapshot.Open(l.Disk, l.path(i))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return none, peer.Pieces{}, err
		}
		at := int64(rq.Offset)
		return peer.FetchAnswer{Receipt: file.Receipt()}, peer.Pieces{Close: file.Close, Next: func() ([]byte, error) {
			piece := make([]byte, min(peer.FetchPiece, max(0, int64(file.Bytes())-at)))
			if len(piece) == 0 {
				return nil, io.EOF
			}
			read, err := file.ReadAt(piece, at)
			at += int64(read)
			if read == len(piece) {
				err = nil
			}
			return piece[:read], err
		}}, nil
	}
	return none, peer.Pieces{}, fmt.Errorf("%w: no snapshot of entry %d is here", coco.ErrNotFound, rq.Index)
}
