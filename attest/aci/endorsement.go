package aci

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/veraison/go-cose"
)

// endorsement is a verified endorsement.
type endorsement struct {
	UVM
	measurement [48]byte
}

// openEndorsement verifies a COSE_Sign1 whose protected header has the chain of its signer (x5chain, RFC 9360), the issuer "iss", the "feed" and the "signingtime". The issuer
// is a did:x509, which the chain must resolve to; whether it counts is decided by the platform's policy. An endorsement does not end with its signer's certificate: the chain
// must be valid when it was signed. A minimum of the version retires old ones.
func openEndorsement(raw []byte, now time.Time) (endorsement, error) {
	if len(raw) > maxEndorsement {
		return endorsement{}, fmt.Errorf("%d bytes: expected at most %d", len(raw), maxEndorsement)
	}
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(raw); err != nil {
		return endorsement{}, err
	}
	protected := m.Headers.Protected
	alg, err := protected.Algorithm()
	if err != nil {
		return endorsement{}, err
	}
	var e endorsement
	for label, to := range map[string]*string{"iss": &e.Issuer, "feed": &e.Feed} {
		v, ok := protected[label].(string)
		if !ok || v == "" || len(v) > maxDID {
			return endorsement{}, fmt.Errorf("protected header %q: expected a text", label)
		}
		*to = v
	}
	e.Signed = now
	if v, given := protected["signingtime"]; given {
		var t time.Time
		switch v := v.(type) { // with and without CBOR's tag for times
		case time.Time:
			t = v
		case int64:
			t = time.Unix(v, 0)
		default:
			return endorsement{}, fmt.Errorf("protected header \"signingtime\": expected a time, found %T", v)
		}
		if t.After(now) {
			return endorsement{}, fmt.Errorf("it was signed at %s, which is in the future", t.UTC().Format(time.RFC3339))
		}
		e.Signed = t
	}
	chain, err := chainOf(protected[cose.HeaderLabelX5Chain])
	if err != nil {
		return endorsement{}, err
	}
	if err := checkChain(chain, e.Signed); err != nil {
		return endorsement{}, err
	}
	issuer, err := parseDID(e.Issuer)
	if err != nil {
		return endorsement{}, err
	}
	if err := issuer.resolve(chain); err != nil {
		return endorsement{}, err
	}
	if chain[0].KeyUsage != 0 && chain[0].KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return endorsement{}, errors.New("its signer's certificate is not for signatures")
	}
	verifier, err := cose.NewVerifier(alg, chain[0].PublicKey)
	if err != nil {
		return endorsement{}, err
	}
	if err := m.Verify(nil, verifier); err != nil {
		return endorsement{}, err
	}
	return e, e.read(m.Payload)
}

const (
	maxChain       = 8
	maxCertificate = 8 << 10
	maxRSA         = 4096
)

func chainOf(header any) ([]*x509.Certificate, error) {
	list, ok := header.([]any)
	if !ok || len(list) < 2 || len(list) > maxChain {
		return nil, fmt.Errorf("x5chain: expected 2 to %d certificates", maxChain)
	}
	var chain []*x509.Certificate
	for i, v := range list {
		der, ok := v.([]byte)
		if !ok || len(der) > maxCertificate {
			return nil, fmt.Errorf("x5chain[%d]: expected a certificate of at most %d bytes", i, maxCertificate)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("x5chain[%d]: %w", i, err)
		}
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
			return nil, fmt.Errorf("x5chain[%d]: RSA key of %d bits: expected at most %d", i, key.N.BitLen(), maxRSA)
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// checkChain checks that each certificate is certified by the next one, and all are valid at a time. No certificate may be in the list that certifies nothing there: a
// did:x509 would take it for an authority.
func checkChain(chain []*x509.Certificate, at time.Time) error {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	last := len(chain) - 1
	opts.Roots.AddCert(chain[last])
	for _, c := range chain[1:last] {
		opts.Intermediates.AddCert(c)
	}
	found, err := chain[0].Verify(opts)
	if err != nil {
		return fmt.Errorf("x5chain: %w", err)
	}
	for _, f := range found {
		same := len(f) == len(chain)
		for i := range chain {
			same = same && f[i].Equal(chain[i])
		}
		if same {
			return nil
		}
	}
	return errors.New("x5chain: it holds certificates that are no part of its signer's chain")
}

// payload is what Microsoft says of a UVM.
type payload struct {
	SVN         json.RawMessage `json:"x-ms-sevsnpvm-guestsvn"`
	Measurement string          `json:"x-ms-sevsnpvm-launchmeasurement"`
}

func (e *endorsement) read(b []byte) error {
	var p payload
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	m, err := hex.DecodeString(p.Measurement)
	if err != nil || len(m) != len(e.measurement) {
		return fmt.Errorf("payload: x-ms-sevsnpvm-launchmeasurement: expected %d hexadecimal digits", 2*len(e.measurement))
	}
	copy(e.measurement[:], m)
	digits := string(p.SVN) // a text, or a number
	if text := ""; json.Unmarshal(p.SVN, &text) == nil {
		digits = text
	}
	if e.SVN, err = strconv.ParseUint(digits, 10, 32); err != nil {
		return fmt.Errorf("payload: x-ms-sevsnpvm-guestsvn: expected a number, found %.40q", digits)
	}
	return nil
}
