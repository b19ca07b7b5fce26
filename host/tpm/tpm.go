// Package tpm makes evidence with the machine's TPM, and answers challenges with it.
//
//	Plain   any TPM 2.0: a key that the TPM derives from its endorsement seed, the same after every start, signs the registers
//	Azure   the vTPM of an Azure confidential VM: the paravisor's own key signs, and its HCL report comes along
//
// What the evidence is worth is for package attest/vtpm to say, on other machines.
//
// Trust: host
package tpm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/vtpm"
	"github.com/cocoframework/coco/host"
)

// DefaultPath is where Linux has a TPM that several programs share.
const DefaultPath = "/dev/tpmrm0"

// Places in the vTPM of an Azure confidential VM.
const (
	azureKey    = tpm2.TPMHandle(0x81000003)
	azureReport = tpm2.TPMHandle(0x01400001)
)

// Device is a TPM that makes evidence. It implements host.Quoter.
type Device struct {
	platform string

	mu     sync.Mutex // a TPM does one thing at a time
	tpm    transport.TPMCloser
	key    tpm2.NamedHandle
	public []byte // TPMT_PUBLIC of the key
	flush  bool   // the key is to be taken out of the TPM again
}

var _ host.Quoter = (*Device)(nil)

// Plain takes a TPM. It closes the TPM if it fails.
func Plain(t transport.TPMCloser) (*Device, error) {
	created, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(keyTemplate)}.Execute(t)
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("make an attestation key in the TPM: %w", err)
	}
	pub, err := created.OutPublic.Contents()
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("attestation key of the TPM: %w", err)
	}
	return &Device{
		platform: vtpm.PlatformTPM, tpm: t, public: tpm2.Marshal(pub), flush: true,
		key: tpm2.NamedHandle{Handle: created.ObjectHandle, Name: created.Name},
	}, nil
}

// Azure takes the vTPM of an Azure confidential VM. It closes the TPM if it fails. The error wraps coco.ErrNotFound if the TPM is another one.
func Azure(t transport.TPMCloser) (*Device, error) {
	read, err := tpm2.ReadPublic{ObjectHandle: azureKey}.Execute(t)
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("%w: the TPM has no key %#x, which the vTPM of an Azure confidential VM has: %w", coco.ErrNotFound, uint32(azureKey), err)
	}
	pub, err := read.OutPublic.Contents()
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("attestation key of the vTPM: %w", err)
	}
	d := &Device{platform: vtpm.PlatformSNP, tpm: t, public: tpm2.Marshal(pub), key: tpm2.NamedHandle{Handle: azureKey, Name: read.Name}}
	if _, err := d.hcl(); err != nil {
		t.Close()
		return nil, err
	}
	return d, nil
}

// Close gives the TPM back.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.flush {
		_, _ = tpm2.FlushContext{FlushHandle: d.key.Handle}.Execute(d.tpm)
	}
	return d.tpm.Close()
}

// Platform implements host.Quoter.
func (d *Device) Platform() string { return d.platform }

// Key returns the public part (TPMT_PUBLIC) of the attestation key.
func (d *Device) Key() []byte { return bytes.Clone(d.public) }

// Quote implements host.Quoter. The last 32 bytes of the report data MUST be zero: a TPM signs no longer nonce.
func (d *Device) Quote(ctx context.Context, reportData [host.ReportDataSize]byte) ([]byte, error) {
	if [32]byte(reportData[32:]) != ([32]byte{}) {
		return nil, fmt.Errorf("%w: report data whose last 32 bytes are not zero: a TPM signs only the first 32", coco.ErrInvalid)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q, err := d.quote(ctx, reportData[:32])
	if err != nil {
		return nil, err
	}
	if d.platform == vtpm.PlatformTPM {
		return vtpm.TPMEvidence{Key: d.public, Quote: q}.Encode()
	}
	report, err := d.hcl()
	if err != nil {
		return nil, err
	}
	return vtpm.SNPEvidence{HCL: report, Quote: q, Table: []byte{}}.Encode()
}

// quoteTries bounds how often a quote is made anew because a register changed between the quote and its reading.
const quoteTries = 5

func (d *Device) quote(ctx context.Context, nonce []byte) (vtpm.Quote, error) {
	for range quoteTries {
		if err := ctx.Err(); err != nil {
			return vtpm.Quote{}, err
		}
		signed, err := tpm2.Quote{
			SignHandle:     tpm2.AuthHandle{Handle: d.key.Handle, Name: d.key.Name, Auth: tpm2.PasswordAuth(nil)},
			QualifyingData: tpm2.TPM2BData{Buffer: nonce},
			InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			PCRSelect:      selection(all()...),
		}.Execute(d.tpm)
		if err != nil {
			return vtpm.Quote{}, fmt.Errorf("quote of the TPM: %w", err)
		}
		message, err := signed.Quoted.Contents()
		if err != nil {
			return vtpm.Quote{}, fmt.Errorf("quote of the TPM: %w", err)
		}
		info, err := message.Attested.Quote()
		if err != nil {
			return vtpm.Quote{}, fmt.Errorf("quote of the TPM: %w", err)
		}
		q := vtpm.Quote{Message: tpm2.Marshal(message), Signature: tpm2.Marshal(signed.Signature)}
		if q.PCRs, err = d.registers(); err != nil {
			return vtpm.Quote{}, err
		}
		h := sha256.New()
		for _, v := range q.PCRs {
			h.Write(v)
		}
		if bytes.Equal(h.Sum(nil), info.PCRDigest.Buffer) {
			return q, nil
		}
	}
	return vtpm.Quote{}, fmt.Errorf("%w: quote of the TPM: its registers changed during each of %d tries", coco.ErrBusy, quoteTries)
}

// all are the registers of a static boot. Those above belong to debuggers and late launches.
func all() []int {
	var n []int
	for i := range 16 {
		n = append(n, i)
	}
	return n
}

func selection(registers ...int) tpm2.TPMLPCRSelection {
	mask := make([]byte, 3)
	for _, i := range registers {
		mask[i/8] |= 1 << (i % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: mask}}}
}

