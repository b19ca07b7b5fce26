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
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/keys"
)

// makeMember makes an organisation: its certificate and key, its encryption key, and the certificates that
// it issues, for a user and for governance.
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
	for _, f := range []file{
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
	if err := makeGovernance(name, dir, org, orgKey, now); err != nil {
		return fail(err)
	}
	return gov.Member{Name: name, Certificate: org.Raw, EncryptionKey: encryption.Public()}, nil
}

// file is one to be written.
type file struct {
	name string
	data []byte
}

// makeGovernance issues a member's certificate for governance. The key comes first: a certificate that is
// there has its key.
func makeGovernance(name string, dir MemberDir, org *x509.Certificate, orgKey crypto.Signer, now time.Time) error {
	subject := pkix.Name{CommonName: "governance of " + name, Organization: []string{name}, OrganizationalUnit: []string{coco.GovernanceUnit}}
	key, cert, err := issue(name, subject, org, orgKey, now)
	if err != nil {
		return err
	}
	text, err := keyPEM(key)
	if err != nil {
		return err
	}
	if err := writeFile(dir.GovKey(), text); err != nil {
		return err
	}
	return writeFile(dir.Gov(), append(certPEM(cert), certPEM(org)...))
}

// ensureGovernance makes a member's certificate for governance if there is none: sandboxes that an older
// program made have none.
func ensureGovernance(name string, dir MemberDir, now time.Time) error {
	if _, err := os.Stat(dir.Gov()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	owner, err := LoadOwner(dir.Org(), dir.OrgKey())
	if err == nil {
		err = makeGovernance(name, dir, owner.cert, owner.key, now)
	}
	if err != nil {
		return fmt.Errorf("certificate for governance of %s: %w", name, err)
	}
	return nil
}

// NewMember makes an organisation in a folder that must not exist yet; see [MemberDir] for the files.
func NewMember(name, dir string, now time.Time) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%w: %s exists: name a new folder; keys are never overwritten", coco.ErrInvalid, dir)
		}
		return err
	}
	m, err := makeMember(name, MemberDir(dir), now)
	if err != nil {
		return err
	}
	text, err := keys.MarshalPublicKey(m.EncryptionKey)
	if err != nil {
		return err
	}
	return writeFile(MemberDir(dir).EncryptionPublic(), text)
}

// NewGovernance makes one more certificate for governance, in a folder that must not exist yet, issued with
// the key of the organisation in another folder.
func NewGovernance(name, org, dir string, now time.Time) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%w: %s exists: name a new folder; keys are never overwritten", coco.ErrInvalid, dir)
		}
		return err
	}
	owner, err := LoadOwner(MemberDir(org).Org(), MemberDir(org).OrgKey())
	if err != nil {
		return err
	}
	return makeGovernance(name, MemberDir(dir), owner.cert, owner.key, now)
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
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // from cert to the organisation's, which the constitution lists
}

// LoadOwner reads the certificate and key by which an organisation signs for a node. The organisation's own
// certificate is the file's only one, or follows the one that it issued.
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
	return &Owner{cert, key, pair.Certificate}, nil
}

// Actor is the organisation's identity.
func (o *Owner) Actor() coco.ActorID { return sha256.Sum256(o.chain[len(o.chain)-1]) }

// Certificates returns the certificate of the key that signs, followed by its issuers up to the
// organisation's. In a sandbox the two are one.
func (o *Owner) Certificates() [][]byte { return o.chain }

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
