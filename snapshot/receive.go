package snapshot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Receiver takes a snapshot's body from another node. It belongs to one goroutine.
type Receiver struct {
	disk host.Disk
	dir  string
	want Info
	file host.File
	hash hash.Hash
	at   uint64
}

// Receive begins to receive the snapshot that the network recorded: want has its Index, Seqno,
// Digest and Bytes. It ends with Done or Abort.
func Receive(disk host.Disk, dir string, want Info) (*Receiver, error) {
	want.Pending = true
	if want.Bytes == 0 || want.Digest == (coco.Digest{}) {
		return nil, fmt.Errorf("%w: receiving snapshot %s: its size or digest is not known", coco.ErrInvalid, want.Name())
	}
	r := &Receiver{disk: disk, dir: dir, want: want, hash: sha256.New()}
	f, err := disk.Create(r.temporary())
	if err != nil {
		return nil, fmt.Errorf("receiving snapshot %s: %w", want.Name(), err)
	}
	r.file = f
	return r, nil
}

func (r *Receiver) temporary() string { return join(r.dir, fileName(r.want.Index, r.want.Seqno)+part) }

// Offset returns how many bytes have been written: where to go on, perhaps with another node.
func (r *Receiver) Offset() uint64 { return r.at }

// Write takes the next bytes of the body. More than there can be are coco.ErrCorrupt.
func (r *Receiver) Write(b []byte) (int, error) {
	if uint64(len(b)) > r.want.Bytes-r.at {
		return 0, corrupt(r.want.Name(), "more than %d bytes were sent", r.want.Bytes)
	}
	n, err := r.file.WriteAt(b, int64(r.at))
	r.hash.Write(b[:n])
	r.at += uint64(n)
	return n, err
}

// Done checks that what was received is what the network recorded, and gives the file its final name,
// or that of a pending one if there is no receipt. Otherwise the error is coco.ErrCorrupt, and the
// file is gone.
func (r *Receiver) Done(receipt []byte) (Info, error) {
	if found := coco.Digest(r.hash.Sum(nil)); r.at != r.want.Bytes || found != r.want.Digest {
		r.Abort()
		return Info{}, corrupt(r.want.Name(), "received %d bytes with digest %s, expected %d with %s", r.at, found, r.want.Bytes, r.want.Digest)
	}
	if err := errors.Join(r.file.Sync(), r.file.Close()); err != nil {
		return Info{}, fmt.Errorf("receiving snapshot %s: %w", r.want.Name(), errors.Join(err, r.disk.Remove(r.temporary())))
	}
	if err := r.disk.Rename(r.temporary(), join(r.dir, r.want.Name())); err != nil {
		return Info{}, fmt.Errorf("receiving snapshot %s: %w", r.want.Name(), err)
	}
	i := r.want
	if receipt != nil {
		if err := Confirm(r.disk, r.dir, i, receipt); err != nil {
			return Info{}, err
		}
		i.Pending = false
	}
	return i, nil
}

// Abort gives up and removes what was received.
func (r *Receiver) Abort() {
	r.file.Close()
	_ = r.disk.Remove(r.temporary()) // what stays behind, Sweep finds
}
