package batch_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/merkle"
)

// sealed is a batch and everything to check it with.
type sealed struct {
	data   []byte
	header batch.Header
	recs   []batch.Record
	before merkle.Frontier
	keys   *batch.Keys
	signer signer
}

func sealSome(t testing.TB, n int) sealed {
	t.Helper()
	s := sealed{signer: newSigner(t), keys: batch.NewKeys(3, [32]byte{7}), recs: makeRecords(5, n, 100)}
	for i := range 5 {
		s.before.Append(coco.Digest{byte(i)})
	}
	s.header = batch.Header{
		View: 2, Index: 9, First: 6, Node: s.signer.id, Time: 1700000000000, Epoch: 3, Committed: 7, Prev: coco.Digest{1, 2},
	}
	tree := s.before
	var err error
	if s.data, err = batch.Seal(s.header, s.recs, &tree, s.keys, s.signer.PrivateKey); err != nil {
		t.Fatal(err)
	}
	if tree.Size() != 5+uint64(n) {
		t.Fatalf("the tree has %d leaves after sealing %d", tree.Size(), n)
	}
	return s
}

// verify does everything that a follower and an auditor do.
func (s *sealed) verify(data []byte) (*batch.Batch, []batch.Record, error) {
	b, err := batch.Decode(data)
	if err == nil {
		err = b.VerifyPlace(batch.Entry{View: 2, Index: 9, Kind: batch.KindBatch, Data: data}, coco.Digest{1, 2})
	}
	if err != nil {
		return nil, nil, err
	}
	tree := s.before
	if err := b.VerifyRoot(&tree); err != nil {
		return nil, nil, err
	}
	if err := b.VerifySignature(&s.signer.PublicKey); err != nil {
		return nil, nil, err
	}
	recs, err := b.Open(s.keys)
	return b, recs, err
}

func TestWhatIsSealedOpensAgain(t *testing.T) {
	for _, n := range []int{1, 2, 23, 24, 300} {
		s := sealSome(t, n)
		b, recs, err := s.verify(s.data)
		if err != nil {
			t.Fatal(err)
		}
		if !equalRecords(recs, s.recs) {
			t.Errorf("%d records: other records come out", n)
		}
		public, err := b.PublicRecords()
		if err != nil || len(public) != n || !bytes.Equal(public[n-1], s.recs[n-1].Public) {
			t.Errorf("%d records: other public records come out, or none: %v", n, err)
		}
		want := s.header
		want.Version, want.Count = 1, uint64(n)
		want.Root, want.Public, want.Sealed = b.Header.Root, b.Header.Public, b.Header.Sealed
		if b.Header != want {
			t.Errorf("header: got %+v, want %+v", b.Header, want)
		}
		for i, r := range recs {
			seqno := 6 + uint64(i)
			salt, err := s.keys.Salt(2, seqno)
			if err != nil {
				t.Fatal(err)
			}
			leaf := batch.Leaf(seqno, salt, batch.WriteSetDigest(r.Public, r.Private), sha256.Sum256(r.Claims))
			if leaf != b.Leaf(i) || leaf != b.Leaves()[i] {
				t.Errorf("leaf %d is not what its parts give", i)
			}
		}
	}
}

func TestEveryFlippedByteOfABatchIsFound(t *testing.T) {
	s := sealSome(t, 3)
	for at := range s.data {
		for _, mask := range []byte{1, 0x80, 0xff} {
			data := bytes.Clone(s.data)
			data[at] ^= mask
			if _, _, err := s.verify(data); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("byte %d of %d ^ %#x: got %v", at, len(data), mask, err)
			}
		}
	}
	for n := range s.data {
		if _, _, err := s.verify(s.data[:n]); !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("first %d bytes: got %v", n, err)
		}
	}
	if _, _, err := s.verify(append(bytes.Clone(s.data), 0)); !errors.Is(err, coco.ErrCorrupt) {
		t.Fatalf("a byte more: got %v", err)
	}
}

