// Package dcaptest makes quotes and collateral as Intel and its processors do, with a root CA of its own: tests of what
// verifies them need neither a machine with a TEE nor recorded evidence, and can have every fault.
//
// Trust: either
package dcaptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/collateral"
)

// Authority is a certificate and its key.
type Authority struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
}

// Vendor stands for Intel: a root, a CA of processors, and a signer of statements.
type Vendor struct {
	t                    testing.TB
	Root, PCKCA, Signer  Authority
	Made                 time.Time // when everything began to be valid
	serial               int64
	RootCRL, PCKCRL      *x509.RevocationList // templates: tests add entries
	SGX, TDX             TCBInfo
	QE, TDQE             Identity
	WithoutCRLs          bool
	SignCollateralWith   *Authority // nil: Signer
	SignerOfCertificates *Authority // nil: Signer's certificate is among the collateral; else this one's
}

// FMSPC is the family of the vendor's processors.
var FMSPC = [6]byte{0x00, 0x60, 0x6a, 0, 0, 1}

// New makes a vendor. Its collateral is valid for 30 days from the time given.
func New(t testing.TB, made time.Time) *Vendor {
	t.Helper()
	v := &Vendor{t: t, Made: made.UTC().Truncate(time.Second)}
	v.Root = v.Authority("Intel SGX Root CA", true, nil)
	v.PCKCA = v.Authority("Intel SGX PCK Platform CA", true, &v.Root)
	v.Signer = v.Authority("Intel SGX TCB Signing", false, &v.Root)
	list := func(n int64) *x509.RevocationList {
		return &x509.RevocationList{Number: big.NewInt(n), ThisUpdate: v.Made, NextUpdate: v.Made.AddDate(0, 0, 30)}
	}
	v.RootCRL, v.PCKCRL = list(1), list(1)
	issued, next := v.Made.Format(time.RFC3339), v.Made.AddDate(0, 0, 30).Format(time.RFC3339)
	level := func(svn, pce int, status collateral.Status, advisories ...string) Level {
		return Level{TCB: map[string]any{"sgxtcbcomponents": Components(svn), "pcesvn": pce}, Date: issued, Status: status, Advisories: advisories}
	}
	enclave := func(svn int, status collateral.Status, advisories ...string) Level {
		return Level{TCB: map[string]any{"isvsvn": svn}, Date: issued, Status: status, Advisories: advisories}
	}
	v.SGX = TCBInfo{
		ID: "SGX", Version: 3, IssueDate: issued, NextUpdate: next, FMSPC: hex.EncodeToString(FMSPC[:]), PCEID: "0000", Evaluation: 17,
		Levels: []Level{level(7, 13, collateral.UpToDate), level(6, 13, collateral.SWHardeningNeeded, "INTEL-SA-00615"), level(5, 11, collateral.OutOfDate, "INTEL-SA-00586", "INTEL-SA-00615"), level(1, 1, collateral.Revoked, "INTEL-SA-00001")},
	}
	v.TDX = v.SGX
	v.TDX.ID, v.TDX.Levels = "TDX", nil
	for i, l := range v.SGX.Levels {
		tdx := Components(5 - i)
		tdx[1]["svn"] = 0 // the module's major version
		l.TCB = map[string]any{"sgxtcbcomponents": l.TCB["sgxtcbcomponents"], "pcesvn": l.TCB["pcesvn"], "tdxtcbcomponents": tdx}
		v.TDX.Levels = append(v.TDX.Levels, l)
	}
	zero48, zero8, ones8 := hex.EncodeToString(make([]byte, 48)), "0000000000000000", "FFFFFFFFFFFFFFFF"
	v.TDX.Module = &Module{MRSigner: zero48, Attributes: zero8, Mask: ones8}
	v.TDX.Modules = []Module{{ID: "TDX_01", MRSigner: zero48, Attributes: zero8, Mask: ones8, Levels: []Level{enclave(4, collateral.UpToDate), enclave(2, collateral.OutOfDate, "INTEL-SA-01036")}}}
	v.QE = Identity{
		ID: "QE", Version: 2, IssueDate: issued, NextUpdate: next, Evaluation: 17, Misc: "00000000", MiscMask: "FFFFFFFF",
		Attributes: "11000000000000000000000000000000", AttributesMask: "FBFFFFFFFFFFFFFF0000000000000000", MRSigner: hex.EncodeToString(qeSigner[:]), ProdID: 1,
		Levels: []Level{enclave(8, collateral.UpToDate), enclave(6, collateral.OutOfDate, "INTEL-SA-00615"), enclave(1, collateral.Revoked)},
	}
	v.TDQE = v.QE
	v.TDQE.ID, v.TDQE.ProdID = "TD_QE", 2
	return v
}

var qeSigner = sha256.Sum256([]byte("the vendor's quoting enclaves"))

// Authority makes a key and its certificate: a CA's, or that of one who signs statements. Without an issuer it signs itself.
func (v *Vendor) Authority(name string, ca bool, issuer *Authority, extensions ...pkix.Extension) Authority {
	v.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		v.t.Fatal(err)
	}
	v.serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(v.serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Test"}}, NotBefore: v.Made, NotAfter: v.Made.AddDate(7, 0, 0),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: extensions,
	}
	if ca {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	parent, by := c, key
	if issuer != nil {
		parent, by = issuer.Certificate, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		v.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		v.t.Fatal(err)
	}
	return Authority{Certificate: c, Key: key}
}

