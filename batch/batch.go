package batch

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/merkle"
)

// Batch is a decoded batch. All of its slices are parts of the data that it was decoded from, which
// MUST NOT change while the batch is in use.
type Batch struct {
	Header      Header
	HeaderBytes []byte // as signed
	Signature   []byte // ASN.1

	public []byte
	sealed []byte
	leaves []byte
}

// Decode reads a batch. It checks the encoding, the number of records and leaves, and the digests
// of both parts; VerifyRoot, VerifySignature and Open check the rest. Its error is of kind
// coco.ErrCorrupt, or of kind coco.ErrVerify where a digest differs.
func Decode(data []byte) (*Batch, error) {
	if len(data) > MaxData {
		return nil, corrupt("batch", fmt.Errorf("%d bytes, at most %d are possible", len(data), MaxData))
	}
	b := new(Batch)
	rest, err := cutArray(data, 5)
	for _, part := range [...]*[]byte{&b.HeaderBytes, &b.public, &b.sealed, &b.leaves, &b.Signature} {
		if err != nil {
			break
		}
		*part, rest, err = canon.CutBytes(rest)
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes too many", len(rest))
	}
	if err != nil {
		return nil, corrupt("batch", err)
	}
	if err := b.Header.UnmarshalBinary(b.HeaderBytes); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("batch %s: %w", b, err)
	}
	return b, nil
}

// DecodeHeader reads the header of a batch of which nothing else need be sound. Its error is of kind
// coco.ErrCorrupt.
func DecodeHeader(data []byte) (h Header, err error) {
	rest, err := cutArray(data, 5)
	if err != nil {
		return h, corrupt("batch", err)
	}
	header, _, err := canon.CutBytes(rest)
	if err != nil {
		return h, corrupt("batch", err)
	}
	return h, h.UnmarshalBinary(header)
}

// check holds the parts against the header.
func (b *Batch) check() error {
	h := &b.Header
	if len(b.leaves)%sha256.Size != 0 || uint64(len(b.leaves)/sha256.Size) != h.Count {
		return fmt.Errorf("%w: expected %d leaves of 32 bytes, found %d bytes", coco.ErrCorrupt, h.Count, len(b.leaves))
	}
	if len(b.Signature) > maxSignature {
		return fmt.Errorf("%w: the signature has %d bytes, at most %d are possible", coco.ErrCorrupt, len(b.Signature), maxSignature)
	}
	if got := coco.Digest(sha256.Sum256(b.public)); got != h.Public {
		return fmt.Errorf("%w: the public part's digest is %s, the header says %s", coco.ErrVerify, got.Short(), h.Public.Short())
	}
	if got := coco.Digest(sha256.Sum256(b.sealed)); got != h.Sealed {
		return fmt.Errorf("%w: the sealed part's digest is %s, the header says %s", coco.ErrVerify, got.Short(), h.Sealed.Short())
	}
	rest, err := cutArray(b.public, h.Count)
	for i := uint64(0); i < h.Count && err == nil; i++ {
		_, rest, err = canon.CutBytes(rest)
	}
	return endOf("public part", rest, err)
}

// cutArray reads the head of an array of that many items.
func cutArray(b []byte, count uint64) (rest []byte, err error) {
	n, rest, err := canon.CutHead(b, canon.Array)
	if err == nil && n != count {
		err = fmt.Errorf("%d items, expected %d", n, count)
	}
	return rest, err
}

// endOf returns an error about the part unless it was read to its end.
func endOf(part string, rest []byte, err error) error {
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes too many", len(rest))
	}
	if err != nil {
		return corrupt(part, err)
	}
	return nil
}

// VerifyPlace checks that the batch belongs in the place of the entry that it was decoded from: its header MUST name the entry's own view and index, and prev, the chain digest of the entry before.
// Its error is of kind coco.ErrVerify.
func (b *Batch) VerifyPlace(e Entry, prev coco.Digest) error {
	switch h := &b.Header; {
	case h.View != e.View || h.Index != e.Index:
		return fmt.Errorf("%w: the batch's header is for view %d, index %d; it stands in view %d, index %d",
			coco.ErrVerify, h.View, h.Index, e.View, e.Index)
	case h.Prev != prev:
		return fmt.Errorf("%w: batch %s: its header follows chain digest %s, the entry before has %s",
			coco.ErrVerify, b, h.Prev.Short(), prev.Short())
	}
	return nil
}

// String names the batch by its transactions, such as "2.17" or "2.17–2.40".
func (b *Batch) String() string {
	first, last := b.Header.TxIDs()
	if first == last {
		return first.String()
	}
	return first.String() + "–" + last.String()
}

