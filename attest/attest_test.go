package attest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
)

func TestReportDataVectors(t *testing.T) {
	// Computed with another implementation of SHA-256.
	for _, v := range []struct{ context, key, nonce, want string }{
		{"", "", "", "96698f492ff58795a695e2942e544a9c0cc054f76615dd9658be7c2918a0d78f"},
		{"coco client", "key", "nonce", "d620c07a3906dac5e72cd3e71f9ae8bc3571bc5caa16099cc0fb2b087d9bb540"},
	} {
		data := attest.ReportData(v.context, []byte(v.key), []byte(v.nonce))
		if got := hex.EncodeToString(data[:32]); got != v.want {
			t.Errorf("%q, %q, %q: found %s, expected %s", v.context, v.key, v.nonce, got, v.want)
		}
		if !bytes.Equal(data[32:], make([]byte, 32)) {
			t.Error("the rest is not zero")
		}
	}
}

func TestReportDataSeparatesItsParts(t *testing.T) {
	seen := make(map[[64]byte]string)
	for _, p := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "", "bc"}, {"a", "b\x00c", ""}, {"a", "b", "\x00c"}} {
		data := attest.ReportData(p[0], []byte(p[1]), []byte(p[2]))
		if other, ok := seen[data]; ok {
			t.Errorf("%q and %s have the same report data", p, other)
		}
		seen[data] = strings.Join(p[:], "|")
	}
}

var code = virtual.Measure([]byte("program"))

func evidence(t *testing.T, q virtual.Quoter, purpose string) attest.Evidence {
	t.Helper()
	ev, err := attest.Quote(t.Context(), q, purpose, []byte("key"), []byte("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func quoter(t *testing.T, m coco.Measurement) virtual.Quoter {
	t.Helper()
	q, err := virtual.NewQuoter(m)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestEachReasonToRefuseIsDistinct(t *testing.T) {
	allowed := []coco.Measurement{virtual.Measure([]byte("older program")), code}
	good := evidence(t, quoter(t, code), "join")
	check := func(ev attest.Evidence, purpose, key, nonce string) error {
		claims, err := attest.Verifiers{virtual.Verifier{}}.Verify(ev, time.Time{})
		if err != nil {
			return err
		}
		if !claims.Insecure {
			t.Error("the virtual TEE does not say that it is insecure")
		}
		return attest.Check(claims, purpose, []byte(key), []byte(nonce), allowed)
	}
	if err := check(good, "join", "key", "nonce"); err != nil {
		t.Errorf("good evidence: %v", err)
	}
	damaged := attest.Evidence{Platform: good.Platform, Quote: bytes.Clone(good.Quote)}
	damaged.Quote[len(damaged.Quote)-1] ^= 1
	for name, c := range map[string]struct {
		err, want error
	}{
		"another key":      {check(good, "join", "other", "nonce"), attest.ErrBinding},
		"another nonce":    {check(good, "join", "key", "other"), attest.ErrBinding},
		"another purpose":  {check(good, "client", "key", "nonce"), attest.ErrBinding},
		"unlisted code":    {check(evidence(t, quoter(t, virtual.Measure(nil)), "join"), "join", "key", "nonce"), attest.ErrMeasurement},
		"debug mode":       {check(evidence(t, quoter(t, code).Debug(), "join"), "join", "key", "nonce"), attest.ErrDebug},
		"damaged":          {check(damaged, "join", "key", "nonce"), attest.ErrQuote},
		"unknown platform": {check(attest.Evidence{Platform: "snp", Quote: good.Quote}, "join", "key", "nonce"), attest.ErrPlatform},
	} {
		if !errors.Is(c.err, c.want) || !errors.Is(c.err, coco.ErrVerify) {
			t.Errorf("%s: expected %v, found %v", name, c.want, c.err)
		}
	}
	for _, ev := range []attest.Evidence{{}, {Platform: "virtual"}, {Platform: strings.Repeat("x", 33), Quote: []byte{1}}, {Platform: "virtual", Quote: make([]byte, attest.MaxQuote+1)}} {
		if err := check(ev, "join", "key", "nonce"); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("evidence out of bounds: %v", err)
		}
	}
}

// wrongPlatform is a driver that names another platform's code.
type wrongPlatform struct{ virtual.Verifier }

func (wrongPlatform) Platform() string { return "snp" }

func TestMeasurementIsOfItsPlatform(t *testing.T) {
	ev := evidence(t, quoter(t, code), "join")
	ev.Platform = "snp"
	if _, err := (attest.Verifiers{wrongPlatform{}}).Verify(ev, time.Time{}); !errors.Is(err, attest.ErrQuote) {
		t.Errorf("expected ErrQuote, found %v", err)
	}
}

func TestEvidenceCodecs(t *testing.T) {
	ev := attest.Evidence{Platform: "virtual", Quote: []byte{1, 2, 3}}
	b, err := ev.Encode()
	if err != nil || hex.EncodeToString(b) != "a201677669727475616c0243010203" {
		t.Fatalf("encoded %x, %v", b, err)
	}
	j, err := json.Marshal(ev)
	if err != nil || string(j) != `{"platform":"virtual","quote":"AQID"}` {
		t.Errorf("encoded %s, %v", j, err)
	}
	for _, bad := range []string{
		"", "a0", "f6", "80", "a101677669727475616c", // incomplete
		"a201677669727475616c024301020300", // bytes after the end
		"a2024301020301677669727475616c",   // keys out of order
		"a201677669727475616c025803010203", // long form of a length
		"a201677669727475616c025f4301020301ff",
		"a301677669727475616c0243010203030a",           // unknown field
		"a201677669727475616c01677669727475616c",       // one field twice
		"a201677669727475616c025affffffff010203",       // a length that is not there
		"a201677669727475616c02f6", "a201600243010203", // empty
		"a2016776697274ff616c0243010203",                   // no UTF-8
		"d9d9f7a201677669727475616c0243010203",             // tagged
		"a2687061c3a46c666f726d677669727475616c0243010203", // a name for a key
	} {
		b, err := hex.DecodeString(bad)
		if err != nil {
			t.Fatal(err)
		}
		if ev, err := attest.DecodeEvidence(b); err == nil {
			t.Errorf("%s decoded to %v", bad, ev)
		}
	}
	if _, err := attest.DecodeEvidence(make([]byte, attest.MaxQuote*2)); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("oversized: %v", err)
	}
}

func FuzzDecodeEvidence(f *testing.F) {
	b, err := attest.Evidence{Platform: "virtual", Quote: []byte{1, 2, 3}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := attest.DecodeEvidence(b)
		if err != nil {
			return
		}
		again, err := ev.Encode()
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%x decodes, and encodes to %x, %v", b, again, err)
		}
	})
}