// Collateral is all collateral of the vendor, as it is configured now.
func (v *Vendor) Collateral() *collateral.Set {
	v.t.Helper()
	signer := v.Signer
	if v.SignerOfCertificates != nil {
		signer = *v.SignerOfCertificates
	}
	files := [][]byte{
		signer.Certificate.Raw, v.Root.Certificate.Raw,
		v.sign("tcbInfo", v.SGX), v.sign("tcbInfo", v.TDX), v.sign("enclaveIdentity", v.QE), v.sign("enclaveIdentity", v.TDQE),
	}
	if !v.WithoutCRLs {
		files = append(files, v.list(v.RootCRL, v.Root), v.list(v.PCKCRL, v.PCKCA))
	}
	return attesttest.Collateral(v.t, files...)
}

func (v *Vendor) list(l *x509.RevocationList, by Authority) []byte {
	v.t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, l, by.Certificate, by.Key)
	if err != nil {
		v.t.Fatal(err)
	}
	return der
}

func (v *Vendor) sign(name string, statement any) []byte {
	v.t.Helper()
	body, err := json.Marshal(statement)
	if err != nil {
		v.t.Fatal(err)
	}
	by := v.Signer
	if v.SignCollateralWith != nil {
		by = *v.SignCollateralWith
	}
	return fmt.Appendf(nil, `{%q:%s,"signature":"%x"}`, name, body, v.signature(by.Key, body))
}

// signature is ECDSA over SHA-256: r and s, 32 bytes each.
func (v *Vendor) signature(key *ecdsa.PrivateKey, message []byte) []byte {
	v.t.Helper()
	digest := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		v.t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// TCBInfo is the body of TCB info.
type TCBInfo struct {
	ID         string   `json:"id"`
	Version    int      `json:"version"`
	IssueDate  string   `json:"issueDate"`
	NextUpdate string   `json:"nextUpdate"`
	FMSPC      string   `json:"fmspc"`
	PCEID      string   `json:"pceId"`
	Type       int      `json:"tcbType"`
	Evaluation int      `json:"tcbEvaluationDataNumber"`
	Module     *Module  `json:"tdxModule,omitempty"`
	Modules    []Module `json:"tdxModuleIdentities,omitempty"`
	Levels     []Level  `json:"tcbLevels"`
}

// Module is a TDX module.
type Module struct {
	ID         string  `json:"id,omitempty"`
	MRSigner   string  `json:"mrsigner"`
	Attributes string  `json:"attributes"`
	Mask       string  `json:"attributesMask"`
	Levels     []Level `json:"tcbLevels,omitempty"`
}

// Level is a TCB level.
type Level struct {
	TCB        map[string]any    `json:"tcb"`
	Date       string            `json:"tcbDate"`
	Status     collateral.Status `json:"tcbStatus"`
	Advisories []string          `json:"advisoryIDs,omitempty"`
}

// Identity is the body of the identity of a quoting enclave.
type Identity struct {
	ID             string  `json:"id"`
	Version        int     `json:"version"`
	IssueDate      string  `json:"issueDate"`
	NextUpdate     string  `json:"nextUpdate"`
	Evaluation     int     `json:"tcbEvaluationDataNumber"`
	Misc           string  `json:"miscselect"`
	MiscMask       string  `json:"miscselectMask"`
	Attributes     string  `json:"attributes"`
	AttributesMask string  `json:"attributesMask"`
	MRSigner       string  `json:"mrsigner"`
	ProdID         int     `json:"isvprodid"`
	Levels         []Level `json:"tcbLevels"`
}

// Components are 16 components of one SVN.
func Components(svn int) []map[string]int {
	cs := make([]map[string]int, 16)
	for i := range cs {
		cs[i] = map[string]int{"svn": svn}
	}
	return cs
}

// extension is Intel's extension of a PCK certificate.
func extension(t testing.TB, fmspc [6]byte, svn [16]uint8, pceSVN int) pkix.Extension {
	t.Helper()
	id := func(n ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, n...)
	}
	encode := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	sequence := func(vs ...asn1.RawValue) asn1.RawValue { return encode(vs) }
	pair := func(id asn1.ObjectIdentifier, v asn1.RawValue) asn1.RawValue { return sequence(encode(id), v) }
	var tcb []asn1.RawValue
	for i, n := range svn {
		tcb = append(tcb, pair(id(2, i+1), encode(int(n))))
	}
	tcb = append(tcb, pair(id(2, 17), encode(pceSVN)), pair(id(2, 18), encode(svn[:])))
	all := sequence(
		pair(id(1), encode(make([]byte, 16))), pair(id(2), sequence(tcb...)), pair(id(3), encode([]byte{0, 0})), pair(id(4), encode(fmspc[:])),
		pair(id(5), encode(asn1.Enumerated(1))), pair(id(6), encode(make([]byte, 16))),
		pair(id(7), sequence(pair(id(7, 1), encode(true)), pair(id(7, 2), encode(false)), pair(id(7, 3), encode(true)))),
	)
	return pkix.Extension{Id: id(), Value: all.FullBytes}
}
