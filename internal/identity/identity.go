// Package identity makes, reads and checks the certificates and key files of an organisation and of
// what it issues:
//
//	org.pem, org-key.pem ──issues──┬── user.pem, user-key.pem     an application's
//	  (in the constitution)        ├── gov.pem, gov-key.pem       for governance (OU "governance")
//	                               └── owner.pem, owner-key.pem   for nodes (OU "nodes"), when it is asked for
//	encryption.pub, encryption.key      what the member's shares of the ledger's secrets are encrypted to
//
// The organisation's certificate is self-signed and is its identity: the SHA-256 of it is its
// [coco.ActorID]. [Dir] names these files in a folder. [Owner] signs with an organisation's key for a node
// that the organisation runs.
//
// Keys are never overwritten, and every file is readable by its owner only.
//
// Trust: host
package identity

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/keys"
)

// Dir is the folder of an organisation, and names its files.
type Dir string

// The organisation's certificate and key, its encryption key, and the certificates and keys that the
// organisation issued: a user's, for applications, and one for governance.
func (d Dir) Org() string        { return filepath.Join(string(d), "org.pem") }
func (d Dir) OrgKey() string     { return filepath.Join(string(d), "org-key.pem") }
func (d Dir) Encryption() string { return filepath.Join(string(d), "encryption.key") }
func (d Dir) EncryptionPublic() string {
	return filepath.Join(string(d), "encryption.pub")
}
func (d Dir) User() string    { return filepath.Join(string(d), "user.pem") }
func (d Dir) UserKey() string { return filepath.Join(string(d), "user-key.pem") }
func (d Dir) Gov() string     { return filepath.Join(string(d), "gov.pem") }
func (d Dir) GovKey() string  { return filepath.Join(string(d), "gov-key.pem") }

// The certificate for nodes, and its key.
func (d Dir) Owner() string    { return filepath.Join(string(d), "owner.pem") }
func (d Dir) OwnerKey() string { return filepath.Join(string(d), "owner-key.pem") }

// Organisation is what a constitution says of an organisation that is a member.
type Organisation struct {
	Certificate   []byte // DER, self-signed
	EncryptionKey []byte // public
}

// Make makes an organisation: its certificate and key, its encryption key, and the certificates that
// it issues, for a user and for governance.
func Make(name string, dir Dir, now time.Time) (Organisation, error) {
	return makeAll(name, dir, now, Choices{Governs: lasting(now)})
}

// Choices are what an organisation may choose about its keys.
type Choices struct {
	Governs    time.Time      // end of the certificate for governance
	Encryption keys.Algorithm // of the encryption key; X-Wing if it is empty
	Passphrase []byte         // protects all private keys, unless it is nil
}

// lasting is when certificates end for which no other end is given.
func lasting(now time.Time) time.Time { return now.AddDate(10, 0, 0) }

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func makeAll(name string, dir Dir, now time.Time, with Choices) (Organisation, error) {
	passphrase := with.Passphrase
	fail := func(err error) (Organisation, error) {
		return Organisation{}, fmt.Errorf("organisation %s: %w", name, err)
	}
	orgKey, org, err := issue(name, purpose{}, nil, nil, now)
	if err != nil {
		return fail(err)
	}
	userKey, user, err := issue(name, forUsers, org, orgKey, now)
	if err != nil {
		return fail(err)
	}
	encryption, err := keys.NewMemberKey(cmp.Or(with.Encryption, keys.XWing))
	if err != nil {
		return fail(err)
	}
	encryptionPEM, err := encryption.PEM()
	if err == nil {
		encryptionPEM, err = protected(encryptionPEM, passphrase)
	}
	if err != nil {
		return fail(err)
	}
	orgKeyPEM, err := keyPEM(orgKey, passphrase)
	if err != nil {
		return fail(err)
	}
	userKeyPEM, err := keyPEM(userKey, passphrase)
	if err != nil {
		return fail(err)
	}
	for _, f := range []file{
		{dir.OrgKey(), orgKeyPEM},
		{dir.Org(), CertificatePEM(org)},
		{dir.UserKey(), userKeyPEM},
		{dir.User(), append(CertificatePEM(user), CertificatePEM(org)...)},
		{dir.Encryption(), encryptionPEM},
	} {
		if err := atomicfile.Write(f.name, f.data); err != nil {
			return fail(err)
		}
	}
	if err := makeUnder(forGovernance, name, dir.Gov(), dir.GovKey(), org, orgKey, now, with.Governs, passphrase); err != nil {
		return fail(err)
	}
	return Organisation{Certificate: org.Raw, EncryptionKey: encryption.Public()}, nil
}

