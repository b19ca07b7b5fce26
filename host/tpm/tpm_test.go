package tpm_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/attest/snp/snptest"
	"github.com/cocoframework/coco/attest/vtpm"
	"github.com/cocoframework/coco/host/tpm"
)

// software starts swtpm, a TPM in software with a seed of its own, and returns its socket.
func software(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("no swtpm on this machine: apt-get install swtpm")
	}
	dir, err := os.MkdirTemp("", "tpm") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "tpm")
	cmd := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket,
		"--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "not-need-init,startup-clear")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("unix", socket+".ctrl"); err == nil {
			c.Close()
			return socket
		}
		if time.Now().After(deadline) {
			t.Fatalf("swtpm does not answer: %s", out.String())
		}
	}
}

func open(t *testing.T, socket string) transport.TPMCloser {
	t.Helper()
	c, err := tpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func plain(t *testing.T, socket string) *tpm.Device {
	t.Helper()
	d, err := tpm.Plain(open(t, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestPlainTPM(t *testing.T) {
	socket := software(t)
	d := plain(t, socket)
	ev, err := attest.Quote(t.Context(), d, "test", []byte("key"), []byte("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := attest.Verifiers{vtpm.TPM{}}.Verify(ev, snptest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if !claims.Insecure {
		t.Error("a TPM protects no memory, and does not say so")
	}
	allowed := []coco.Measurement{claims.Measurement}
	if err := attest.Check(claims, "test", []byte("key"), []byte("nonce"), allowed); err != nil {
		t.Error(err)
	}
	if err := attest.Check(claims, "test", []byte("key"), []byte("other"), allowed); !errors.Is(err, attest.ErrBinding) {
		t.Errorf("another nonce: %v", err)
	}
	if err := claims.Satisfy(nil); !errors.Is(err, attest.ErrPolicy) {
		t.Errorf("a key that nobody has challenged: %v", err)
	}
	name, err := vtpm.KeyName(d.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := claims.Satisfy(fmt.Appendf(nil, `{"attestation_keys": [%q]}`, name)); err != nil {
		t.Error(err)
	}
	if _, err := d.Quote(t.Context(), [64]byte{40: 1}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("report data of 64 bytes: %v", err)
	}
	d.Close()

	again := plain(t, socket)
	if !bytes.Equal(again.Key(), d.Key()) {
		t.Error("the key is another one after a restart")
	}
	c := open(t, socket+"") // another program measures something
	_ = c.Close()
}

func TestMeasurementFollowsTheRegisters(t *testing.T) {
	socket := software(t)
	measure := func() coco.Measurement {
		d := plain(t, socket)
		defer d.Close()
		quote, err := d.Quote(t.Context(), [64]byte{})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := vtpm.TPM{}.Verify(quote, snptest.Now)
		if err != nil {
			t.Fatal(err)
		}
		return claims.Measurement
	}
	extend := func(pcr tpm2.TPMHandle) {
		c := open(t, socket)
		defer c.Close()
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: pcr, Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
		}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
	}
	first := measure()
	extend(10)
	if m := measure(); m != first {
		t.Error("register 10, which changes while a machine runs, is part of the measurement")
	}
	extend(4)
	if m := measure(); m == first {
		t.Error("register 4, what the firmware boots, is no part of the measurement")
	}
}

func TestChallengeShowsThatTheKeyIsInTheTPM(t *testing.T) {
	d, other := plain(t, software(t)), plain(t, software(t))
	ek, err := d.Endorsement()
	if err != nil {
		t.Fatal(err)
	}
	c, want, err := vtpm.NewChallenge(rand.Reader, ek, d.Key())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Answer(c.Blob, c.Seed)
	if err != nil {
		t.Fatal(err)
	}
	name, err := vtpm.KeyName(d.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := want.Check(answer); err != nil || want.Key != name {
		t.Errorf("found %s, %v, expected %s", want.Key, err, name)
	}
	answer[0] ^= 1
	if err := want.Check(answer); !errors.Is(err, attest.ErrQuote) {
		t.Errorf("another secret: %v", err)
	}
	if err := (vtpm.Secret{}).Check(nil); !errors.Is(err, attest.ErrQuote) {
		t.Errorf("no secret: %v", err)
	}
	if _, err := other.Answer(c.Blob, c.Seed); err == nil {
		t.Error("another TPM opens the challenge")
	}
	foreign, _, err := vtpm.NewChallenge(rand.Reader, ek, other.Key())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Answer(foreign.Blob, foreign.Seed); err == nil {
		t.Error("the TPM opens a challenge for a key that is not in it")
	}
	if _, _, err := vtpm.NewChallenge(rand.Reader, ek, ek); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a key that decrypts as attestation key: %v", err)
	}
}

func TestEndorsementIsCertified(t *testing.T) {
	d := plain(t, software(t))
	ek, err := d.Endorsement()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := tpm2.Unmarshal[tpm2.TPMTPublic](ek)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*pub)
	if err != nil {
		t.Fatal(err)
	}
	root, rootKey := certify(t, "vendor", nil, nil, nil, true)
	good, _ := certify(t, "", key, root, rootKey, false)
	if err := vtpm.CheckEndorsement(ek, good, nil, []*x509.Certificate{root}, snptest.Now); err != nil {
		t.Error(err)
	}
	stranger, _ := certify(t, "vendor", nil, nil, nil, true)
	another, _ := certify(t, "", rootKey.Public(), root, rootKey, false)
	for what, err := range map[string]error{
		"another root": vtpm.CheckEndorsement(ek, good, nil, []*x509.Certificate{stranger}, snptest.Now),
		"another key":  vtpm.CheckEndorsement(ek, another, nil, []*x509.Certificate{root}, snptest.Now),
		"too late":     vtpm.CheckEndorsement(ek, good, nil, []*x509.Certificate{root}, snptest.Now.AddDate(10, 0, 0)),
		"no time":      vtpm.CheckEndorsement(ek, good, nil, []*x509.Certificate{root}, time.Time{}),
		"no usage":     vtpm.CheckEndorsement(ek, root, nil, []*x509.Certificate{root}, snptest.Now),
	} {
		if !errors.Is(err, attest.ErrQuote) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// certify makes a root, or a certificate of an endorsement key with the critical name that vendors give to it.
func certify(t *testing.T, name string, key crypto.PublicKey, issuer *x509.Certificate, by *rsa.PrivateKey, ca bool) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: snptest.Now.AddDate(-1, 0, 0), NotAfter: snptest.Now.AddDate(5, 0, 0),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if ca {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		by, key, issuer = k, k.Public(), template
	} else {
		template.KeyUsage = x509.KeyUsageKeyEncipherment
		template.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}}
		dn, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 1}, Value: "id:00001014"}}})
		if err != nil {
			t.Fatal(err)
		}
		san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: dn}})
		if err != nil {
			t.Fatal(err)
		}
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, by
}

