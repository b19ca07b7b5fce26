package sandbox

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/keys"
)

// makeMember makes an organisation: its certificate and key, its encryption key, and a user whose
// certificate it issues.
func makeMember(name string, dir MemberDir, now time.Time) (gov.Member, error) {
	fail := func(err error) (gov.Member, error) {
		return gov.Member{}, fmt.Errorf("organisation %s: %w", name, err)
	}
	orgKey, org, err := issue(name, pkix.Name{CommonName: name, Organization: []string{name}}, nil, nil, now)
	if err != nil {
		return fail(err)
	}
	userKey, user, err := issue(name, pkix.Name{CommonName: "user of " + name, Organization: []string{name}}, org, orgKey, now)
	if err != nil {
		return fail(err)
	}
	encryption, err := keys.GenerateMemberKey()
	if err != nil {
		return fail(err)
	}
	encryptionPEM, err := encryption.PEM()
	if err != nil {
		return fail(err)
	}
	orgKeyPEM, err := keyPEM(orgKey)
	if err != nil {
		return fail(err)
	}
	userKeyPEM, err := keyPEM(userKey)
	if err != nil {
		return fail(err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{dir.OrgKey(), orgKeyPEM},
		{dir.Org(), certPEM(org)},
		{dir.UserKey(), userKeyPEM},
		{dir.User(), append(certPEM(user), certPEM(org)...)},
		{dir.Encryption(), encryptionPEM},
	} {
		if err := writeFile(f.name, f.data); err != nil {
			return fail(err)
		}
	}
	return gov.Member{Name: name, Certificate: org.Raw, EncryptionKey: encryption.Public()}, nil
}

// issue makes a key and a certificate for it; without an issuer, the self-signed certificate of an
// organisation.
func issue(org string, subject pkix.Name, issuer *x509.Certificate, issuerKey crypto.Signer, now time.Time) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		BasicConstraintsValid: true,
	}
	if issuer == nil {
		issuer, issuerKey = tmpl, key
		tmpl.IsCA = true
		tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	} else {
		tmpl.KeyUsage = x509.KeyUsageDigitalSignature
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, key.Public(), issuerKey)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", org, err)
	}
	cert, err := x509.ParseCertificate(der)
	return key, cert, err
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// UserCertificate returns the identity of a member's user.
func UserCertificate(m Member) (*tls.Certificate, error) {
	dir := MemberDir(m.Dir)
	cert, err := tls.LoadX509KeyPair(dir.User(), dir.UserKey())
	if err != nil {
		return nil, fmt.Errorf("%w: user of %s: %w", coco.ErrInvalid, m.Name, err)
	}
	return &cert, nil
}

// Owner signs for the organisation that runs a node. It lives in the node's process, outside of
// what a TEE would protect; a real owner keeps this key elsewhere.
type Owner struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// LoadOwner reads an organisation's certificate and key.
func LoadOwner(certFile, keyFile string) (*Owner, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%w: owner's certificate and key: %w", coco.ErrInvalid, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s: expected an ECDSA key, found %T", coco.ErrInvalid, keyFile, pair.PrivateKey)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, certFile, err)
	}
	return &Owner{cert, key}, nil
}

// Actor is the organisation's identity.
func (o *Owner) Actor() coco.ActorID { return sha256.Sum256(o.cert.Raw) }

// Certificates returns the certificate of the key that signs, followed by its issuers up to the
// organisation's: here the two are one.
func (o *Owner) Certificates() [][]byte { return [][]byte{o.cert.Raw} }

// Sign signs the bytes that bind a node to its owner.
func (o *Owner) Sign(_ context.Context, tuple []byte) ([]byte, error) {
	digest := sha256.Sum256(tuple)
	return ecdsa.SignASN1(rand.Reader, o.key, digest[:])
}

// String keeps the key out of logs.
func (o *Owner) String() string { return "owner " + o.cert.Subject.String() }

// Load reads the member's identity and its private encryption key.
func (m MemberKey) Load() (coco.ActorID, *keys.MemberKey, error) {
	cert, err := readPEM(m.Certificate)
	if err != nil {
		return coco.ActorID{}, nil, err
	}
	data, err := os.ReadFile(m.Key)
	if err != nil {
		return coco.ActorID{}, nil, err
	}
	key, err := keys.ParseMemberKey(data)
	if err != nil {
		return coco.ActorID{}, nil, fmt.Errorf("%s: %w", m.Key, err)
	}
	return sha256.Sum256(cert.Raw), key, nil
}

// accountCount is how many funded accounts a network has.
const accountCount = 10

// makeAccounts makes fresh accounts. Well-known development keys would be convenient and are
// therefore watched by thieves: funds sent to them on any real network are gone.
func makeAccounts() ([]Account, error) {
	accounts := make([]Account, accountCount)
	for i := range accounts {
		key, err := ethcrypto.GenerateKey()
		if err != nil {
			return nil, fmt.Errorf("account key: %w", err)
		}
		accounts[i] = Account{
			Address: ethcrypto.PubkeyToAddress(key.PublicKey).Hex(),
			Key:     hexutil.Encode(ethcrypto.FromECDSA(key)),
		}
	}
	return accounts, nil
}

// makeChainID draws a chain id that is no public network's: those registered are far below, and
// tools hold chain ids in 32-bit signed numbers or compute 2·id+36 with them.
func makeChainID() (uint64, error) {
	const low, high = 1 << 29, 1<<30 - 64
	n, err := rand.Int(rand.Reader, big.NewInt(high-low))
	if err != nil {
		return 0, fmt.Errorf("chain id: %w", err)
	}
	return low + n.Uint64(), nil
}

// makeToken makes the control endpoint's bearer token.
func makeToken() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// readPEM reads one certificate.
func readPEM(name string) (*x509.Certificate, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%w: %s: expected one certificate in PEM form", coco.ErrInvalid, name)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, name, err)
	}
	return cert, nil
}