// file is one to be written.
type file struct {
	name string
	data []byte
}

// purpose is what a certificate under an organisation's is for.
type purpose struct {
	title string // the beginning of its common name
	unit  string
	usage x509.ExtKeyUsage
	other asn1.ObjectIdentifier // an extended key usage in place of usage
}

var (
	forGovernance = purpose{title: "governance of ", unit: coco.GovernanceUnit, usage: x509.ExtKeyUsageClientAuth}
	// A certificate for nodes signs a record and authenticates no connection, so its extended key usage is that of RFC 9336: no
	// release takes it for a client's.
	forNodes = purpose{title: "nodes of ", unit: coco.NodesUnit, other: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36}}
	forUsers = purpose{title: "user of ", usage: x509.ExtKeyUsageClientAuth}
)

// subject is the purpose's, of an organisation.
func (p purpose) subject(org string) pkix.Name {
	n := pkix.Name{CommonName: p.title + org, Organization: []string{org}}
	if p.unit != "" {
		n.OrganizationalUnit = []string{p.unit}
	}
	return n
}

// makeUnder issues a certificate for a key that is made if it is missing. The key comes first: a certificate that is
// there has its key. A key that is there without one gets a certificate, and is never replaced.
func makeUnder(p purpose, name, certFile, keyFile string, org *x509.Certificate, orgKey crypto.Signer, now, until time.Time, passphrase []byte) error {
	if until = until.Truncate(time.Second); until.After(org.NotAfter) { // a certificate has whole seconds
		return fmt.Errorf("%w: a certificate until %s: expected an end before that of the organisation's certificate, %s", coco.ErrInvalid, until.UTC().Format(time.DateOnly), org.NotAfter.UTC().Format(time.DateOnly))
	}
	key, err := memberKey(keyFile, passphrase)
	if err != nil {
		return err
	}
	cert, err := certify(name, p, key, org, orgKey, now, until)
	if err != nil {
		return err
	}
	return atomicfile.Write(certFile, append(CertificatePEM(cert), CertificatePEM(org)...))
}

// memberKey returns the key in a file, which is made if it is missing. A passphrase protects the new one.
func memberKey(file string, passphrase []byte) (*ecdsa.PrivateKey, error) {
	text, err := keyfile.Read(file)
	if err == nil {
		defer clear(text)
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%w: %s holds no key in PEM form: put the key back, or move the file away for a new key", coco.ErrInvalid, file)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		key, ok := parsed.(*ecdsa.PrivateKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: %s: expected an ECDSA key, found %T, %v: put the key back, or move the file away for a new key", coco.ErrInvalid, file, parsed, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if text, err = keyPEM(key, passphrase); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	return key, atomicfile.Create(file, text, 0o600)
}

// EnsureGovernance makes a member's certificate for governance if there is none: sandboxes that an older
// program made have none.
func EnsureGovernance(name string, dir Dir, now time.Time) error {
	if missing, err := missing(dir.Gov()); err != nil || !missing {
		return err
	}
	owner, err := LoadOwner(dir.Org(), dir.OrgKey(), keyfile.Read)
	if err == nil {
		err = makeUnder(forGovernance, name, dir.Gov(), dir.GovKey(), owner.cert, owner.key, now, earlier(lasting(now), owner.cert.NotAfter), nil)
	}
	if err != nil {
		return fmt.Errorf("certificate for governance of %s: %w", name, err)
	}
	return nil
}

// EnsureUser makes the certificate of a member's application if there is none, as when it was deleted for a new one. A
// key that is there is kept.
func EnsureUser(name string, dir Dir, now time.Time) error {
	if missing, err := missing(dir.User()); err != nil || !missing {
		return err
	}
	if err := makeUser(name, dir, now); err != nil {
		return fmt.Errorf("certificate of the user of %s: %w", name, err)
	}
	return nil
}

func makeUser(name string, dir Dir, now time.Time) error {
	owner, err := LoadOwner(dir.Org(), dir.OrgKey(), keyfile.Read)
	if err != nil {
		return err
	}
	return makeUnder(forUsers, name, dir.User(), dir.UserKey(), owner.cert, owner.key, now, earlier(lasting(now), owner.cert.NotAfter), nil)
}

// missing reports whether there is no file of that name. A link that leads nowhere is an error: what it led to may
// come back, and must not be replaced.
func missing(file string) (bool, error) {
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%w: %s is a link to something that is not there: mend the link, or remove it for a new file", coco.ErrInvalid, file)
	}
	return false, err
}

