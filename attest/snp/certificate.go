package snp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
)

// endorsement is a certificate of a VCEK or VLEK and what AMD says in it (publication 57230, "VCEK and VLEK certificate extensions").
// The library's own reader refuses the form that Turin's certificates have.
type endorsement struct {
	cert    *x509.Certificate
	signer  Signer
	product Product
	tcb     TCB
	chip    []byte // 64 bytes, 8 from Turin on; none in a VLEK's
	csp     string // the cloud provider of a VLEK
}

const maxCertificate = 8 << 10

// amd is the arc of AMD's extensions.
var amd = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}

func parseEndorsement(der []byte) (endorsement, error) {
	if len(der) > maxCertificate {
		return endorsement{}, fmt.Errorf("certificate of %d bytes: expected at most %d", len(der), maxCertificate)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return endorsement{}, err
	}
	e := endorsement{cert: cert}
	switch cert.Subject.CommonName {
	case "SEV-VCEK":
		e.signer = VCEK
	case "SEV-VLEK":
		e.signer = VLEK
	default:
		return endorsement{}, fmt.Errorf("certificate of %q: expected SEV-VCEK or SEV-VLEK", cert.Subject.CommonName)
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P384() {
		return endorsement{}, fmt.Errorf("%s certificate: expected a key on P-384, found %v", cert.Subject.CommonName, cert.PublicKeyAlgorithm)
	}
	return e, e.readExtensions()
}

// readExtensions reads AMD's extensions. Each part that the product has must be there.
func (e *endorsement) readExtensions() error {
	seen := map[string]bool{}
	var name string
	levels := map[int]uint8{}
	for _, x := range e.cert.Extensions {
		arc := x.Id
		if len(arc) <= len(amd) || !arc[:len(amd)].Equal(amd) {
			continue
		}
		tail := arc[len(amd):]
		if seen[tail.String()] {
			return fmt.Errorf("extension %v is there twice", arc)
		}
		seen[tail.String()] = true
		var err error
		switch {
		case len(tail) == 1 && tail[0] == 2:
			name, err = ia5(x.Value)
		case len(tail) == 2 && tail[0] == 3:
			levels[tail[1]], err = level(x.Value)
		case len(tail) == 1 && tail[0] == 4:
			e.chip, err = hardwareID(x.Value)
		case len(tail) == 1 && tail[0] == 5:
			e.csp, err = ia5(x.Value)
		}
		if err != nil {
			return fmt.Errorf("extension %v: %w", arc, err)
		}
	}
	line, _, _ := strings.Cut(name, "-") // "Milan-B0" in a VCEK's, "Milan" in a VLEK's
	switch line {
	case "Milan":
		e.product = Milan
	case "Genoa", "Siena":
		e.product = Genoa
	case "Turin":
		e.product = Turin
	default:
		return fmt.Errorf("product %q: expected Milan, Genoa or Turin", name)
	}
	if (e.signer == VCEK) != (e.chip != nil) || (e.signer == VLEK) != (e.csp != "") {
		return fmt.Errorf("a %s certificate that names chip %x and cloud provider %q: expected a chip in a VCEK's and a provider in a VLEK's", e.signer, e.chip, e.csp)
	}
	return e.readTCB(levels)
}

// Places of the parts below the extension 3.
const (
	levelBootloader = 1
	levelTEE        = 2
	levelSNP        = 3
	levelMicrocode  = 8
	levelFMC        = 9
)

func (e *endorsement) readTCB(levels map[int]uint8) error {
	parts := map[int]*uint8{levelBootloader: &e.tcb.Bootloader, levelTEE: &e.tcb.TEE, levelSNP: &e.tcb.SNP, levelMicrocode: &e.tcb.Microcode}
	if _, ok := levels[levelFMC]; ok {
		parts[levelFMC] = &e.tcb.FMC
	}
	for place, to := range parts {
		v, ok := levels[place]
		if !ok {
			return fmt.Errorf("no extension for part %d of the TCB", place)
		}
		*to = v
		delete(levels, place)
	}
	for place, v := range levels {
		if v != 0 {
			return fmt.Errorf("part %d of the TCB is %d, but reserved", place, v)
		}
	}
	return nil
}

// ofChip reports whether the certificate is of the chip of a report. A masked chip is one of the certificate's alone.
func (e *endorsement) ofChip(r Report) bool {
	if e.signer == VLEK {
		return true
	}
	if r.MaskedChip && r.ChipID == ([64]byte{}) {
		return true
	}
	var padded [64]byte
	copy(padded[:], e.chip)
	return padded == r.ChipID
}

func level(der []byte) (uint8, error) {
	var n int
	rest, err := asn1.Unmarshal(der, &n)
	if err != nil {
		return 0, err
	}
	if len(rest) != 0 || n < 0 || n > 255 {
		return 0, fmt.Errorf("expected an integer from 0 to 255, found %x", der)
	}
	return uint8(n), nil
}

func ia5(der []byte) (string, error) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	if err != nil {
		return "", err
	}
	if len(rest) != 0 || v.Class != asn1.ClassUniversal || v.Tag != asn1.TagIA5String || v.IsCompound || len(v.Bytes) > 256 {
		return "", fmt.Errorf("expected a short IA5String, found %.40x", der)
	}
	for _, c := range v.Bytes {
		if c < ' ' || c > '~' {
			return "", fmt.Errorf("expected printable characters, found %q", v.Bytes)
		}
	}
	return string(v.Bytes), nil
}

// hardwareID reads the chip's name, which certificates hold with and without the octet string's header.
func hardwareID(der []byte) ([]byte, error) {
	id := der
	if n := len(der); n == 64+2 || n == 8+2 {
		if rest, err := asn1.Unmarshal(der, &id); err != nil || len(rest) != 0 {
			return nil, fmt.Errorf("expected an octet string, found %.80x", der)
		}
	}
	if len(id) != 64 && len(id) != 8 {
		return nil, fmt.Errorf("a chip's name of %d bytes: expected 64 or 8", len(id))
	}
	return bytes.Clone(id), nil
}
