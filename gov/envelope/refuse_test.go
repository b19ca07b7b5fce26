package envelope

import (
	"bytes"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/cocoframework/coco"
)

// The parts of an envelope, each of which a test may replace by other bytes; what they then say is
// signed anew, so that the form alone is wrong.
type parts struct {
	protected   map[any]any
	header      []byte // instead of protected
	unprotected any
	payload     []byte
	whole       func([]byte) []byte
}

func (p parts) envelope(t testing.TB, s *signer) []byte {
	t.Helper()
	if p.header == nil {
		p.header = mustEncode(t, p.protected)
	}
	e := sign1{Protected: p.header, Payload: p.payload}
	tbs := e.toBeSigned()
	sig, err := s.Sign(t.Context(), tbs)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(s.chain[0])
	if err != nil {
		t.Fatal(err)
	}
	if k, err := keyOf(cert); err == nil {
		if sig, err = k.form(tbs, sig); err != nil {
			t.Fatal(err)
		}
	}
	raw := append([]byte{sign1Tag}, mustEncode(t, []any{p.header, p.unprotected, p.payload, sig})...)
	if p.whole != nil {
		raw = p.whole(raw)
	}
	return raw
}

func TestWrongFormsAreRefusedThoughSigned(t *testing.T) {
	s := newSigner(t, "P-256")
	rsa, p521 := newSigner(t, "RSA"), newSigner(t, "P-521")
	ballot := func(change func(m map[int]any)) []byte {
		b := aBallot()
		m := map[int]any{1: b.Audience, 2: b.Time, 3: b.Nonce, 4: b.Proposal, 5: b.Vote}
		change(m)
		return mustEncode(t, m)
	}
	proposal := func(change func(m map[int]any)) []byte {
		p := aProposal(t)
		m := map[int]any{1: p.Audience, 2: p.Time, 3: p.Expires, 4: p.Nonce, 5: p.Note, 6: p.Actions}
		change(m)
		return mustEncode(t, m)
	}
	action := func(raw ...byte) []byte {
		return proposal(func(m map[int]any) { m[6] = []cbor.RawMessage{raw} })
	}
	asProposal := func(p *parts) { p.protected[int64(3)] = ProposalType }
	cases := []struct {
		name, want string
		change     func(p *parts)
	}{
		{"no tag", "its tag", func(p *parts) { p.whole = func(b []byte) []byte { return b[1:] } }},
		{"another tag", "its tag", func(p *parts) { p.whole = func(b []byte) []byte { b[0] = 0xd1; return b } }},
		{"nothing", "its tag", func(p *parts) { p.whole = func([]byte) []byte { return nil } }},
		{"bytes behind", "extraneous", func(p *parts) { p.whole = func(b []byte) []byte { return append(b, 0) } }},
		{"cut off", "end early", func(p *parts) { p.whole = func(b []byte) []byte { return b[:len(b)-1] } }},
		{"too long", "at most 262144", func(p *parts) {
			p.whole = func([]byte) []byte { return append([]byte{sign1Tag}, make([]byte, MaxBytes)...) }
		}},
		{"an indefinite array", "indefinite", func(p *parts) {
			p.whole = func(b []byte) []byte { b[1] = 0x9f; return append(b, 0xff) }
		}},
		{"a long length", "deterministic", func(p *parts) {
			p.whole = func(b []byte) []byte { return append([]byte{sign1Tag, 0x98, 0x04}, b[2:]...) }
		}},
		{"five parts", "sign1", func(p *parts) {
			p.whole = func(b []byte) []byte { b[1] = 0x85; return append(b, 0xf6) }
		}},
		{"an unprotected header", "unknown field", func(p *parts) { p.unprotected = map[any]any{int64(4): []byte("kid")} }},
		{"unprotected nil", "deterministic", func(p *parts) { p.unprotected = nil }},
		{"an unknown protected header", "unknown field", func(p *parts) { p.protected[int64(4)] = []byte("kid") }},
		{"a critical header", "unknown field", func(p *parts) { p.protected[int64(2)] = []any{int64(33)} }},
		{"no header", "header", func(p *parts) { p.header = []byte{} }},
		{"a header that is not deterministic", "deterministic", func(p *parts) {
			// the same three fields, in another order
			b := []byte{0xa3, 0x03}
			b = append(b, mustEncode(t, BallotType)...)
			b = append(b, 0x01, 0x26, 0x18, 33)
			p.header = append(b, mustEncode(t, s.chain[0])...)
		}},
		{"no algorithm", "deterministic", func(p *parts) { delete(p.protected, int64(1)) }},
		{"the algorithm none", "algorithm 0", func(p *parts) { p.protected[int64(1)] = int64(0) }},
		{"another algorithm", "algorithm -35", func(p *parts) { p.protected[int64(1)] = int64(cose.AlgorithmES384) }},
		{"no content type", "deterministic", func(p *parts) { delete(p.protected, int64(3)) }},
		{"another content type", "content type", func(p *parts) { p.protected[int64(3)] = "application/cbor" }},
		{"a ballot as a proposal", "proposal:", asProposal},
		{"no chain", "deterministic", func(p *parts) { delete(p.protected, int64(33)) }},
		{"an empty chain", "0 certificates", func(p *parts) { p.protected[int64(33)] = [][]byte{} }},
		{"an array of one", "expected a byte string", func(p *parts) { p.protected[int64(33)] = s.chain }},
		{"nine certificates", "9 certificates", func(p *parts) {
			p.protected[int64(33)] = [][]byte(slicesRepeat(s.chain[0], 9))
		}},
		{"no certificate", "not X.509", func(p *parts) { p.protected[int64(33)] = []byte("alice") }},
		{"a certificate with bytes behind", "not X.509", func(p *parts) { p.protected[int64(33)] = append(bytes.Clone(s.chain[0]), 0) }},
		{"a second certificate that is none", "certificate 2", func(p *parts) { p.protected[int64(33)] = [][]byte{s.chain[0], {1}} }},
		{"a large certificate", "at most 16384", func(p *parts) { p.protected[int64(33)] = make([]byte, maxCertificate+1) }},
		{"an RSA key", "of type RSA", func(p *parts) { p.protected[int64(33)] = rsa.chain[0] }},
		{"a key on P-521", "P-521", func(p *parts) { p.protected[int64(33)] = p521.chain[0] }},

		{"an unknown field", "unknown field", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[6] = 1 }) }},
		{"a field twice", "duplicate", func(p *parts) { p.payload = append([]byte{0xa6, 0x01, 0x00}, p.payload[1:]...) }},
		{"fields by name", "unknown field", func(p *parts) { p.payload = mustEncode(t, map[string]any{"Vote": "yes"}) }},
		{"an empty payload", "ballot", func(p *parts) { p.payload = nil }},
		{"an array as payload", "ballot", func(p *parts) { p.payload = []byte{0x80} }},
		{"no audience", "deterministic", func(p *parts) { p.payload = ballot(func(m map[int]any) { delete(m, 1) }) }},
		{"a zero audience", "audience", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[1] = coco.Digest{} }) }},
		{"a short audience", "deterministic", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[1] = []byte{1} }) }},
		{"no time", "signed at 0", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[2] = uint64(0) }) }},
		{"a time that is no number of JSON", "signed at", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[2] = uint64(maxTime) }) }},
		{"a time as a float", "floating point", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[2] = 5.0 }) }},
		{"a short nonce", "a nonce of 15", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[3] = make([]byte, 15) }) }},
		{"a long nonce", "a nonce of 17", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[3] = make([]byte, 17) }) }},
		{"no proposal", "names no proposal", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[4] = coco.Digest{} }) }},
		{"another vote", `vote "maybe"`, func(p *parts) { p.payload = ballot(func(m map[int]any) { m[5] = "maybe" }) }},
		{"a vote in capitals", `vote "YES"`, func(p *parts) { p.payload = ballot(func(m map[int]any) { m[5] = "YES" }) }},
		{"a vote as bytes", "ballot", func(p *parts) { p.payload = ballot(func(m map[int]any) { m[5] = []byte("yes") }) }},

		{"it never expires", "expires at 0", func(p *parts) { asProposal(p); p.payload = proposal(func(m map[int]any) { m[3] = uint64(0) }) }},
		{"it expires when signed", "expires at", func(p *parts) { asProposal(p); p.payload = proposal(func(m map[int]any) { m[3] = m[2] }) }},
		{"it expires too late", "expires at", func(p *parts) { asProposal(p); p.payload = proposal(func(m map[int]any) { m[3] = uint64(maxTime) }) }},
		{"a long note", "at most 4096", func(p *parts) {
			asProposal(p)
			p.payload = proposal(func(m map[int]any) { m[5] = strings.Repeat("x", MaxNote+1) })
		}},
		{"a note that is not UTF-8", "UTF-8", func(p *parts) {
			asProposal(p)
			p.payload = bytes.Replace(proposal(func(map[int]any) {}), []byte("Bob joins"), []byte("Bob\xff\xffoins"), 1)
		}},
		{"no actions", "0 actions", func(p *parts) { asProposal(p); p.payload = proposal(func(m map[int]any) { m[6] = []any{} }) }},
		{"actions null", "0 actions", func(p *parts) { asProposal(p); p.payload = proposal(func(m map[int]any) { m[6] = nil }) }},
		{"257 actions", "257 actions", func(p *parts) {
			asProposal(p)
			p.payload = proposal(func(m map[int]any) { m[6] = slicesRepeat(cbor.RawMessage{0xa0}, MaxActions+1) })
		}},
		{"an action that is no map", "expected a CBOR map", func(p *parts) { asProposal(p); p.payload = action(0x01) }},
		{"an action that is not deterministic", "the encoding is not", func(p *parts) { asProposal(p); p.payload = action(0xb8, 0x00) }},
		{"an action with keys in another order", "the encoding is not", func(p *parts) {
			asProposal(p)
			p.payload = action(0xa2, 0x02, 0x00, 0x01, 0x00)
		}},
		{"an action with undefined", "simple value", func(p *parts) { asProposal(p); p.payload = action(0xa1, 0x01, 0xf7) }},
		{"an action with a long number", "the encoding is not", func(p *parts) { asProposal(p); p.payload = action(0xa1, 0x01, 0x18, 0x01) }},
		{"an action with a float", "floating point", func(p *parts) {
			asProposal(p)
			p.payload = action(0xa1, 0x01, 0xfa, 0x3f, 0x80, 0, 0)
		}},
		{"an action with a key twice", "duplicate", func(p *parts) { asProposal(p); p.payload = action(0xa2, 0x01, 0x00, 0x01, 0x00) }},
		{"an action with a tag", "tag", func(p *parts) { asProposal(p); p.payload = action(0xa1, 0x01, 0xc1, 0x00) }},
		{"a deep action", "within each other", func(p *parts) {
			asProposal(p)
			p.payload = action(append(bytes.Repeat([]byte{0xa1, 0x01}, 20), 0x00)...)
		}},
	}
	for _, c := range cases {
		p := parts{
			protected:   map[any]any{int64(1): int64(cose.AlgorithmES256), int64(3): BallotType, int64(33): s.chain[0]},
			unprotected: map[any]any{}, payload: mustEncode(t, aBallot()),
		}
		if _, err := Open(p.envelope(t, s)); err != nil {
			t.Fatalf("nothing is wrong: %v", err)
		}
		c.change(&p)
		got, err := Open(p.envelope(t, s))
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want an error that says %q", c.name, got, err, c.want)
		}
	}
}