// CheckNew fails with coco.ErrInvalid if a folder for keys exists.
func CheckNew(dir string) error {
	_, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = fmt.Errorf("%w: %s exists: name a new folder; keys are never overwritten", coco.ErrInvalid, dir)
	}
	return err
}

// New makes an organisation in a folder that must not exist yet; see [Dir] for the files.
// The certificate for governance is valid until its chosen end; the others last 10 years.
func New(name, dir string, now time.Time, with Choices) error {
	if err := CheckNew(dir); err != nil {
		return err
	}
	m, err := makeAll(name, Dir(dir), now, with)
	if err != nil {
		return err
	}
	text, err := keys.MarshalPublicKey(m.EncryptionKey)
	if err != nil {
		return err
	}
	return atomicfile.Write(Dir(dir).EncryptionPublic(), text)
}

// NewGovernance makes one more certificate for governance, in a folder that must not exist yet, issued with
// the key of the organisation in another folder. A passphrase, unless it is nil, protects its key.
func NewGovernance(name, org, dir string, now, until time.Time, passphrase []byte) error {
	return newUnder(forGovernance, name, org, dir, Dir(dir).Gov(), Dir(dir).GovKey(), now, until, passphrase)
}

// NewOwner makes a certificate for nodes, as NewGovernance does: with it the organisation's nodes run, while the organisation's
// own key stays offline.
func NewOwner(name, org, dir string, now, until time.Time, passphrase []byte) error {
	return newUnder(forNodes, name, org, dir, Dir(dir).Owner(), Dir(dir).OwnerKey(), now, until, passphrase)
}

func newUnder(p purpose, name, org, dir, certFile, keyFile string, now, until time.Time, passphrase []byte) error {
	if err := CheckNew(dir); err != nil {
		return err
	}
	owner, err := LoadOwner(Dir(org).Org(), Dir(org).OrgKey(), keyfile.Read)
	if err != nil {
		return err
	}
	return makeUnder(p, name, certFile, keyFile, owner.cert, owner.key, now, until, passphrase)
}

// issue makes a key and a certificate for it; without an issuer, the self-signed certificate of an
// organisation.
func issue(org string, p purpose, issuer *x509.Certificate, issuerKey crypto.Signer, now time.Time) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	cert, err := certify(org, p, key, issuer, issuerKey, now, lasting(now))
	return key, cert, err
}

// certify makes a certificate for a key.
func certify(org string, p purpose, key *ecdsa.PrivateKey, issuer *x509.Certificate, issuerKey crypto.Signer, now, until time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: p.subject(org),
		NotBefore: now.Add(-time.Hour), NotAfter: until,
		BasicConstraintsValid: true,
	}
	if issuer == nil {
		issuer, issuerKey = tmpl, key
		tmpl.IsCA = true
		tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	} else {
		tmpl.KeyUsage = x509.KeyUsageDigitalSignature
		if p.other != nil {
			tmpl.UnknownExtKeyUsage = []asn1.ObjectIdentifier{p.other}
		} else {
			tmpl.ExtKeyUsage = []x509.ExtKeyUsage{p.usage}
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, key.Public(), issuerKey)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", org, err)
	}
	return x509.ParseCertificate(der)
}

// CertificatePEM returns a certificate in PEM form.
func CertificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// keyPEM returns a private key in PEM form. A passphrase, unless it is nil, protects it.
func keyPEM(key *ecdsa.PrivateKey, passphrase []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	return protected(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), passphrase)
}

// protected protects the text of a key file, unless the passphrase is nil.
func protected(text, passphrase []byte) ([]byte, error) {
	if passphrase == nil {
		return text, nil
	}
	defer clear(text)
	return keyfile.Protect(text, passphrase)
}
