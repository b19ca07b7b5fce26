// Package dcap verifies quotes of Intel's data center attestation (DCAP), which SGX and TDX share.
//
// A quote is a report of a TEE, signed by a key that leads to Intel in four steps:
//
//	Intel's root CA ──▶ PCK CA ──▶ PCK certificate      the processor, with its FMSPC and TCB (X.509)
//	                                     │ ECDSA
//	                                     ▼
//	                               report of the quoting enclave (QE), whose report data are
//	                               SHA-256(attestation key ‖ authentication data)
//	                                     │ ECDSA, by the attestation key
//	                                     ▼
//	                               header and report of the SGX enclave or TD
//
// The signatures say that a processor of Intel's made the quote. Whether its firmware and its quoting
// enclave are good enough today is in collateral that Intel signs by another branch of the same root: TCB info for
// processors, QE identity for quoting enclaves, CRLs for certificates. Verify takes all of it as arguments and
// has neither network nor clock.
//
// Formats: Intel SGX ECDSA QuoteLibReference DCAP API, appendix A (quote 3); Intel TDX DCAP: Quote Generation Library and
// Quote Verification Library, appendix A (quotes 4 and 5); Intel SGX PCK Certificate and CRL Profile Specification (the
// certificates' extension); Intel's PCS API, version 4 (TCB info 3, QE identity 2).
//
// Trust: either
package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
)

// TEE types of a quote's header.
const (
	TypeSGX uint32 = 0x00
	TypeTDX uint32 = 0x81
)

// Sizes of the parts of a quote, in bytes.
const (
	headerSize    = 48
	sgxReportSize = 384
	tdReport10    = 584
	tdReport15    = 648
	signatureSize = 64

	keyTypeECDSA = 2 // ECDSA-256-with-P-256, the only attestation key of Intel's QEs

	certificatePCK = 5 // certification data: the PCK certificate's chain in PEM
	certificateQE  = 6 // certification data: the QE's report and what certifies it; from quote 4 on

	// maxChain is how many certificates a quote carries at most; Intel's has 3.
	maxChain = 8
)

// intelQE is the vendor of Intel's quoting enclaves (QE Vendor ID).
var intelQE = [16]byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// Quote is a parsed quote. Nothing in it is verified.
type Quote struct {
	Version uint16 // 3, 4 or 5
	Type    uint32 // TypeSGX or TypeTDX
	SGX     *SGXReport
	TD      *TDReport
	QE      SGXReport
	// Chain are the certificates that the quote carries, in its order.
	Chain []*x509.Certificate

	signed      []byte // header and report
	signature   [signatureSize]byte
	key         [64]byte // attestation key: x and y
	qeReport    []byte
	qeSignature [signatureSize]byte
	qeAuth      []byte
}

// Parse reads a quote of version 3, 4 or 5. Zero bytes may follow it, as in buffers of a fixed length. The error wraps attest.ErrQuote.
func Parse(b []byte) (*Quote, error) {
	q := &Quote{}
	c := cursor{rest: b}
	header := c.take(headerSize, "header")
	if c.err == nil {
		q.Version, q.Type = binary.LittleEndian.Uint16(header), binary.LittleEndian.Uint32(header[4:])
		keyType := binary.LittleEndian.Uint16(header[2:])
		switch {
		case q.Version < 3 || q.Version > 5:
			c.fail("version %d: expected 3, 4 or 5", q.Version)
		case keyType != keyTypeECDSA:
			c.fail("attestation key of type %d: expected %d, ECDSA over P-256", keyType, keyTypeECDSA)
		case q.Type != TypeSGX && (q.Type != TypeTDX || q.Version == 3):
			c.fail("TEE type %#x in a quote of version %d: expected %#x for SGX, or %#x for TDX from version 4 on", q.Type, q.Version, TypeSGX, TypeTDX)
		case [16]byte(header[12:28]) != intelQE:
			c.fail("quoting enclave of vendor %x: expected Intel's, %x", header[12:28], intelQE)
		}
	}
	body := q.cutBody(&c)
	if c.err == nil {
		q.signed = b[:len(b)-len(c.rest)]
	}
	q.cutSignature(&c)
	if c.err == nil && len(bytes.Trim(c.rest, "\x00")) > 0 {
		c.fail("%d bytes follow it", len(c.rest))
	}
	if c.err != nil {
		return nil, c.err
	}
	if q.Type == TypeSGX {
		r := parseSGX(body)
		q.SGX = &r
	} else {
		r := parseTD(body)
		q.TD = &r
	}
	q.QE = parseSGX(q.qeReport)
	return q, nil
}

// cutBody reads the report. From quote 5 on it has a type and a size before it.
func (q *Quote) cutBody(c *cursor) []byte {
	size := sgxReportSize
	if q.Type == TypeTDX {
		size = tdReport10
	}
	if q.Version == 5 && c.err == nil {
		head := c.take(6, "report's type")
		if c.err != nil {
			return nil
		}
		kind, n := binary.LittleEndian.Uint16(head), binary.LittleEndian.Uint32(head[2:])
		want, known := map[uint16]int{1: sgxReportSize, 2: tdReport10, 3: tdReport15}[kind]
		if !known || (kind == 1) != (q.Type == TypeSGX) || uint64(n) != uint64(want) {
			c.fail("report of type %d with %d bytes in a quote of TEE type %#x: expected type 1 with %d for SGX, 2 with %d or 3 with %d for TDX",
				kind, n, q.Type, sgxReportSize, tdReport10, tdReport15)
			return nil
		}
		size = want
	}
	return c.take(size, "report")
}