func slicesRepeat[T any](x T, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = x
	}
	return out
}

func TestAnotherKeysSignatureIsRefused(t *testing.T) {
	for _, kind := range kinds {
		alice, mallory := newSigner(t, kind), newSigner(t, kind)
		forged := &signer{chain: alice.chain, key: mallory.key}
		if _, err := SignBallot(t.Context(), forged, aBallot()); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: signing in another's name: %v", kind, err)
		}
		// The signature of one statement does not do for another.
		raw, err := SignBallot(t.Context(), alice, aBallot())
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := read(raw)
		if err != nil {
			t.Fatal(err)
		}
		b := aBallot()
		b.Vote = No
		e.Payload = mustEncode(t, b)
		other, err := e.bytes()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(other); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: another vote under the same signature: %v", kind, err)
		}
	}
}

func TestAWrongHashIsNamed(t *testing.T) {
	s := newSigner(t, "P-384")
	tbs, unfinished, err := Prepare(s.chain, aBallot())
	if err != nil {
		t.Fatal(err)
	}
	p256 := &signer{key: newKey(t, "P-256")} // hashes with SHA-256
	sig, err := p256.Sign(t.Context(), tbs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Finish(unfinished, sig); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "SHA-384") {
		t.Errorf("got %v, want an error that names SHA-384", err)
	}
}

