package dcap

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// PCK is what a PCK certificate says of its processor, in Intel's extension (Intel SGX PCK Certificate and CRL Profile Specification, section 1.3.5).
type PCK struct {
	FMSPC  [6]byte
	PCEID  [2]byte
	SVN    [16]uint8 // the TCB's components
	PCESVN uint16
	// Platform is true for the certificate of a machine with one or more processors (PCK Platform CA). Of others the following is not known.
	Platform                    bool
	Dynamic, CachedKeys, SMT    bool
	seenTCB, seenFMSPC, seenPCE bool
}

var extensionSGX = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}

type attribute struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

// parsePCK reads the extension. Its error has no kind.
func parsePCK(c *x509.Certificate) (PCK, error) {
	var p PCK
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(extensionSGX) })
	if i < 0 {
		return p, errors.New("the certificate has no SGX extension: it is none of a processor")
	}
	attributes, err := attributesOf(c.Extensions[i].Value)
	if err != nil {
		return p, fmt.Errorf("SGX extension: %w", err)
	}
	for _, a := range attributes {
		if err := p.set(a); err != nil {
			return p, fmt.Errorf("SGX extension %v: %w", a.ID, err)
		}
	}
	if !p.seenTCB || !p.seenFMSPC || !p.seenPCE {
		return p, errors.New("SGX extension: expected TCB, FMSPC and PCE-ID")
	}
	return p, nil
}

// set reads one attribute of the extension: 1 PPID, 2 TCB, 3 PCE-ID, 4 FMSPC, 5 type, 6 platform instance, 7 configuration.
func (p *PCK) set(a attribute) error {
	id, ok := below(a.ID, extensionSGX)
	if !ok {
		return errors.New("unknown")
	}
	switch id {
	case 2:
		p.seenTCB = true
		return p.setTCB(a.Value.FullBytes)
	case 3:
		p.seenPCE = true
		return octets(a.Value.FullBytes, p.PCEID[:])
	case 4:
		p.seenFMSPC = true
		return octets(a.Value.FullBytes, p.FMSPC[:])
	case 7:
		p.Platform = true
		configuration, err := attributesOf(a.Value.FullBytes)
		if err != nil {
			return err
		}
		for _, c := range configuration {
			n, _ := below(c.ID, append(slices.Clone(extensionSGX), 7))
			if into := map[int]*bool{1: &p.Dynamic, 2: &p.CachedKeys, 3: &p.SMT}[n]; into != nil {
				if err := exact(c.Value.FullBytes, into); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// setTCB reads the TCB: components 1 to 16, 17 the PCE's SVN, 18 CPUSVN.
func (p *PCK) setTCB(der []byte) error {
	components, err := attributesOf(der)
	if err != nil {
		return err
	}
	seen := make(map[int]bool)
	for _, c := range components {
		n, ok := below(c.ID, append(slices.Clone(extensionSGX), 2))
		if !ok || n < 1 || n > 18 || seen[n] {
			return fmt.Errorf("component %v: unknown, or there twice", c.ID)
		}
		seen[n] = true
		if n == 18 {
			continue
		}
		var svn int
		if err := exact(c.Value.FullBytes, &svn); err != nil {
			return err
		}
		switch {
		case n == 17 && svn >= 0 && svn <= 0xffff:
			p.PCESVN = uint16(svn)
		case n <= 16 && svn >= 0 && svn <= 0xff:
			p.SVN[n-1] = uint8(svn)
		default:
			return fmt.Errorf("component %d has SVN %d", n, svn)
		}
	}
	for n := 1; n <= 17; n++ {
		if !seen[n] {
			return fmt.Errorf("component %d is missing", n)
		}
	}
	return nil
}

// below returns the last number of an identifier that continues a prefix by one.
func below(id, prefix asn1.ObjectIdentifier) (int, bool) {
	if len(id) != len(prefix)+1 || !id[:len(prefix)].Equal(prefix) {
		return 0, false
	}
	return id[len(prefix)], true
}

func attributesOf(der []byte) ([]attribute, error) {
	var as []attribute
	return as, exact(der, &as)
}

func octets(der, into []byte) error {
	var b []byte
	if err := exact(der, &b); err != nil {
		return err
	}
	if len(b) != len(into) {
		return fmt.Errorf("%d bytes: expected %d", len(b), len(into))
	}
	copy(into, b)
	return nil
}

// exact reads DER that holds one value and nothing after it.
func exact(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes follow the value")
	}
	return err
}