// cutSignature reads the signature data: the report's signature and key, and what certifies the key.
func (q *Quote) cutSignature(c *cursor) {
	s := cursor{rest: c.takeLong("signature data"), err: c.err}
	copy(q.signature[:], s.take(signatureSize, "signature"))
	copy(q.key[:], s.take(64, "attestation key"))
	if q.Version > 3 {
		s.expect(certificateQE)
		inner := s.takeLong("QE report certification data")
		if s.err == nil && len(s.rest) > 0 {
			s.fail("%d bytes follow the certification data", len(s.rest))
		}
		s.rest = inner
	}
	q.qeReport = s.take(sgxReportSize, "QE report")
	copy(q.qeSignature[:], s.take(signatureSize, "QE report's signature"))
	if n := s.take(2, "length of the QE authentication data"); s.err == nil {
		q.qeAuth = s.take(int(binary.LittleEndian.Uint16(n)), "QE authentication data")
	}
	s.expect(certificatePCK)
	chain := s.takeLong("certification data")
	if s.err == nil && len(s.rest) > 0 {
		s.fail("%d bytes follow the certification data", len(s.rest))
	}
	if c.err = s.err; c.err == nil {
		q.Chain, c.err = parseChain(chain)
	}
}

// expect reads the type of certification data.
func (c *cursor) expect(want uint16) {
	b := c.take(2, "type of certification data")
	if c.err != nil {
		return
	}
	switch found := binary.LittleEndian.Uint16(b); {
	case found == want:
	case found >= 1 && found <= 3:
		c.fail("certification data of type %d, the encrypted or plain identity (PPID) of the processor: expected type %d; "+
			"let the quote provider of this machine (qcnl, PCCS) fetch its PCK certificate, so that quotes carry it", found, want)
	default:
		c.fail("certification data of type %d: expected %d", found, want)
	}
}

func parseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	text = bytes.TrimRight(text, "\x00")
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" || len(chain) == maxChain {
			return nil, fmt.Errorf("%w: PCK certificates: expected at most %d in PEM and nothing else", attest.ErrQuote, maxChain)
		}
		items, err := collateral.Parse(block.Bytes)
		if err != nil || items[0].Kind != collateral.Certificate {
			return nil, fmt.Errorf("%w: PCK certificate %d: %w", attest.ErrQuote, len(chain), err)
		}
		chain, text = append(chain, items[0].Certificate), rest
	}
	return chain, nil
}

// cursor reads parts from the front. After its first error it reads nothing more.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) fail(format string, args ...any) {
	c.err = fmt.Errorf("%w: quote: %w", attest.ErrQuote, fmt.Errorf(format, args...))
}

func (c *cursor) take(n int, what string) []byte {
	if c.err == nil && len(c.rest) < n {
		c.fail("%s: expected %d bytes, found %d", what, n, len(c.rest))
	}
	if c.err != nil {
		return nil
	}
	part := c.rest[:n:n]
	c.rest = c.rest[n:]
	return part
}

// takeLong reads a part with its length in 32 bits before it.
func (c *cursor) takeLong(what string) []byte {
	b := c.take(4, "length of the "+what)
	if c.err != nil {
		return nil
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(c.rest)) {
		c.fail("%s: expected %d bytes, found %d", what, n, len(c.rest))
		return nil
	}
	return c.take(int(n), what)
}

// checkSignatures checks what leads from the PCK certificate to the report: the QE's report, the attestation key that it
// names, and the report's own signature.
func (q *Quote) checkSignatures(pck *x509.Certificate) error {
	key, ok := pck.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("%w: the PCK certificate's key is %T: expected ECDSA", attest.ErrQuote, pck.PublicKey)
	}
	if !verify(key, q.qeReport, q.qeSignature) {
		return fmt.Errorf("%w: the QE report is not signed by the PCK certificate's key", attest.ErrQuote)
	}
	digest := sha256.Sum256(append(bytes.Clone(q.key[:]), q.qeAuth...))
	var want [attest.ReportDataSize]byte
	copy(want[:], digest[:])
	if subtle.ConstantTimeCompare(want[:], q.QE.ReportData[:]) != 1 {
		return fmt.Errorf("%w: the QE report is of another attestation key", attest.ErrQuote)
	}
	own, err := ecdsa.ParseUncompressedPublicKey(key.Curve, append([]byte{4}, q.key[:]...))
	if err != nil {
		return fmt.Errorf("%w: attestation key: %w", attest.ErrQuote, err)
	}
	if !verify(own, q.signed, q.signature) {
		return fmt.Errorf("%w: the report is not signed by the attestation key", attest.ErrQuote)
	}
	return nil
}

// verify checks an ECDSA signature over the SHA-256 of a message: r and s, 32 bytes each, big-endian.
func verify(key *ecdsa.PublicKey, message []byte, signature [64]byte) bool {
	digest := sha256.Sum256(message)
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}
