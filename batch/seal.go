package batch

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/merkle"
)

const (
	tagSize      = 16
	maxSignature = 72 // of ECDSA P-256 in DER
)

// Seal makes a batch of the records. It sets the header's Version, Count, Root, Public and Sealed;
// the caller sets the others. The tree is the one before the batch, and has the batch's leaves
// appended to it if, and only if, the error is nil. The signer is the key of the node h.Node.
//
// Seal MUST NOT be called twice for the same view and index under the same keys, unless with
// exactly the same arguments: the nonce of the sealed part derives from them.
func Seal(h Header, recs []Record, tree *merkle.Frontier, keys *Keys, signer crypto.Signer) ([]byte, error) {
	h.Version, h.Count = Version, uint64(len(recs))
	h.Root, h.Public, h.Sealed = coco.Digest{}, coco.Digest{}, coco.Digest{}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: batch to seal: %w", coco.ErrInvalid, err)
	}
	if h.Epoch != keys.epoch {
		return nil, fmt.Errorf("%w: batch to seal: the header names epoch %d, the keys are of epoch %d",
			coco.ErrInvalid, h.Epoch, keys.epoch)
	}
	done, err := keys.use()
	if err != nil {
		return nil, fmt.Errorf("batch to seal: %w", err)
	}
	defer done()
	if h.First != tree.Size()+1 {
		return nil, fmt.Errorf("%w: batch to seal: first seqno %d, but the tree has %d leaves",
			coco.ErrInvalid, h.First, tree.Size())
	}

	public, plain := canon.HeadSize(h.Count), canon.HeadSize(h.Count)
	for i := range recs {
		r := &recs[i]
		public += canon.BytesSize(len(r.Public))
		plain += 1 + canon.BytesSize(len(r.Private)) + canon.BytesSize(len(r.Claims))
	}
	leaves := sha256.Size * len(recs)
	size := 1 + canon.BytesSize(maxHeader) + canon.BytesSize(public) + canon.BytesSize(plain+tagSize) + canon.BytesSize(leaves) + canon.BytesSize(maxSignature)
	if size > MaxData {
		return nil, fmt.Errorf("%w: batch to seal: %d bytes, at most %d are possible: make smaller batches",
			coco.ErrInvalid, size, MaxData)
	}

	header := h.append(make([]byte, 0, maxHeader))
	b := make([]byte, 0, size)
	b = canon.AppendHead(b, canon.Array, 5)
	b = canon.AppendBytes(b, header)
	header = b[len(b)-len(header):]

	b = canon.AppendHead(b, canon.Bytes, uint64(public))
	start := len(b)
	b = canon.AppendHead(b, canon.Array, h.Count)
	for i := range recs {
		b = canon.AppendBytes(b, recs[i].Public)
	}
	h.Public = sha256.Sum256(b[start:])

	b = canon.AppendHead(b, canon.Bytes, uint64(plain+tagSize))
	start = len(b)
	b = canon.AppendHead(b, canon.Array, h.Count)
	for i := range recs {
		b = canon.AppendHead(b, canon.Array, 2)
		b = canon.AppendBytes(b, recs[i].Private)
		b = canon.AppendBytes(b, recs[i].Claims)
	}
	b = keys.aead.Seal(b[:start], nonce(&h), b[start:], associated(header))
	h.Sealed = sha256.Sum256(b[start:])

	b = canon.AppendHead(b, canon.Bytes, uint64(leaves))
	after, hasher := tree.Clone(), newLeafHasher(h.View, keys)
	defer hasher.mac.Erase()
	for i := range recs {
		leaf := hasher.leaf(h.First+uint64(i), &recs[i])
		after.Append(leaf)
		b = append(b, leaf[:]...)
	}
	h.Root = after.Root()

	h.append(header[:0]) // in place: the three digests change no length
	signature, err := sign(signer, sealContext, header)
	if err != nil {
		return nil, err
	}
	*tree = after
	return canon.AppendBytes(b, signature), nil
}

// What a signature over a header says is in its context: that a leader sealed the batch, or that a node has applied it as committed.
const (
	sealContext   = "coco batch\x00"
	commitContext = "coco commit\x00"
)

// signedDigest returns the digest that a signature over a header is over.
func signedDigest(context string, header []byte) [32]byte {
	return sha256.Sum256(append(append(make([]byte, 0, len(context)+maxHeader), context...), header...))
}

// ecdsaSignature is an ECDSA signature in ASN.1.
type ecdsaSignature struct{ R, S *big.Int }

// order and halfOrder are the group order of P-256 and its half, rounded down.
var (
	order     = elliptic.P256().Params().N
	halfOrder = new(big.Int).Rsh(order, 1)
)

// sign signs a header. Of the two valid values of s it returns the smaller, so that a second
// valid form of a batch cannot be made without the key.
func sign(signer crypto.Signer, context string, header []byte) ([]byte, error) {
	if pub, ok := signer.Public().(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: the key that signs batches must be ECDSA P-256", coco.ErrInvalid)
	}
	digest := signedDigest(context, header)
	der, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign batch: %w", err)
	}
	var sig ecdsaSignature
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, fmt.Errorf("sign batch: the key's signature does not parse: %w", err)
	}
	if sig.S.Cmp(halfOrder) > 0 {
		sig.S.Sub(order, sig.S)
		return asn1.Marshal(sig)
	}
	return der, nil
}

// SignCommit signs, by a node's key, that the node has applied the batch of a header as committed. It MUST be called for such a batch
// only.
func SignCommit(signer crypto.Signer, header []byte) ([]byte, error) {
	return sign(signer, commitContext, header)
}

// VerifySignature checks a batch's signature, given its encoded header. Its error is of kind
// coco.ErrVerify.
func VerifySignature(pub *ecdsa.PublicKey, header, signature []byte) error {
	return verify(pub, sealContext, header, signature)
}

// VerifyCommit checks what SignCommit made. Its error is of kind coco.ErrVerify.
func VerifyCommit(pub *ecdsa.PublicKey, header, signature []byte) error {
	return verify(pub, commitContext, header, signature)
}

func verify(pub *ecdsa.PublicKey, context string, header, signature []byte) error {
	if pub == nil || pub.Curve != elliptic.P256() {
		return fmt.Errorf("%w: batch signature: the signer's key is not ECDSA P-256", coco.ErrVerify)
	}
	digest := signedDigest(context, header)
	if !ecdsa.VerifyASN1(pub, digest[:], signature) {
		return fmt.Errorf("%w: batch signature: it was not made by this key over this header", coco.ErrVerify)
	}
	var sig ecdsaSignature
	if rest, err := asn1.Unmarshal(signature, &sig); err != nil || len(rest) > 0 || sig.S.Cmp(halfOrder) > 0 {
		return fmt.Errorf("%w: batch signature: it is not in its canonical form (DER, s at most half the order)", coco.ErrVerify)
	}
	return nil
}