func TestBatchIsBoundToItsPlace(t *testing.T) {
	s := sealSome(t, 2)
	entry := batch.Entry{View: 2, Index: 9, Kind: batch.KindBatch, Data: s.data}
	for name, c := range map[string]struct {
		change func(*batch.Entry)
		prev   coco.Digest
		kind   error
	}{
		"other view":  {func(e *batch.Entry) { e.View++ }, coco.Digest{1, 2}, coco.ErrVerify},
		"other index": {func(e *batch.Entry) { e.Index++ }, coco.Digest{1, 2}, coco.ErrVerify},
		"other chain": {func(*batch.Entry) {}, coco.Digest{1, 3}, coco.ErrVerify},
	} {
		e := entry
		c.change(&e)
		b, err := batch.Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.VerifyPlace(e, c.prev); !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	b, err := batch.Decode(s.data)
	if err != nil {
		t.Fatal(err)
	}
	shorter, longer, other := merkle.Frontier{}, s.before, merkle.Frontier{}
	longer.Append(coco.Digest{})
	for i := range 5 {
		other.Append(coco.Digest{byte(i), 1})
	}
	for _, tree := range []merkle.Frontier{shorter, longer, other} {
		before := tree
		if err := b.VerifyRoot(&tree); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("tree of %d leaves: got %v", tree.Size(), err)
		}
		if tree != before {
			t.Error("the tree changed though the batch was refused")
		}
	}
	if err := b.VerifySignature(&newSigner(t).PublicKey); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("another node's key: got %v", err)
	}
	if err := b.VerifySignature(nil); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("no key: got %v", err)
	}
	if _, err := b.Open(batch.NewKeys(3, [32]byte{8})); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("other secret: got %v", err)
	}
	if _, err := b.Open(batch.NewKeys(4, [32]byte{7})); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("other epoch: got %v", err)
	}
}

func TestOpenRefusesLeavesOfOtherContents(t *testing.T) {
	// A leader that lies about a leaf: everything is signed and fits, but the contents differ.
	s := sealSome(t, 2)
	var parts [5][]byte
	if err := cbor.Unmarshal(s.data, &parts); err != nil {
		t.Fatal(err)
	}
	var h batch.Header
	if err := h.UnmarshalBinary(parts[0]); err != nil {
		t.Fatal(err)
	}
	parts[3][40] ^= 1
	tree := s.before
	tree.Append(coco.Digest(parts[3][:32]))
	tree.Append(coco.Digest(parts[3][32:]))
	h.Root = tree.Root()
	parts[0], _ = h.MarshalBinary()
	parts[4] = lowS(t, signRaw(t, s.signer.PrivateKey, parts[0]))
	data, err := cbor.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.verify(data)
	if !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "transaction 2.7") {
		t.Errorf("got %v", err)
	}
}

func signRaw(t *testing.T, key *ecdsa.PrivateKey, header []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(append([]byte("coco batch\x00"), header...))
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

type rawSignature struct{ R, S *big.Int }

func otherS(t *testing.T, der []byte) []byte {
	t.Helper()
	var sig rawSignature
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		t.Fatal(err)
	}
	sig.S.Sub(elliptic.P256().Params().N, sig.S)
	der, err := asn1.Marshal(sig)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func lowS(t *testing.T, der []byte) []byte {
	t.Helper()
	var sig rawSignature
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		t.Fatal(err)
	}
	if new(big.Int).Lsh(sig.S, 1).Cmp(elliptic.P256().Params().N) > 0 {
		return otherS(t, der)
	}
	return der
}

func TestSignatureHasOneForm(t *testing.T) {
	for range 8 { // half of all signatures need the other s
		s := sealSome(t, 1)
		b, err := batch.Decode(s.data)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.VerifySignature(&s.signer.PublicKey); err != nil {
			t.Fatal(err)
		}
		other := otherS(t, b.Signature)
		digest := sha256.Sum256(append([]byte("coco batch\x00"), b.HeaderBytes...))
		if !ecdsa.VerifyASN1(&s.signer.PublicKey, digest[:], other) {
			t.Fatal("the test's other signature is not valid ECDSA")
		}
		if err := batch.VerifySignature(&s.signer.PublicKey, b.HeaderBytes, other); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("the other form of a signature: got %v", err)
		}
	}
}

func TestSealRefusesWhatNoLeaderMayWrite(t *testing.T) {
	s := sealSome(t, 1)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(h *batch.Header, recs *[]batch.Record, key *crypto.Signer){
		"view 0":             func(h *batch.Header, _ *[]batch.Record, _ *crypto.Signer) { h.View = 0 },
		"view 2^32":          func(h *batch.Header, _ *[]batch.Record, _ *crypto.Signer) { h.View = 1 << 32 },
		"index 0":            func(h *batch.Header, _ *[]batch.Record, _ *crypto.Signer) { h.Index = 0 },
		"own index known":    func(h *batch.Header, _ *[]batch.Record, _ *crypto.Signer) { h.Committed = 9 },
		"no chain":           func(h *batch.Header, _ *[]batch.Record, _ *crypto.Signer) { h.Prev = coco.Digest{} },
		"chain at the start": func(h *batch.Header, _ *[]batch.Record, _ *crypto.Signer) { h.Index, h.Committed = 1, 0 },
		"a gap":              func(h *batch.Header, _ *[]batch.Record, _ *crypto.Signer) { h.First = 7 },
		"other epoch":        func(h *batch.Header, _ *[]batch.Record, _ *crypto.Signer) { h.Epoch = 4 },
		"nothing":            func(_ *batch.Header, recs *[]batch.Record, _ *crypto.Signer) { *recs = nil },
		"another curve":      func(_ *batch.Header, _ *[]batch.Record, key *crypto.Signer) { *key = p384 },
		"too much": func(_ *batch.Header, recs *[]batch.Record, _ *crypto.Signer) {
			*recs = []batch.Record{{Public: make([]byte, batch.MaxData)}}
		},
	} {
		h, recs, key, tree := s.header, s.recs, crypto.Signer(s.signer.PrivateKey), s.before
		change(&h, &recs, &key)
		if _, err := batch.Seal(h, recs, &tree, s.keys, key); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
		if tree != s.before {
			t.Errorf("%s: the tree changed", name)
		}
	}
}

