// Package snptest makes evidence of SEV-SNP for tests: certificates shaped as AMD's, under a root of the test's own, and reports that a key below them
// has signed. No verifier but one that is given Authority.Roots believes any of it.
//
// Trust: either
package snptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/snp"
)

// Now is a time at which all that is made here is valid.
var Now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// Authority stands for AMD: a root for one product.
type Authority struct {
	Product  snp.Product
	root     *rsa.PrivateKey
	ask      *rsa.PrivateKey
	asvk     *rsa.PrivateKey
	rootCert *x509.Certificate
	askCert  *x509.Certificate
	asvkCert *x509.Certificate
}

// keys are RSA keys of 2048 bits for an authority and its two issuers, and the key of Fixed. AMD's RSA keys have 4096 bits. They are public, so that a
// quote that one process of a fuzz test makes is genuine in another.
//
//go:embed keys.pem
var keys []byte

func block(t testing.TB, i int) []byte {
	t.Helper()
	rest := keys
	for {
		b, more := pem.Decode(rest)
		if b == nil {
			t.Fatalf("keys.pem has no key %d", i)
		}
		if i == 0 {
			return b.Bytes
		}
		rest, i = more, i-1
	}
}

// New makes an authority. All that New makes have the same keys: see Stranger.
func New(t testing.TB, product snp.Product) *Authority {
	t.Helper()
	a := &Authority{Product: product}
	for i, k := range []**rsa.PrivateKey{&a.root, &a.ask, &a.asvk} {
		key, err := x509.ParsePKCS1PrivateKey(block(t, i))
		if err != nil {
			t.Fatal(err)
		}
		*k = key
	}
	a.certify(t)
	return a
}

// Stranger makes an authority with the same names and other keys.
func Stranger(t testing.TB, product snp.Product) *Authority {
	t.Helper()
	a := &Authority{Product: product}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a.root, a.ask, a.asvk = key, key, key
	a.certify(t)
	return a
}

func (a *Authority) certify(t testing.TB) {
	t.Helper()
	a.rootCert = certify(t, "ARK-"+string(a.Product), 1, nil, nil, a.root, &a.root.PublicKey)
	a.askCert = certify(t, "SEV-"+string(a.Product), 2, nil, a.rootCert, a.root, &a.ask.PublicKey)
	a.asvkCert = certify(t, "SEV-VLEK-"+string(a.Product), 3, nil, a.rootCert, a.root, &a.asvk.PublicKey)
}

// Roots is what a verifier needs to believe the authority.
func (a *Authority) Roots() snp.Roots {
	return snp.Roots{
		{Product: a.Product, Signer: snp.VCEK, Root: a.rootCert, Issuer: a.askCert},
		{Product: a.Product, Signer: snp.VLEK, Root: a.rootCert, Issuer: a.asvkCert},
	}
}

// CRL makes a list of revoked certificates: of none, or of the authority's issuers.
func (a *Authority) CRL(t testing.TB, made, next time.Time, revoked ...snp.Signer) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(made.Unix()), ThisUpdate: made, NextUpdate: next, SignatureAlgorithm: x509.SHA384WithRSAPSS}
	for _, s := range revoked {
		cert := a.askCert
		if s == snp.VLEK {
			cert = a.asvkCert
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: made})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.rootCert, a.root)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Source is a source of collateral that has these files.
func Source(t testing.TB, files ...[]byte) collateral.Source {
	t.Helper()
	s := attesttest.Collateral(t, files...)
	return func() *collateral.Set { return s }
}

// Machine is a processor with firmware of one TCB.
type Machine struct {
	Signer      snp.Signer
	TCB         snp.TCB
	Chip        []byte
	Certificate []byte // DER
	key         *ecdsa.PrivateKey
	product     snp.Product
}

// Machine makes a machine whose own key signs reports.
func (a *Authority) Machine(t testing.TB, tcb snp.TCB) *Machine {
	t.Helper()
	n := 64
	if a.Product == snp.Turin {
		n = 8
	}
	chip := make([]byte, n)
	rand.Read(chip)
	return a.machine(t, snp.VCEK, tcb, chip, "")
}

// Fixed makes a machine with a key and a chip that are the same in every process.
func (a *Authority) Fixed(t testing.TB, tcb snp.TCB) *Machine {
	t.Helper()
	n := 64
	if a.Product == snp.Turin {
		n = 8
	}
	key, err := x509.ParseECPrivateKey(block(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	return a.endorse(t, &Machine{Signer: snp.VCEK, TCB: tcb, Chip: make([]byte, n), product: a.Product}, key, "")
}

// Cloud makes a machine into which a cloud provider has loaded its key.
func (a *Authority) Cloud(t testing.TB, tcb snp.TCB, provider string) *Machine {
	t.Helper()
	return a.machine(t, snp.VLEK, tcb, nil, provider)
}

func (a *Authority) machine(t testing.TB, signer snp.Signer, tcb snp.TCB, chip []byte, provider string) *Machine {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a.endorse(t, &Machine{Signer: signer, TCB: tcb, Chip: chip, product: a.Product}, key, provider)
}

func (a *Authority) endorse(t testing.TB, m *Machine, key *ecdsa.PrivateKey, provider string) *Machine {
	t.Helper()
	m.key = key
	name, issuer, by, common := productName(a.Product), a.askCert, a.ask, "SEV-VCEK"
	if m.Signer == snp.VCEK {
		name += "-B1"
	} else {
		issuer, by, common = a.asvkCert, a.asvk, "SEV-VLEK"
	}
	levels := map[int]uint8{1: m.TCB.Bootloader, 2: m.TCB.TEE, 3: m.TCB.SNP, 5: 0, 6: 0, 7: 0, 8: m.TCB.Microcode}
	if a.Product == snp.Turin {
		levels[9] = m.TCB.FMC
	} else {
		levels[4] = 0
	}
	exts := []pkix.Extension{extension(t, asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(name)}, 2)}
	for place, v := range levels {
		exts = append(exts, extension(t, int(v), 3, place))
	}
	if m.Chip != nil {
		exts = append(exts, pkix.Extension{Id: arc(4), Value: m.Chip})
	} else {
		exts = append(exts, extension(t, asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(provider)}, 5))
	}
	m.Certificate = certify(t, common, 7, exts, issuer, by, &key.PublicKey).Raw
	return m
}

