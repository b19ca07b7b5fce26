package envelope

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "write the recorded vectors anew: only after a deliberate change of the format")

// vector is an envelope with everything that it was made from. All bytes are in hexadecimal.
type vector struct {
	Name        string   `json:"name"`
	Key         string   `json:"key"`   // PKCS #8
	Chain       []string `json:"chain"` // DER
	ContentType string   `json:"content_type"`
	Payload     string   `json:"payload"`
	ToBeSigned  string   `json:"to_be_signed"`
	Signature   string   `json:"signature"` // ECDSA with the nonce of RFC 6979
	Envelope    string   `json:"envelope"`
	ID          string   `json:"id"`
}

var vectors = filepath.Join("testdata", "envelopes.json")

// TestVectors holds the format to what is recorded: ledgers are full of these bytes.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	b, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2*len(kinds) {
		t.Fatalf("%d vectors, expected %d", len(all), 2*len(kinds))
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) { v.check(t) })
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v vector) check(t *testing.T) {
	raw := unhex(t, v.Envelope)
	s, err := Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	if s.ID.String() != v.ID {
		t.Errorf("id %s, want %s", s.ID, v.ID)
	}
	m := checkWithLibrary(t, raw, v.ContentType)
	if !bytes.Equal(m.Payload, unhex(t, v.Payload)) || !bytes.Equal(m.Signature, unhex(t, v.Signature)) {
		t.Error("payload or signature differ from what is recorded")
	}
	// The same statement, key and chain make the same bytes.
	key, err := x509.ParsePKCS8PrivateKey(unhex(t, v.Key))
	if err != nil {
		t.Fatal(err)
	}
	who := &signer{key: key.(crypto.Signer)}
	for i, c := range v.Chain {
		who.chain = append(who.chain, unhex(t, c))
		if !bytes.Equal(s.Chain[i].Raw, who.chain[i]) {
			t.Errorf("certificate %d differs from what is recorded", i)
		}
	}
	st := statement(s)
	tbs, _, err := Prepare(who.chain, st)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(tbs, unhex(t, v.ToBeSigned)) {
		t.Errorf("to be signed: %x", tbs)
	}
	again, err := sign(t.Context(), who, st)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, raw) {
		t.Errorf("signing it again makes %x", again)
	}
}

func statement(s *Signed) Statement {
	if s.Proposal != nil {
		return *s.Proposal
	}
	return *s.Ballot
}

func writeVectors(t *testing.T) {
	t.Helper()
	var all []vector
	for _, kind := range kinds {
		who := newSigner(t, kind)
		der, err := x509.MarshalPKCS8PrivateKey(who.key)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range []Statement{aProposal(t), aBallot()} {
			if st.contentType() == ProposalType {
				who.chain = append(who.chain[:1], newSigner(t, "P-256").chain[0])
			} else {
				who.chain = who.chain[:1]
			}
			raw, err := sign(t.Context(), who, st)
			if err != nil {
				t.Fatal(err)
			}
			e, s, err := read(raw)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := Open(raw)
			if err != nil {
				t.Fatal(err)
			}
			v := vector{
				Name: kind + " " + st.contentType(), Key: hex.EncodeToString(der), ContentType: st.contentType(),
				Payload: hex.EncodeToString(e.Payload), ToBeSigned: hex.EncodeToString(e.toBeSigned()),
				Signature: hex.EncodeToString(e.Signature), Envelope: hex.EncodeToString(raw), ID: signed.ID.String(),
			}
			for _, c := range s.Chain {
				v.Chain = append(v.Chain, hex.EncodeToString(c.Raw))
			}
			all = append(all, v)
		}
	}
	b, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(vectors), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectors, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// FuzzOpen looks for two envelopes of one meaning: what can be read, whatever its signature, must
// be what is written for the same chain, statement and signature. What opens must open in go-cose.
func FuzzOpen(f *testing.F) {
	b, err := os.ReadFile(vectors)
	if err != nil {
		f.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all); err != nil {
		f.Fatal(err)
	}
	for _, v := range all {
		f.Add(unhex(f, v.Envelope))
		f.Add(unhex(f, v.Payload))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, s, err := read(raw)
		if err != nil {
			if _, err := Open(raw); err == nil {
				t.Fatal("it opens but cannot be read")
			}
			return
		}
		var chain [][]byte
		for _, c := range s.Chain {
			chain = append(chain, c.Raw)
		}
		again, err := prepare(chain, statement(s))
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again.Signature = e.Signature
		if got, err := again.bytes(); err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("written again it is\n%x (%v), not\n%x", got, err, raw)
		}
		if signed, err := Open(raw); err == nil {
			checkWithLibrary(t, raw, statement(signed).contentType())
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	for _, kind := range kinds {
		raw, err := SignBallot(b.Context(), newSigner(b, kind), aBallot())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				if _, err := Open(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzPayload does the same for statements without an envelope, which the fuzzer reaches deeper.
func FuzzPayload(f *testing.F) {
	b, err := os.ReadFile(vectors)
	if err != nil {
		f.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all); err != nil {
		f.Fatal(err)
	}
	for _, v := range all {
		f.Add(v.ContentType == ProposalType, unhex(f, v.Payload))
	}
	f.Fuzz(func(t *testing.T, proposal bool, payload []byte) {
		contentType := BallotType
		if proposal {
			contentType = ProposalType
		}
		var s Signed
		if s.payload(contentType, payload) != nil {
			return
		}
		if got := mustEncode(t, statement(&s)); !bytes.Equal(got, payload) {
			t.Fatalf("written again it is\n%x, not\n%x", got, payload)
		}
		if p := s.Proposal; p != nil {
			for i, a := range p.Actions {
				var v any
				if err := cbor.Unmarshal(a, &v); err != nil {
					t.Fatal(err)
				}
				if got := mustEncode(t, v); !bytes.Equal(got, a) {
					t.Fatalf("action %d written again is\n%x, not\n%x", i, got, a)
				}
			}
		}
	})
}
