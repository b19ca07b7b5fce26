package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// Verified is a value of kv that was committed: see Client.VerifiableGet.
type Verified struct {
	TxID        coco.TxID       // of the transaction that put it
	AsOf        coco.TxID       // the last transaction of the state that the node read: its word, in no proof
	Actor       coco.ActorID    // whose caller put it
	User        string          // of that organisation; empty for the organisation itself
	ContentType string          // empty for wire.MediaBytes
	Value       []byte          //
	Receipt     json.RawMessage // proves all but AsOf and Value's being the newest, to whoever has the service's certificate
}

// VerifiableGet reads a key of kv, and verifies the receipt that comes with the value before it returns: that a transaction which the service
// of this certificate has committed put this value and content type under this key, for this audience and no other. The audience is given by
// ids, in any order; without one it is about the rows that all callers see.
//
// It does not prove that the value is the newest, or that a key is absent: the node says so. The error is coco.ErrVerify for an answer that its
// receipt does not prove, coco.ErrNotFound for an absent key, and coco.ErrPending while the receipt cannot be made yet.
func (c *Client) VerifiableGet(ctx context.Context, service *x509.Certificate, key string, audience ...coco.ActorID) (Verified, error) {
	ids := make([]string, len(audience))
	for i, a := range audience {
		ids[i] = a.String()
	}
	resp, err := c.KV().For(ids...).ask(ctx, http.MethodGet, pathOf(key)+"?proof", nil, nil)
	if err != nil {
		return Verified{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return Verified{}, readError(resp)
	}
	answer, err := readAll(resp)
	if err != nil {
		return Verified{}, err
	}
	return VerifyValue(service, answer, key, audience...)
}

// VerifyValue is the check of VerifiableGet, for an answer that somebody has kept (docs/http.md, "Proofs"): it asks no node.
func VerifyValue(service *x509.Certificate, answer []byte, key string, audience ...coco.ActorID) (Verified, error) {
	var a wire.Proven
	if err := json.Unmarshal(answer, &a); err != nil {
		return Verified{}, fmt.Errorf("%w: the value of key %q: %w", coco.ErrCorrupt, key, err)
	}
	if a.Media == wire.MediaBytes { // as `coco kv get --proof -o json` writes it; claims have none
		a.Media = ""
	}
	r, err := receipt.Parse(wire.MediaJSON, a.Receipt)
	if err != nil {
		return Verified{}, fmt.Errorf("%w: the receipt of key %q: %w", coco.ErrVerify, key, err)
	}
	if err := r.Verify(service, receipt.Options{}); err != nil {
		return Verified{}, err
	}
	if r.TxID != a.ID || r.TxID.Seqno != a.Version {
		return Verified{}, fmt.Errorf("%w: key %q: the value is said to be of transaction %s and version %d, the receipt is of %s", coco.ErrVerify, key, a.ID, a.Version, r.TxID)
	}
	v := Verified{TxID: a.ID, AsOf: a.AsOf, ContentType: a.Media, Value: a.Value, Receipt: a.Receipt}
	if v.Actor, v.User, err = provesPut(r.Claims, key, audience, a.Media, a.Value); err != nil {
		return Verified{}, fmt.Errorf("%w: receipt of %s: %w", coco.ErrVerify, r.TxID, err)
	}
	return v, nil
}

// provesPut reads the claims of a write of kv (docs/http.md, "Claims") and returns who wrote. The last operation on the key MUST be the put of
// this value and content type, because one transaction may write a key more than once.
func provesPut(claims []byte, key string, audience []coco.ActorID, media string, value []byte) (by coco.ActorID, user string, err error) {
	const context = "coco kv write\x00"
	rest, ok := bytes.CutPrefix(claims, []byte(context))
	d := claimsReader{rest, !ok}
	var found []coco.ActorID
	switch format := d.u8(); format {
	case 1:
	case 2:
		for range d.u8() {
			found = append(found, coco.ActorID(d.next(len(by), len(by))))
		}
	default:
		d.failed = true
	}
	if d.failed {
		return by, "", fmt.Errorf("its transaction is no write of kv that this client knows")
	}
	want := slices.SortedFunc(slices.Values(audience), func(a, b coco.ActorID) int { return bytes.Compare(a[:], b[:]) })
	if !slices.Equal(found, want) {
		return by, "", fmt.Errorf("it wrote to the audience %v, and not to %v", found, want)
	}
	by = coco.ActorID(d.next(len(by), len(by)))
	put := false
	for n := d.u32(); n > 0 && !d.failed; n-- {
		kind := d.u8()
		same := string(d.next(int(d.u32()), 0)) == key
		d.next(8, 0) // the version before
		var digest coco.Digest
		var typed string
		if kind == 1 || kind == 3 {
			digest = coco.Digest(d.next(len(digest), len(digest)))
		}
		if kind == 3 {
			typed = string(d.next(int(d.u8()), 0))
		}
		if kind < 1 || kind > 3 {
			d.failed = true
		}
		if same {
			put = kind != 2 && digest == sha256.Sum256(value) && typed == media
		}
	}
	if len(d.rest) > 0 {
		user = string(d.next(int(d.u8()), 0))
	}
	if d.failed || len(d.rest) > 0 {
		return by, "", fmt.Errorf("its claims of %d bytes have another form than this client knows", len(claims))
	}
	if !put {
		return by, "", fmt.Errorf("it did not put this value under the key %q", key)
	}
	return by, user, nil
}

// claimsReader reads from the front of claims, and remembers that they were too short.
type claimsReader struct {
	rest   []byte
	failed bool
}

// next returns the next n bytes, or least zero bytes if there are fewer.
func (d *claimsReader) next(n, least int) []byte {
	if d.failed || n < 0 || n > len(d.rest) {
		d.failed, d.rest = true, nil
		return make([]byte, least)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *claimsReader) u8() byte    { return d.next(1, 1)[0] }
func (d *claimsReader) u32() uint32 { return binary.BigEndian.Uint32(d.next(4, 4)) }
