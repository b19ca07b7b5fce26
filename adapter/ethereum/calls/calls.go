// Package calls is transactions that their sender has not signed: the channel by which a call came says whose it is (a client certificate, a token, a
// session, a signed message), and the sender is an address that is linked to this caller.
//
// Such a transaction is one of Ethereum's, of any type, so that whatever reads blocks reads it. Where a signature stands it has
//
//	r = 7 bytes of SHA-256 of who sent it, the first bit 0 ‖ salt 5 bytes ‖ the sender's 20 bytes        s = a fixed number, the mark        y parity = 0
//
// and its hash is that of its encoding, as always: it names its sender and by what authentication it was sent. A node admits the mark from nobody, so
// only a call that a node has authenticated becomes such a transaction; the leader compares the sender with the caller's links and the record
// with the call's caller. What a client recovers from the signature, if anything, is an address of which nobody has the key. ADR 32 says why it is
// no type of its own.
//
// Trust: either
package calls

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"net/http"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// mark is s of such a transaction. It is in the lower half of the curve's order, as EIP-2 has it, so that libraries take it for a signature's.
var mark = new(big.Int).Rsh(new(big.Int).SetBytes(crypto.Keccak256([]byte("coco: a call that its channel authenticates"))), 1)

// What r has before the sender.
const (
	digestBytes = 7
	saltBytes   = 5
)

// digest is what a transaction says of its record.
func digest(by rows.By) (d [digestBytes]byte) {
	b := append([]byte("coco ethereum call\x00"), byte(by.How))
	b = append(b, by.Actor[:]...)
	full := sha256.Sum256(append(b, by.User...))
	copy(d[:], full[:])
	d[0] &= 0x7f // so that r is below the curve's order
	return d
}

// New returns a transaction as a caller sends it from an address of its own. How MUST be set. The lower 5 bytes of the salt tell transactions apart
// that say the same.
func New(tx *types.Transaction, from common.Address, by rows.By, salt uint64, signer types.Signer) (*types.Transaction, error) {
	d := digest(by)
	sig := make([]byte, crypto.SignatureLength)
	var word [8]byte
	binary.BigEndian.PutUint64(word[:], salt)
	copy(sig, d[:])
	copy(sig[digestBytes:], word[8-saltBytes:])
	copy(sig[digestBytes+saltBytes:], from[:])
	mark.FillBytes(sig[32:64])
	out, err := tx.WithSignature(signer, sig)
	if err != nil {
		return nil, fmt.Errorf("%w: a transaction for this chain: %w", coco.ErrInvalid, err)
	}
	return out, nil
}

// Is reports whether nobody has signed a transaction, and by whom it says that it is sent.
func Is(tx *types.Transaction) (from common.Address, is bool) {
	_, r, s := tx.RawSignatureValues()
	if s == nil || s.Cmp(mark) != 0 || r.BitLen() > 255 {
		return from, false
	}
	return common.BigToAddress(r), true
}

// Marked reports whether a transaction has the mark, well-formed or not.
func Marked(tx *types.Transaction) bool {
	_, _, s := tx.RawSignatureValues()
	return s != nil && s.Cmp(mark) == 0
}

// Proves reports whether a record is the one that a transaction was sent by.
func Proves(by rows.By, tx *types.Transaction) bool {
	_, r, _ := tx.RawSignatureValues()
	if _, is := Is(tx); !is {
		return false
	}
	var word common.Hash
	r.FillBytes(word[:])
	d := digest(by)
	return bytes.Equal(word[:digestBytes], d[:])
}

// given is the signer of a transaction whose sender is known: whichever signer go-ethereum asks for its sender, it gets this one, because it asks
// the signer first that has told the sender before (types.Sender).
type given struct {
	types.Signer
	from common.Address
}

// Sender implements types.Signer.
func (g given) Sender(*types.Transaction) (common.Address, error) { return g.from, nil }

// Equal implements types.Signer.
func (given) Equal(types.Signer) bool { return true }

// Own has types.Sender return the sender of a transaction that nobody has signed. It does nothing to others.
func Own(tx *types.Transaction) {
	if from, is := Is(tx); is {
		_, _ = types.Sender(given{types.HomesteadSigner{}, from}, tx) // it cannot fail
	}
}

// marker begins a payload, as that of package policies does: 0xfc is a list in RLP whose length has five bytes, and no transaction is as long.
var marker = append(make([]byte, common.AddressLength), 0xfc)

// Payload returns what travels to the leader: how the call was authenticated, and the payload that a signed transaction would have.
func Payload(how rows.How, payload []byte) []byte {
	out := make([]byte, 0, len(marker)+1+len(payload))
	return append(append(append(out, marker...), byte(how)), payload...)
}

// Cut is the inverse of Payload. How is 0 if the payload is another one.
func Cut(payload []byte) (how rows.How, rest []byte, err error) {
	rest, is := bytes.CutPrefix(payload, marker)
	if !is {
		return 0, payload, nil
	}
	if len(rest) == 0 || !rows.How(rest[0]).Known() {
		return 0, nil, fmt.Errorf("%w: a call does not say how it was authenticated: the node's program is older than the caller's", coco.ErrCorrupt)
	}
	return rows.How(rest[0]), rest[1:], nil
}

// HowOf returns which credential a request has come with. The gateway has checked that it has exactly one.
func HowOf(r *http.Request) rows.How {
	if list := r.Header["Authorization"]; len(list) > 0 {
		switch scheme, _, _ := strings.Cut(list[0], " "); strings.ToLower(scheme) {
		case "bearer":
			return rows.ByToken
		case "coco-session":
			return rows.BySession
		}
		return rows.ByMessage
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return rows.ByCertificate
	}
	return rows.ByMessage // it is outside of what was sealed
}

type howKey struct{}

// With returns a context that knows how its request was authenticated.
func With(ctx context.Context, how rows.How) context.Context {
	return context.WithValue(ctx, howKey{}, how)
}

// How returns how the request of a context was authenticated; 0 if the context does not know.
func How(ctx context.Context) rows.How {
	how, _ := ctx.Value(howKey{}).(rows.How)
	return how
}