// Leaf returns the i-th leaf. It panics when i is out of range.
func (b *Batch) Leaf(i int) coco.Digest {
	return coco.Digest(b.leaves[i*sha256.Size : (i+1)*sha256.Size])
}

// Leaves returns a copy of all leaves.
func (b *Batch) Leaves() []coco.Digest {
	leaves := make([]coco.Digest, b.Header.Count)
	for i := range leaves {
		leaves[i] = b.Leaf(i)
	}
	return leaves
}

// PublicRecords returns the public writes of each transaction. They alias the batch's data.
func (b *Batch) PublicRecords() ([][]byte, error) {
	records := make([][]byte, b.Header.Count)
	rest, err := cutArray(b.public, b.Header.Count)
	for i := 0; i < len(records) && err == nil; i++ {
		records[i], rest, err = canon.CutBytes(rest)
	}
	return records, endOf("public part", rest, err)
}

// VerifySignature checks the signature. Its error is of kind coco.ErrVerify.
func (b *Batch) VerifySignature(pub *ecdsa.PublicKey) error {
	if err := VerifySignature(pub, b.HeaderBytes, b.Signature); err != nil {
		return fmt.Errorf("batch %s: %w", b, err)
	}
	return nil
}

// VerifyRoot appends the batch's leaves to the tree as it was before the batch and compares the
// root with the header's. The tree changes only if the error is nil. Errors are of kind
// coco.ErrVerify.
func (b *Batch) VerifyRoot(tree *merkle.Frontier) error {
	if b.Header.First != tree.Size()+1 {
		return fmt.Errorf("%w: batch %s: its first seqno must be %d", coco.ErrVerify, b, tree.Size()+1)
	}
	after := tree.Clone()
	for i := range int(b.Header.Count) {
		after.Append(b.Leaf(i))
	}
	if root := after.Root(); root != b.Header.Root {
		return fmt.Errorf("%w: batch %s: its leaves lead to Merkle root %s, the header says %s",
			coco.ErrVerify, b, root.Short(), b.Header.Root.Short())
	}
	*tree = after
	return nil
}

// Open decrypts the batch and checks every record against its leaf. The records' public parts alias
// the batch's data, the others one buffer that Open allocates. Errors are of kind coco.ErrVerify or
// coco.ErrCorrupt.
func (b *Batch) Open(keys *Keys) ([]Record, error) {
	if b.Header.Epoch != keys.epoch {
		return nil, fmt.Errorf("%w: batch %s is sealed under the keys of epoch %d, these are of epoch %d",
			coco.ErrInvalid, b, b.Header.Epoch, keys.epoch)
	}
	done, err := keys.use()
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", b, err)
	}
	defer done()
	plain, err := keys.aead.Open(nil, nonce(&b.Header), b.sealed, associated(b.HeaderBytes))
	if err != nil {
		return nil, fmt.Errorf("%w: batch %s: the sealed part does not decrypt under the keys of epoch %d",
			coco.ErrVerify, b, keys.epoch)
	}
	records, err := b.records(plain)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", b, err)
	}
	hasher := newLeafHasher(b.Header.View, keys)
	defer hasher.mac.Erase()
	for i := range records {
		seqno := b.Header.First + uint64(i)
		if hasher.leaf(seqno, &records[i]) != b.Leaf(i) {
			return nil, fmt.Errorf("%w: transaction %s: its leaf is not that of its contents",
				coco.ErrVerify, coco.TxID{View: b.Header.View, Seqno: seqno})
		}
	}
	return records, nil
}

// records reads both parts side by side.
func (b *Batch) records(plain []byte) ([]Record, error) {
	records := make([]Record, b.Header.Count)
	public, err := cutArray(b.public, b.Header.Count)
	if err != nil {
		return nil, corrupt("public part", err)
	}
	private, err := cutArray(plain, b.Header.Count)
	for i := 0; i < len(records) && err == nil; i++ {
		r := &records[i]
		if r.Public, public, err = canon.CutBytes(public); err != nil {
			return nil, corrupt("public part", err)
		}
		if private, err = cutArray(private, 2); err != nil {
			break
		}
		if r.Private, private, err = canon.CutBytes(private); err != nil {
			break
		}
		r.Claims, private, err = canon.CutBytes(private)
	}
	return records, endOf("sealed part", private, err)
}

// corrupt returns an error of kind coco.ErrCorrupt about the thing.
func corrupt(thing string, cause error) error {
	return fmt.Errorf("%w: %s: %w", coco.ErrCorrupt, thing, cause)
}
