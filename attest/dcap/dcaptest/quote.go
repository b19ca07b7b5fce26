package dcaptest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/pem"

	"github.com/cocoframework/coco/attest/dcap"
)

// Machine is a processor of the vendor. Tests change it before it makes a quote.
type Machine struct {
	v *Vendor

	Version uint16
	FMSPC   [6]byte
	SVN     [16]uint8
	PCESVN  int
	QE      dcap.SGXReport
	// CA issues the PCK certificate; Chain follows it in the quote.
	CA    Authority
	Chain []Authority
	// PCK is the processor's key; made with the first quote.
	PCK *Authority
	// QuoteWith signs the quote instead of the attestation key, ReportWith the QE's report instead of the PCK.
	QuoteWith, ReportWith *ecdsa.PrivateKey
	// Certification is the type of the certification data; 5 if it is zero.
	Certification uint16
}

// Machine returns a processor whose TCB is up to date: for quotes of version 3, and for TDs 4 or 5.
func (v *Vendor) Machine(version uint16) *Machine {
	m := &Machine{v: v, Version: version, FMSPC: FMSPC, PCESVN: 13, CA: v.PCKCA, Chain: []Authority{v.PCKCA, v.Root}}
	for i := range m.SVN {
		m.SVN[i] = 7
	}
	m.QE = dcap.SGXReport{Attributes: [16]byte{0x15, 8: 0xe7}, MRSIGNER: qeSigner, MRENCLAVE: sha256.Sum256([]byte("QE")), ISVProdID: 1, ISVSVN: 8}
	return m
}

// SGX quotes an enclave.
func (m *Machine) SGX(r dcap.SGXReport) []byte {
	return m.quote(dcap.TypeSGX, 1, sgx(r))
}

// TDX quotes a TD. Quotes of version 5 have a report of TDX 1.5. The machine's QE must be that of TDX: product 2.
func (m *Machine) TDX(r dcap.TDReport) []byte {
	if m.Version == 5 {
		return m.quote(dcap.TypeTDX, 3, td(r))
	}
	return m.quote(dcap.TypeTDX, 2, td(r)[:584])
}

func (m *Machine) quote(tee uint32, kind uint16, body []byte) []byte {
	m.v.t.Helper()
	le := binary.LittleEndian
	b := le.AppendUint16(nil, m.Version)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint32(b, tee)
	b = append(b, 0, 0, 0, 0)
	b = append(b, 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07)
	b = append(b, make([]byte, 20)...)
	if m.Version == 5 {
		b = le.AppendUint16(b, kind)
		b = le.AppendUint32(b, uint32(len(body)))
	}
	b = append(b, body...)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.v.t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		m.v.t.Fatal(err)
	}
	auth := []byte("authentication data")
	digest := sha256.Sum256(append(bytes.Clone(point[1:]), auth...))
	qe := m.QE
	qe.ReportData = [64]byte{}
	copy(qe.ReportData[:], digest[:])
	if m.PCK == nil {
		pck := m.v.Authority("Intel SGX PCK Certificate", false, &m.CA, extension(m.v.t, m.FMSPC, m.SVN, m.PCESVN))
		m.PCK = &pck
	}
	reportKey, quoteKey := m.PCK.Key, key
	if m.ReportWith != nil {
		reportKey = m.ReportWith
	}
	if m.QuoteWith != nil {
		quoteKey = m.QuoteWith
	}
	var chain []byte
	for _, a := range append([]Authority{*m.PCK}, m.Chain...) {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})...)
	}
	certified := append(sgx(qe), m.v.signature(reportKey, sgx(qe))...)
	certified = le.AppendUint16(certified, uint16(len(auth)))
	certified = append(certified, auth...)
	kindOf := m.Certification
	if kindOf == 0 {
		kindOf = 5
	}
	certified = data(certified, kindOf, chain)

	s := append(m.v.signature(quoteKey, b), point[1:]...)
	if m.Version == 3 {
		s = append(s, certified...)
	} else {
		s = data(s, 6, certified)
	}
	return append(le.AppendUint32(b, uint32(len(s))), s...)
}

// data appends certification data: type, length, contents.
func data(b []byte, kind uint16, contents []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(contents)))
	return append(b, contents...)
}

func sgx(r dcap.SGXReport) []byte {
	b := make([]byte, 384)
	copy(b, r.CPUSVN[:])
	copy(b[16:], r.MiscSelect[:])
	copy(b[48:], r.Attributes[:])
	copy(b[64:], r.MRENCLAVE[:])
	copy(b[128:], r.MRSIGNER[:])
	copy(b[192:], r.ConfigID[:])
	binary.LittleEndian.PutUint16(b[256:], r.ISVProdID)
	binary.LittleEndian.PutUint16(b[258:], r.ISVSVN)
	binary.LittleEndian.PutUint16(b[260:], r.ConfigSVN)
	copy(b[320:], r.ReportData[:])
	return b
}

func td(r dcap.TDReport) []byte {
	var b []byte
	b = append(b, r.TCBSVN[:]...)
	b = append(b, r.MRSEAM[:]...)
	b = append(b, r.MRSIGNERSEAM[:]...)
	b = append(b, r.SEAMAttributes[:]...)
	b = append(b, r.Attributes[:]...)
	b = append(b, r.XFAM[:]...)
	b = append(b, r.MRTD[:]...)
	b = append(b, r.MRCONFIGID[:]...)
	b = append(b, r.MROWNER[:]...)
	b = append(b, r.MROWNERCONFIG[:]...)
	for _, x := range r.RTMR {
		b = append(b, x[:]...)
	}
	b = append(b, r.ReportData[:]...)
	b = append(b, r.TCBSVN2[:]...)
	return append(b, r.MRSERVICETD[:]...)
}
