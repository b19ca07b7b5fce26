package envelope

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/cocoframework/coco"
)

// signer signs with a key in memory, as a Signer of a file does.
type signer struct {
	chain [][]byte
	key   crypto.Signer
	err   error
}

func (s *signer) Certificates() [][]byte { return s.chain }

func (s *signer) Sign(_ context.Context, tbs []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	opts := crypto.Hash(0)
	switch k := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		opts = crypto.SHA256
		if k.Curve == elliptic.P384() {
			opts = crypto.SHA384
		}
		h := opts.New()
		h.Write(tbs)
		tbs = h.Sum(nil)
	case *rsa.PublicKey:
		opts = crypto.SHA256
		d := sha256.Sum256(tbs)
		tbs = d[:]
	}
	return s.key.Sign(nil, tbs, opts) // no randomness: RFC 6979 for ECDSA
}

func certify(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Alice"}, NotBefore: from, NotAfter: from.AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "RSA":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB, kind string) *signer {
	t.Helper()
	key := newKey(t, kind)
	return &signer{chain: [][]byte{certify(t, key)}, key: key}
}

func mustEncode(t testing.TB, v any) []byte {
	t.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode() // not canon's: tests encode what canon refuses, too
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func aProposal(t testing.TB) Proposal {
	return Proposal{
		Audience: coco.Digest{1, 2, 3}, Time: 1_795_000_000_000, Expires: 1_795_600_000_000,
		Nonce: bytes.Repeat([]byte{9}, NonceBytes), Note: "Bob joins", Actions: []cbor.RawMessage{
			mustEncode(t, map[int]any{1: "add-member", 2: map[string]any{"name": "Bob", "certificate": []byte{1, 2}}}),
			mustEncode(t, map[int]any{1: "set", 2: map[string]any{"limits.queue": 7}}),
		},
	}
}

func aBallot() Ballot {
	return Ballot{
		Audience: coco.Digest{1, 2, 3}, Time: 1_795_000_000_000, Nonce: bytes.Repeat([]byte{8}, NonceBytes),
		Proposal: coco.Digest{4, 5, 6}, Vote: Yes,
	}
}

var kinds = []string{"P-256", "P-384", "Ed25519"}

// checkWithLibrary opens an envelope with go-cose alone.
func checkWithLibrary(t *testing.T, raw []byte, contentType string) *cose.Sign1Message {
	t.Helper()
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(raw); err != nil {
		t.Fatalf("go-cose: %v", err)
	}
	if got := m.Headers.Protected[cose.HeaderLabelContentType]; got != contentType {
		t.Errorf("go-cose found content type %v, want %s", got, contentType)
	}
	if len(m.Headers.Unprotected) != 0 {
		t.Errorf("go-cose found unprotected headers %v", m.Headers.Unprotected)
	}
	leaf, ok := m.Headers.Protected[cose.HeaderLabelX5Chain].([]byte)
	if !ok {
		leaf = m.Headers.Protected[cose.HeaderLabelX5Chain].([]any)[0].([]byte)
	}
	cert, err := x509.ParseCertificate(leaf)
	if err != nil {
		t.Fatal(err)
	}
	alg, err := m.Headers.Protected.Algorithm()
	if err != nil {
		t.Fatal(err)
	}
	v, err := cose.NewVerifier(alg, cert.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(nil, v); err != nil {
		t.Fatalf("go-cose: %v", err)
	}
	return &m
}

func TestWhatIsSignedOpensHereAndInGoCose(t *testing.T) {
	for _, kind := range kinds {
		s := newSigner(t, kind)
		longer := &signer{chain: [][]byte{s.chain[0], newSigner(t, "RSA").chain[0]}, key: s.key}
		for _, who := range []*signer{s, longer} {
			p := aProposal(t)
			raw, err := SignProposal(t.Context(), who, p)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			checkWithLibrary(t, raw, ProposalType)
			got, err := Open(raw)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if !reflect.DeepEqual(*got.Proposal, p) || got.Ballot != nil || got.ID != sha256.Sum256(raw) || !bytes.Equal(got.Raw, raw) {
				t.Errorf("%s: opened %+v", kind, got)
			}
			if len(got.Chain) != len(who.chain) || !bytes.Equal(got.Chain[0].Raw, s.chain[0]) {
				t.Errorf("%s: a chain of %d certificates, want %d", kind, len(got.Chain), len(who.chain))
			}
			if got.Audience() != p.Audience || got.Time() != p.Time {
				t.Errorf("%s: audience %s, time %d", kind, got.Audience(), got.Time())
			}
			for _, vote := range []Vote{Yes, No, Withdraw} {
				b := aBallot()
				b.Vote = vote
				raw, err = SignBallot(t.Context(), who, b)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				checkWithLibrary(t, raw, BallotType)
				got, err = Open(raw)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				if !reflect.DeepEqual(*got.Ballot, b) || got.Proposal != nil || got.Audience() != b.Audience || got.Time() != b.Time {
					t.Errorf("%s: opened %+v", kind, got)
				}
			}
		}
	}
}

// What go-cose signs with the same headers is the same envelope.
func TestGoCoseMakesTheSameEnvelope(t *testing.T) {
	s := newSigner(t, "Ed25519") // without randomness in the signature
	b := aBallot()
	want, err := SignBallot(t.Context(), s, b)
	if err != nil {
		t.Fatal(err)
	}
	k, err := cose.NewSigner(cose.AlgorithmEdDSA, s.key)
	if err != nil {
		t.Fatal(err)
	}
	m := cose.NewSign1Message()
	m.Headers.Protected = cose.ProtectedHeader{
		cose.HeaderLabelAlgorithm: cose.AlgorithmEdDSA, cose.HeaderLabelContentType: BallotType, cose.HeaderLabelX5Chain: s.chain[0],
	}
	m.Payload = mustEncode(t, b)
	if err := m.Sign(rand.Reader, nil, k); err != nil {
		t.Fatal(err)
	}
	got, err := m.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("go-cose made\n%x, want\n%x", got, want)
	}
}

func TestAKeyAwayFromTheNetworkSigns(t *testing.T) {
	for _, kind := range kinds {
		s := newSigner(t, kind)
		p := aProposal(t)
		tbs, unfinished, err := Prepare(s.chain, p)
		if err != nil {
			t.Fatal(err)
		}
		shown, same, err := Unfinished(unfinished)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*shown.Proposal, p) || !bytes.Equal(same, tbs) || shown.ID != (coco.Digest{}) {
			t.Errorf("%s: the unfinished envelope shows %+v", kind, shown)
		}
		if _, err := Open(unfinished); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: an envelope without a signature opened: %v", kind, err)
		}
		sig, err := s.Sign(t.Context(), tbs)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := Finish(unfinished, sig)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(raw)
		if err != nil || !reflect.DeepEqual(*got.Proposal, p) {
			t.Errorf("%s: opened %+v, %v", kind, got, err)
		}
		for name, f := range map[string]func() ([]byte, error){
			"a finished one":        func() ([]byte, error) { return Finish(raw, sig) },
			"no signature":          func() ([]byte, error) { return Finish(unfinished, nil) },
			"half of the signature": func() ([]byte, error) { return Finish(unfinished, sig[:len(sig)/2]) },
			"more than a signature": func() ([]byte, error) { return Finish(unfinished, append(bytes.Clone(sig), 0)) },
			"zeros":                 func() ([]byte, error) { return Finish(unfinished, make([]byte, 64)) },
			"cut off":               func() ([]byte, error) { return Finish(unfinished[:len(unfinished)-1], sig) },
		} {
			if _, err := f(); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("%s: finishing with %s: %v", kind, name, err)
			}
		}
	}
}

