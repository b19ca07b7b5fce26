package virtual

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
)

func golden(t testing.TB) []byte {
	t.Helper()
	q, err := NewQuoter(Measure([]byte("program")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := q.Quote(t.Context(), attest.ReportData("context", []byte("key"), []byte("nonce")))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenQuote(t *testing.T) {
	b := golden(t)
	want, err := os.ReadFile(filepath.Join("testdata", "quote.hex"))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(b); got != strings.TrimSpace(string(want)) {
		t.Errorf("the format changed: found %s", got)
	}
	claims, err := Verifier{}.Verify(b, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if claims.Measurement != Measure([]byte("program")) || claims.ReportData != attest.ReportData("context", []byte("key"), []byte("nonce")) ||
		claims.Debug || !claims.Insecure {
		t.Errorf("found claims %v", claims)
	}
	if !bytes.Contains(b, []byte("INSECURE")) {
		t.Error("the quote does not say that it is insecure")
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	b := golden(t)
	for i := range 8 * len(b) {
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := (Verifier{}).Verify(bad, time.Time{}); !errors.Is(err, attest.ErrQuote) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
	for i := range b {
		if _, err := (Verifier{}).Verify(b[:i], time.Time{}); !errors.Is(err, attest.ErrQuote) {
			t.Fatalf("%d bytes of it: %v", i, err)
		}
	}
	if _, err := (Verifier{}).Verify(append(b, 0), time.Time{}); !errors.Is(err, attest.ErrQuote) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestSelfIsTheProgramFile(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Self()
	if err != nil || m != Measure(b) {
		t.Errorf("found %s, %v, expected %s", m, err, Measure(b))
	}
	if m.Platform() != Platform || len(m) != len(Platform)+1+2*sha256.Size {
		t.Errorf("found %q", m)
	}
}

func TestQuoterRefusesOtherMeasurements(t *testing.T) {
	good := string(Measure(nil))
	for _, m := range []string{"", "virtual:", good[:len(good)-1], good + "00", "snp" + good[len("virtual"):], strings.ToUpper(good[8:]), "virtual:" + strings.ToUpper(good[8:]), good[8:]} {
		if _, err := NewQuoter(coco.Measurement(m)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%q: %v", m, err)
		}
	}
	if q, err := NewQuoter(coco.Measurement(good)); err != nil || string(q.Measurement()) != good {
		t.Errorf("found %v, %v", q.Measurement(), err)
	}
}

// FuzzVerify: nothing that a mutation makes of a quote is genuine.
func FuzzVerify(f *testing.F) {
	b := golden(f)
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, in []byte) {
		claims, err := Verifier{}.Verify(in, time.Time{})
		if err == nil && !bytes.Equal(in, b) {
			// A fuzzer that knows the development key could make one; ours does not.
			t.Errorf("%x is accepted and claims %v", in, claims)
		}
	})
}