// A TPM in software is made to look as the vTPM of an Azure confidential VM: the key and the report are where the paravisor puts them.
func TestAzuresVTPM(t *testing.T) {
	socket := software(t)
	c := open(t, socket)
	key := persist(t, c)
	a := snptest.New(t, snp.Milan)
	m := a.Machine(t, snp.TCB{Bootloader: 4, SNP: 24, Microcode: 219})
	store(t, c, hcl(t, m, key))
	c.Close()
	d, err := tpm.Azure(open(t, socket))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ev, err := attest.Quote(t.Context(), d, "test", []byte("key"), []byte("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	// The certificate of the processor's key comes from the collateral: the vTPM has none.
	v := vtpm.SNP{Roots: a.Roots(), Collateral: snptest.Source(t, m.Certificate)}
	claims, err := attest.Verifiers{v}.Verify(ev, snptest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if claims.Insecure {
		t.Error("insecure")
	}
	if err := attest.Check(claims, "test", []byte("key"), []byte("nonce"), []coco.Measurement{claims.Measurement}); err != nil {
		t.Error(err)
	}
	d.Close()
	if _, err := tpm.Azure(open(t, software(t))); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("a TPM without key and report: %v", err)
	}
}

func TestThereMayBeNoTPM(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if _, err := tpm.Open(file); !errors.Is(err, coco.ErrNotFound) {
		t.Error(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.Open(file); !errors.Is(err, coco.ErrInvalid) {
		t.Error(err)
	}
}

// persist makes a restricted RSA key where the paravisor has it.
func persist(t *testing.T, c transport.TPM) *rsa.PublicKey {
	t.Helper()
	created, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
			Scheme:  tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgRSASSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, &tpm2.TPMSSigSchemeRSASSA{HashAlg: tpm2.TPMAlgSHA256})},
			KeyBits: 2048,
		}),
	})}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.EvictControl{
		Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: tpm2.PasswordAuth(nil)},
		ObjectHandle:     &tpm2.NamedHandle{Handle: created.ObjectHandle, Name: created.Name},
		PersistentHandle: 0x81000003,
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: created.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	pub, err := created.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*pub)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PublicKey)
}

func hcl(t *testing.T, m *snptest.Machine, key *rsa.PublicKey) []byte {
	t.Helper()
	claims := fmt.Appendf(nil, `{"keys":[{"kid":"HCLAkPub","kty":"RSA","e":"AQAB","n":%q}],"vm-configuration":{"secure-boot":true}}`, base64.RawURLEncoding.EncodeToString(key.N.Bytes()))
	digest := sha256.Sum256(claims)
	r := snptest.Report{}
	copy(r.ReportData[:], digest[:])
	le := binary.LittleEndian
	b := append([]byte("HCLA"), make([]byte, 28)...)
	le.PutUint32(b[12:], 2)
	b = append(b, m.Report(t, r)...)
	for _, v := range []int{20 + len(claims), 1, 2, 1, len(claims)} {
		b = le.AppendUint32(b, uint32(v))
	}
	return append(b, claims...)
}

// store writes the report where the paravisor has it.
func store(t *testing.T, c transport.TPM, report []byte) {
	t.Helper()
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: tpm2.PasswordAuth(nil)}
	_, err := tpm2.NVDefineSpace{AuthHandle: owner, PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
		NVIndex: 0x01400001, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(report)),
		Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true},
	})}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(report); at += 512 {
		read, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(0x01400001)}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tpm2.NVWrite{
			AuthHandle: owner, NVIndex: tpm2.NamedHandle{Handle: 0x01400001, Name: read.NVName},
			Data: tpm2.TPM2BMaxNVBuffer{Buffer: report[at:min(at+512, len(report))]}, Offset: uint16(at),
		}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
	}
}
