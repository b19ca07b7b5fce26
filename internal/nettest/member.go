package nettest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
)

// Member is an organisation with its keys. It implements join.Owner.
type Member struct {
	Name  string
	Cert  []byte // DER, an authority of its own; valid for 30 years before and after now, because clocks jump
	Key   *ecdsa.PrivateKey
	Share *keys.MemberKey
}

var _ join.Owner = (*Member)(nil)

// NewMember makes an organisation.
func NewMember(name string) (*Member, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{name}},
		NotBefore: now.AddDate(-30, 0, 0), NotAfter: now.AddDate(30, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	share, err := keys.GenerateMemberKey()
	if err != nil {
		return nil, err
	}
	return &Member{Name: name, Cert: der, Key: key, Share: share}, nil
}

// Actor returns the id of an organisation whose first certificate this is.
func (m *Member) Actor() coco.ActorID { return sha256.Sum256(m.Cert) }

// Certificates implements join.Owner.
func (m *Member) Certificates() [][]byte { return [][]byte{m.Cert} }

// Sign implements join.Owner.
func (m *Member) Sign(_ context.Context, tuple []byte) ([]byte, error) {
	d := sha256.Sum256(tuple)
	return ecdsa.SignASN1(rand.Reader, m.Key, d[:])
}

// Entry returns the member as a constitution lists it.
func (m *Member) Entry() constitution.Member {
	return constitution.Member{Name: m.Name, Certificate: m.Cert, EncryptionKey: m.Share.Public()}
}