func TestOnlyWhatOpensCanBeSigned(t *testing.T) {
	s := newSigner(t, "P-256")
	for name, change := range map[string]func(p *Proposal, s *signer){
		"no actions":             func(p *Proposal, _ *signer) { p.Actions = nil },
		"no nonce":               func(p *Proposal, _ *signer) { p.Nonce = nil },
		"a wrong action":         func(p *Proposal, _ *signer) { p.Actions = []cbor.RawMessage{{0x01}} },
		"an empty action":        func(p *Proposal, _ *signer) { p.Actions = []cbor.RawMessage{{}} },
		"a note of other bytes":  func(p *Proposal, _ *signer) { p.Note = "\xff" },
		"too many bytes":         func(p *Proposal, _ *signer) { p.Actions = slicesRepeat(largeAction(t), 20) },
		"no certificate":         func(_ *Proposal, s *signer) { s.chain = nil },
		"no certificate in DER":  func(_ *Proposal, s *signer) { s.chain = [][]byte{{1}} },
		"an RSA key":             func(_ *Proposal, s *signer) { *s = *newSigner(t, "RSA") },
		"too many certificates":  func(_ *Proposal, s *signer) { s.chain = slicesRepeat(s.chain[0], 9) },
		"a time out of range":    func(p *Proposal, _ *signer) { p.Time, p.Expires = maxTime, maxTime+1 },
		"expiry before the time": func(p *Proposal, _ *signer) { p.Expires = p.Time - 1 },
	} {
		p, who := aProposal(t), *s
		change(&p, &who)
		if raw, err := SignProposal(t.Context(), &who, p); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %d bytes, %v", name, len(raw), err)
		}
		if _, _, err := Prepare(who.chain, p); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: it was prepared: %v", name, err)
		}
	}
	broken := errors.New("the token is not plugged in")
	if _, err := SignBallot(t.Context(), &signer{chain: s.chain, key: s.key, err: broken}, aBallot()); !errors.Is(err, broken) {
		t.Errorf("the signer's error is lost: %v", err)
	}
}

func largeAction(t *testing.T) cbor.RawMessage {
	return mustEncode(t, map[int]any{1: make([]byte, 15<<10)})
}
