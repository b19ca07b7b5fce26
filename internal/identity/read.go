package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/keys"
)

// MemberKey names the files of a member that can open its shares of the ledger's secrets.
type MemberKey struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
}

// Load reads the member's identity and its private encryption key, in the process of a node that recovers, where nobody can
// be asked for a passphrase.
func (m MemberKey) Load() (coco.ActorID, *keys.MemberKey, error) {
	cert, err := ReadCertificate(m.Certificate)
	if err != nil {
		return coco.ActorID{}, nil, err
	}
	key, err := ReadMemberKey(m.Key, keyfile.ReadUnattended)
	if err != nil {
		return coco.ActorID{}, nil, err
	}
	return sha256.Sum256(cert.Raw), key, nil
}

// ReadMemberKey reads a private encryption key.
func ReadMemberKey(file string, read keyfile.Reader) (*keys.MemberKey, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	key, err := keys.ParseMemberKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// ReadCertificate reads a file that holds one certificate and nothing else.
func ReadCertificate(name string) (*x509.Certificate, error) {
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

// ReadChain reads the certificates of a PEM file, at least one, in their order. It passes over blocks of other kinds.
func ReadChain(file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	var chain []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, file, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%w: %s: expected certificates in PEM form", coco.ErrInvalid, file)
	}
	return chain, nil
}

// ReadLeaf reads the first certificate of a PEM file; its issuers may follow.
func ReadLeaf(file string) (*x509.Certificate, error) {
	chain, err := ReadChain(file)
	if err != nil {
		return nil, err
	}
	return chain[0], nil
}

// LoadPair reads a certificate, followed by its issuers, and its key.
func LoadPair(certFile, keyFile string, read keyfile.Reader) (tls.Certificate, error) {
	chain, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := read(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	defer clear(key)
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s with %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// UserCertificate reads the certificate, with its key, of an organisation's application.
func (d Dir) UserCertificate() (*tls.Certificate, error) {
	cert, err := LoadPair(d.User(), d.UserKey(), keyfile.Read)
	if err != nil {
		return nil, fmt.Errorf("%w: user in %s: %w", coco.ErrInvalid, d, err)
	}
	return &cert, nil
}