// registers reads the registers, one at a time: a TPM may return fewer than it is asked for.
func (d *Device) registers() ([][]byte, error) {
	var values [][]byte
	for _, i := range all() {
		read, err := tpm2.PCRRead{PCRSelectionIn: selection(i)}.Execute(d.tpm)
		if err != nil {
			return nil, fmt.Errorf("register %d of the TPM: %w", i, err)
		}
		if len(read.PCRValues.Digests) != 1 {
			return nil, fmt.Errorf("register %d of the TPM: it has no bank SHA-256", i)
		}
		values = append(values, read.PCRValues.Digests[0].Buffer)
	}
	return values, nil
}

// hcl reads the report that the paravisor has put into the vTPM.
func (d *Device) hcl() ([]byte, error) {
	report, err := d.stored(azureReport)
	if err != nil {
		return nil, fmt.Errorf("%w: the TPM has no HCL report at %#x: this is no Azure confidential VM: %w", coco.ErrNotFound, uint32(azureReport), err)
	}
	return report, nil
}

// Endorsement returns the public part (TPMT_PUBLIC) of the TPM's endorsement key, by the TCG's template for RSA 2048, which is what vendors certify.
func (d *Device) Endorsement() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, public, done, err := d.endorsement()
	if err != nil {
		return nil, err
	}
	done()
	return public, nil
}

func (d *Device) endorsement() (key tpm2.NamedHandle, public []byte, done func(), err error) {
	created, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.RSAEKTemplate)}.Execute(d.tpm)
	if err != nil {
		return key, nil, nil, fmt.Errorf("endorsement key of the TPM: %w", err)
	}
	done = func() { _, _ = tpm2.FlushContext{FlushHandle: created.ObjectHandle}.Execute(d.tpm) }
	pub, err := created.OutPublic.Contents()
	if err != nil {
		done()
		return key, nil, nil, fmt.Errorf("endorsement key of the TPM: %w", err)
	}
	return tpm2.NamedHandle{Handle: created.ObjectHandle, Name: created.Name}, tpm2.Marshal(pub), done, nil
}

// Answer opens a challenge for this TPM and its attestation key.
func (d *Device) Answer(blob, seed []byte) (secret []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ek, _, done, err := d.endorsement()
	if err != nil {
		return nil, err
	}
	defer done()
	opened, err := tpm2.ActivateCredential{
		ActivateHandle: tpm2.AuthHandle{Handle: d.key.Handle, Name: d.key.Name, Auth: tpm2.PasswordAuth(nil)},
		KeyHandle:      tpm2.AuthHandle{Handle: ek.Handle, Name: ek.Name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, endorsementPolicy)},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: blob},
		Secret:         tpm2.TPM2BEncryptedSecret{Buffer: seed},
	}.Execute(d.tpm)
	if err != nil {
		return nil, fmt.Errorf("open a challenge in the TPM: %w", err)
	}
	return opened.CertInfo.Buffer, nil
}

// endorsementPolicy is what the TCG's template for endorsement keys demands: the authority over the endorsement hierarchy.
func endorsementPolicy(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicySecret{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Name: tpm2.HandleName(tpm2.TPMRHEndorsement), Auth: tpm2.PasswordAuth(nil)},
		NonceTPM:   nonce, PolicySession: session,
	}.Execute(t)
	return err
}

// keyTemplate is the attestation key of a plain TPM: ECDSA on P-256, restricted to what the TPM itself says.
var keyTemplate = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgECC,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true,
	},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Scheme:  tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
		CurveID: tpm2.TPMECCNistP256,
	}),
	// The unique part is an input of the derivation: keys of other programs are others.
	Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: unique()}, Y: tpm2.TPM2BECCParameter{Buffer: make([]byte, 32)}}),
}

func unique() []byte {
	d := sha256.Sum256([]byte("coco attestation key"))
	return d[:]
}