// TestBatchEqualsDocumentedForm builds a batch from docs/formats.md with a general CBOR encoder.
func TestBatchEqualsDocumentedForm(t *testing.T) {
	s := sealSome(t, 30)
	got, err := batch.Decode(s.data)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	encode := func(v any) []byte {
		b, err := enc.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	u64 := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	sum := func(b []byte) []byte { d := sha256.Sum256(b); return d[:] }
	derive := func(purpose string) []byte {
		secret := [32]byte{7}
		key, err := hkdf.Key(sha256.New, secret[:], nil, purpose+"\x00"+string(u64(3)), 32)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}

	var public [][]byte
	var private [][2][]byte
	var leaves []byte
	tree := s.before
	for i, r := range s.recs {
		public = append(public, r.Public)
		private = append(private, [2][]byte{r.Private, r.Claims})
		seqno := u64(6 + uint64(i))
		salt := hmac.New(sha256.New, derive("coco ledger salt"))
		salt.Write(cat(u64(2), seqno))
		writeSet := sum(cat(u64(uint64(len(r.Public))), r.Public, r.Private))
		leaf := sum(cat([]byte{0}, seqno, salt.Sum(nil), writeSet, sum(r.Claims)))
		leaves = append(leaves, leaf...)
		tree.Append(coco.Digest(leaf))
	}
	header := map[uint64]any{
		1: uint64(1), 2: uint64(2), 3: uint64(9), 4: uint64(6), 5: uint64(30), 6: s.signer.id[:],
		7: uint64(1700000000000), 8: uint64(3), 9: uint64(7), 10: s.header.Prev[:],
	}
	block, err := aes.NewCipher(derive("coco ledger seal"))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := cat([]byte{0, 0, 0, 2}, u64(9))
	sealedPart := aead.Seal(nil, nonce, encode(private), encode(header))
	publicPart := encode(public)
	root := tree.Root()
	header[11], header[12], header[13] = root[:], sum(publicPart), sum(sealedPart)

	want := encode([][]byte{encode(header), publicPart, sealedPart, leaves, got.Signature})
	if !bytes.Equal(s.data, want) {
		t.Errorf("batch:\n got %x\nwant %x", s.data, want)
	}
	digest := sha256.Sum256(cat([]byte("coco batch"), []byte{0}, encode(header)))
	if !ecdsa.VerifyASN1(&s.signer.PublicKey, digest[:], got.Signature) {
		t.Error("the signature is not over the documented bytes")
	}

	prev := coco.Digest{5}
	e := batch.Entry{View: 3, Index: 10, Kind: batch.KindMembers, Data: []byte("members")}
	chain := sum(cat([]byte("coco ledger entry"), []byte{0}, prev[:], []byte{3}, u64(3), u64(10), sum(e.Data)))
	if got := e.Chain(prev); !bytes.Equal(got[:], chain) {
		t.Errorf("chain digest: got %s, want %x", got, chain)
	}
}

func TestKeysNeverPrint(t *testing.T) {
	keys := batch.NewKeys(7, [32]byte{1, 2, 3})
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&out, verb+"\n", keys)
		fmt.Fprintf(&out, verb+"\n", *keys)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("k", "keys", keys, "value", *keys)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("k", "keys", keys)
	if err := json.NewEncoder(&out).Encode([]any{keys, *keys}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); !strings.Contains(line, "ledger keys of epoch 7") || len(line) > 200 {
			t.Errorf("prints %q", line)
		}
	}
	if keys.Epoch() != 7 {
		t.Error("wrong epoch")
	}
	salt := func(k *batch.Keys, view, seqno uint64) coco.Digest {
		salt, err := k.Salt(view, seqno)
		if err != nil {
			t.Fatal(err)
		}
		return salt
	}
	if salt(keys, 1, 2) == salt(keys, 2, 1) || salt(keys, 1, 2) == salt(batch.NewKeys(8, [32]byte{1, 2, 3}), 1, 2) {
		t.Error("salts repeat")
	}
}