// ecdsaForms returns a signature as ASN.1 and as r ‖ s, with the smaller and with the larger s.
func ecdsaForms(t *testing.T, n *big.Int, sig []byte) (der, raw [2][]byte) {
	t.Helper()
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	low, high := rs.S, new(big.Int).Sub(n, rs.S)
	if low.Cmp(high) > 0 {
		low, high = high, low
	}
	size := (n.BitLen() + 7) / 8
	for i, s := range []*big.Int{low, high} {
		var err error
		if der[i], err = asn1.Marshal(struct{ R, S *big.Int }{rs.R, s}); err != nil {
			t.Fatal(err)
		}
		raw[i] = append(rs.R.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	return der, raw
}

func TestOnlyTheSmallerOfTwoECDSASignaturesOpens(t *testing.T) {
	for _, kind := range []string{"P-256", "P-384"} {
		s := newSigner(t, kind)
		tbs, unfinished, err := Prepare(s.chain, aBallot())
		if err != nil {
			t.Fatal(err)
		}
		sig, err := s.Sign(t.Context(), tbs)
		if err != nil {
			t.Fatal(err)
		}
		der, raw := ecdsaForms(t, s.key.Public().(*ecdsa.PublicKey).Params().N, sig)
		want, err := Finish(unfinished, der[0])
		if err != nil {
			t.Fatal(err)
		}
		// Whatever form a signer writes, the envelope is the same one.
		for _, form := range [][]byte{der[1], raw[0], raw[1]} {
			if got, err := Finish(unfinished, form); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: another form of the signature made another envelope (%v)", kind, err)
			}
		}
		e, _, err := read(want)
		if err != nil {
			t.Fatal(err)
		}
		e.Signature = raw[1]
		other, err := e.bytes()
		if err != nil {
			t.Fatal(err)
		}
		checkWithLibrary(t, other, BallotType) // a signature it is
		if _, err := Open(other); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "smaller") {
			t.Errorf("%s: the larger s opened: %v", kind, err)
		}
	}
}

func TestEd25519HasOneSignatureOnly(t *testing.T) {
	s := newSigner(t, "Ed25519")
	raw, err := SignBallot(t.Context(), s, aBallot())
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := read(raw)
	if err != nil {
		t.Fatal(err)
	}
	// S + L, where L is the order of the group, little-endian.
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	le := bytes.Clone(e.Signature[32:])
	reverse(le)
	le = new(big.Int).Add(new(big.Int).SetBytes(le), order).FillBytes(make([]byte, 32))
	reverse(le)
	copy(e.Signature[32:], le)
	other, err := e.bytes()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a second signature opened: %v", err)
	}
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

func TestNoBitOfAnEnvelopeCanChange(t *testing.T) {
	for _, kind := range kinds {
		raw, err := SignBallot(t.Context(), newSigner(t, kind), aBallot())
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << (i % 8)
			if _, err := Open(bad); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrInvalid) {
				t.Fatalf("%s: with byte %d changed: %v", kind, i, err)
			}
		}
	}
}

func TestWhatIsOpenedIsNotTheCallersBuffer(t *testing.T) {
	raw, err := SignProposal(t.Context(), newSigner(t, "P-256"), aProposal(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if sha256.Sum256(s.Raw) != s.ID || !reflect.DeepEqual(*s.Proposal, aProposal(t)) {
		t.Error("the result changed with the bytes that it was read from")
	}
}