// Report is what a test says of a guest. The zero value is a guest at VMPL 0 that may use sibling threads.
type Report struct {
	Version     uint32 // 3 if 0
	Measurement [48]byte
	ReportData  [64]byte
	HostData    [32]byte
	VMPL        uint32
	GuestSVN    uint32
	Debug       bool
	Migration   bool
	NoSMT       bool
	Masked      bool      // the host hides the chip
	Platform    uint64    // PLATFORM_INFO
	Policy      uint64    // further bits of the guest's policy
	Committed   *snp.TCB  // the machine's if nil
	Launch      *snp.TCB  // the machine's if nil
	Signature   *[64]byte // replaces bytes of the signature
}

// Quote returns a signed report, and a table with the machine's certificate.
func (m *Machine) Quote(t testing.TB, r Report) []byte {
	t.Helper()
	return append(m.Report(t, r), snp.Table(m.Signer, m.Certificate)...)
}

// Report returns a signed report alone.
func (m *Machine) Report(t testing.TB, r Report) []byte {
	t.Helper()
	le := binary.LittleEndian
	b := make([]byte, snp.ReportSize)
	version := r.Version
	if version == 0 {
		version = 3
	}
	le.PutUint32(b, version)
	le.PutUint32(b[4:], r.GuestSVN)
	policy := uint64(1<<17|0x1f) | r.Policy
	for bit, on := range map[int]bool{16: !r.NoSMT, 18: r.Migration, 19: r.Debug} {
		if on {
			policy |= 1 << bit
		}
	}
	le.PutUint64(b[8:], policy)
	le.PutUint32(b[0x30:], r.VMPL)
	le.PutUint32(b[0x34:], 1)
	committed, launch := m.TCB, m.TCB
	if r.Committed != nil {
		committed = *r.Committed
	}
	if r.Launch != nil {
		launch = *r.Launch
	}
	m.putTCB(b[0x38:], m.TCB)
	le.PutUint64(b[0x40:], r.Platform)
	var signer uint32
	if m.Signer == snp.VLEK {
		signer |= 1 << 2
	}
	if r.Masked {
		signer |= 2
	}
	le.PutUint32(b[0x48:], signer)
	copy(b[0x50:], r.ReportData[:])
	copy(b[0x90:], r.Measurement[:])
	copy(b[0xc0:], r.HostData[:])
	m.putTCB(b[0x180:], m.TCB)
	if version >= 3 {
		copy(b[0x188:], map[snp.Product][]byte{snp.Milan: {0x19, 0x01, 1}, snp.Genoa: {0x19, 0x11, 1}, snp.Turin: {0x1a, 0x02, 1}}[m.product])
	}
	if !r.Masked {
		copy(b[0x1a0:], m.Chip)
	}
	m.putTCB(b[0x1e0:], committed)
	copy(b[0x1e8:], []byte{4, 55, 1, 0, 4, 55, 1, 0})
	m.putTCB(b[0x1f0:], launch)
	digest := sha512.Sum384(b[:0x2a0])
	x, y, err := ecdsa.Sign(rand.Reader, m.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	putLittle(b[0x2a0:0x2a0+72], x)
	putLittle(b[0x2a0+72:0x2a0+144], y)
	if r.Signature != nil {
		copy(b[0x2a0:], r.Signature[:])
	}
	return b
}

func (m *Machine) putTCB(b []byte, t snp.TCB) {
	if m.product == snp.Turin {
		copy(b, []byte{t.FMC, t.Bootloader, t.TEE, t.SNP, 0, 0, 0, t.Microcode})
		return
	}
	copy(b, []byte{t.Bootloader, t.TEE, 0, 0, 0, 0, t.SNP, t.Microcode})
}

func putLittle(b []byte, n *big.Int) {
	n.FillBytes(b)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

func productName(p snp.Product) string {
	return map[snp.Product]string{snp.Milan: "Milan", snp.Genoa: "Genoa", snp.Turin: "Turin"}[p]
}

func arc(tail ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}, tail...)
}

func extension(t testing.TB, v any, tail ...int) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: arc(tail...), Value: der}
}

// certify makes a certificate, of an authority if it has no extensions. Without an issuer it signs itself.
func certify(t testing.TB, name string, serial int64, exts []pkix.Extension, issuer *x509.Certificate, by *rsa.PrivateKey, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject: pkix.Name{
			Country: []string{"US"}, Province: []string{"CA"}, Locality: []string{"Santa Clara"}, CommonName: name,
			Organization: []string{"Advanced Micro Devices"}, OrganizationalUnit: []string{"Engineering"},
		},
		NotBefore: Now.AddDate(-1, 0, 0), NotAfter: Now.AddDate(5, 0, 0),
		SignatureAlgorithm: x509.SHA384WithRSAPSS, ExtraExtensions: exts,
	}
	if exts == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	}
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
