package tdx_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	tdxtesting "github.com/google/go-tdx-guest/testing"
	"github.com/google/go-tdx-guest/testing/testdata"
	"github.com/google/go-tdx-guest/verify"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
	"github.com/cocoframework/coco/attest/tdx"
)

// thenGoogle is a time at which the collateral in Google's library is valid.
var thenGoogle = time.Date(2023, 7, 1, 1, 0, 0, 0, time.UTC)

// googles is the collateral that Google's library has for its tests: Intel's own, of processors with FMSPC 50806F000000.
func googles(t *testing.T) *collateral.Set {
	t.Helper()
	var files [][]byte
	for _, r := range tdxtesting.TestGetter.Responses {
		files = append(files, r.Body)
		for _, chain := range r.Header {
			text, err := url.QueryUnescape(chain[0])
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, []byte(text))
		}
	}
	return attesttest.Collateral(t, files...)
}

// signedPart is how much of a quote 4 comes before its certificates, whose text may be written in many ways.
const signedPart = 48 + 584 + 4 + 128 + 6 + 384 + 64 + 2 + 32

// verdicts asks Google's library and this driver, and says which of both accepts. The library reads quotes 4 of TDX.
type verdicts struct {
	options verify.Options
	ours    func(quote []byte, now time.Time) error
	counts  map[bool]int
}

func (v *verdicts) agree(t *testing.T, what string, quote []byte, now time.Time) {
	t.Helper()
	options := v.options
	options.Now = now
	options.TrustedRoots = x509.NewCertPool()
	options.TrustedRoots.AddCert(dcap.IntelRoot())
	err, theirs := v.ours(quote, now), verify.RawTdxQuote(quote, &options)
	if (err == nil) != (theirs == nil) {
		t.Errorf("%s: we find %v, Google's library %v", what, err, theirs)
	}
	v.counts[err == nil]++
}

// everywhere damages a quote in all its parts, and asks at times at which nothing is valid yet or any more.
func (v *verdicts) everywhere(t *testing.T, quote []byte) {
	t.Helper()
	v.counts = make(map[bool]int)
	v.agree(t, "as recorded", quote, thenGoogle)
	v.agree(t, "before everything", quote, time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC))
	v.agree(t, "thirty years after", quote, thenGoogle.AddDate(30, 0, 0))
	for at := 0; at < signedPart; at += 11 {
		damaged := slices.Clone(quote)
		damaged[at] ^= 0x10
		v.agree(t, fmt.Sprintf("byte %d", at), damaged, thenGoogle)
	}
	if v.counts[true] != 1 || v.counts[false] < 100 {
		t.Errorf("accepted and refused: %v", v.counts)
	}
}

// By signatures and certificates alone, on the quote of a real machine that the library has.
func TestGooglesLibraryAgreesOnSignatures(t *testing.T) {
	v := verdicts{ours: func(quote []byte, now time.Time) error {
		q, err := dcap.Parse(quote)
		if err != nil {
			return err
		}
		pck, err := q.CheckSignatures(nil, dcap.IntelRoot(), now)
		if err == nil && now.After(q.Chain[0].NotAfter) {
			err = fmt.Errorf("processor %x: its certificate has ended", pck.FMSPC) // which Verify leaves to the policy
		}
		return err
	}}
	v.everywhere(t, testdata.RawQuote[:len(testdata.RawQuote)-39]) // the library lets anything follow a quote; we let zeros
}

// By collateral too, on the recorded quote of a debug TD, whose processor the collateral in the library is of. (Of the other recorded quote the library says nothing: it compares
// an FMSPC with letters by their case. And it accepts collateral of tomorrow, which we refuse.) Neither asks here what a TD's attributes are.
func TestGooglesLibraryAgreesOnTheTCB(t *testing.T) {
	set := googles(t)
	v := verdicts{
		options: verify.Options{GetCollateral: true, CheckRevocations: true, Getter: tdxtesting.TestGetter},
		ours: func(quote []byte, now time.Time) error {
			claims, err := tdx.Verifier{Collateral: func() *collateral.Set { return set }}.Verify(quote, now)
			if err != nil {
				return err
			}
			return withAttributes(claims.Own).Satisfy([]byte("{}"))
		},
	}
	quote := attesttest.Sample(t, "tdx/debug_quote_v4.bin")
	v.everywhere(t, quote)
	v.agree(t, "a month after", quote, thenGoogle.AddDate(0, 1, 0))
	// Both find that Intel supports no TCB as old as that of the library's own quote.
	v.agree(t, "the library's quote", testdata.RawQuote[:len(testdata.RawQuote)-39], thenGoogle)
	if v.counts[true] != 1 {
		t.Errorf("accepted: %d", v.counts[true])
	}
}

func withAttributes(own attest.Own) attest.Own {
	c := own.(tdx.Claims)
	c.Report.Attributes = [8]byte{3: 0x10}
	return c
}

// Google's library has Intel's collateral for the processor of the recorded debug TD, so that it is genuine, and refused for the debug attribute.
func TestRecordedDebugTDIsGenuineAndRefused(t *testing.T) {
	set := googles(t)
	claims, err := tdx.Verifier{Collateral: func() *collateral.Set { return set }}.Verify(attesttest.Sample(t, "tdx/debug_quote_v4.bin"), thenGoogle)
	if err != nil || !claims.Debug {
		t.Fatalf("debug %t, %v", claims.Debug, err)
	}
	if err := attest.Check(claims, "join", nil, nil, []coco.Measurement{claims.Measurement}); !errors.Is(err, attest.ErrDebug) {
		t.Errorf("found %v", err)
	}
}
