// Package signer is a key for people who sign on a command line: in a file, or behind a command that
// they name, which may reach a hardware token, a service, or a colleague.
//
// A key is named by a text:
//
//	file:PATH     a private key in PEM form (PKCS #8, or SEC 1); a text without a scheme is a path. The passphrase
//	              of a protected one is asked for at the terminal (package keyfile)
//	cmd:COMMAND   a command that gets the bytes to sign on its standard input and writes the
//	              signature to its standard output
//
// The command signs a message, and hashes it itself: with SHA-256 for a key on P-256, SHA-384 on P-384,
// not at all for Ed25519. An ECDSA signature is in ASN.1 form, as OpenSSL and PKCS #11 tools write it
// for a file. The command is split at blanks, quotes keep words together, and no shell is involved.
//
// The same key authenticates to a node by TLS, so such a command may run twice: once for the handshake
// and once for the statement.
//
// Trust: host
package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
)

// patience bounds how long a command may take: a person may have to type a PIN.
const patience = 2 * time.Minute

// maxSignature bounds what is read of a command.
const maxSignature = 4096

// Key signs messages. It is a crypto.MessageSigner, so it can stand in a tls.Certificate.
type Key struct {
	public  crypto.PublicKey
	private crypto.Signer // nil for a command
	command []string
	failed  atomic.Pointer[error] // the last error
}

// Err returns why the key last failed to sign; nil if it did not. A TLS handshake tells it as text only.
// A caller should not try again by itself: a token counts wrong PINs.
func (k *Key) Err() error {
	if err := k.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Open opens the key of a public key. The error is coco.ErrInvalid if they do not belong together.
func Open(spec string, public crypto.PublicKey) (*Key, error) {
	k := &Key{public: public}
	if _, err := k.hash(); err != nil {
		return nil, err
	}
	scheme, rest, ok := strings.Cut(spec, ":")
	switch {
	case ok && scheme == "cmd":
		var err error
		if k.command, err = Split(rest); err != nil {
			return nil, fmt.Errorf("%w: key %q: %w", coco.ErrInvalid, spec, err)
		}
		return k, nil
	case ok && scheme == "file":
		return k, k.load(rest)
	case ok && scheme == "pkcs11":
		return nil, fmt.Errorf("%w: key %q: this program has no PKCS #11 driver of its own: name a tool that has one, such as cmd:\"pkcs11-tool --sign …\"; see docs/governance.md", coco.ErrInvalid, spec)
	case spec == "":
		return nil, fmt.Errorf("%w: no key: expected file:PATH or cmd:COMMAND", coco.ErrInvalid)
	}
	return k, k.load(spec)
}

// load reads a private key and compares it with the public one.
func (k *Key) load(path string) error {
	data, err := keyfile.Read(path)
	if err != nil {
		return err
	}
	defer clear(data)
	if k.private, err = ParsePrivate(data); err != nil {
		return fmt.Errorf("key %s: %w", path, err)
	}
	if same, ok := k.private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(k.public) {
		return fmt.Errorf("%w: key %s is not the key of the certificate", coco.ErrInvalid, path)
	}
	return nil
}

// ParsePrivate reads a private key in PEM form, which is not protected.
func ParsePrivate(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%w: expected a private key in PEM form", coco.ErrInvalid)
	}
	defer clear(block.Bytes)
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%w: expected a PEM block PRIVATE KEY or EC PRIVATE KEY, found %s", coco.ErrInvalid, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a %T cannot sign", coco.ErrInvalid, key)
	}
	return signer, nil
}

// Public implements crypto.Signer.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer. A command cannot sign a digest.
func (k *Key) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.private == nil {
		return nil, fmt.Errorf("%w: a command signs messages, not digests", coco.ErrInvalid)
	}
	return k.private.Sign(random, digest, opts)
}

// SignMessage implements crypto.MessageSigner: for a handshake and for certificate requests.
func (k *Key) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	own, err := k.hash()
	if err != nil {
		return nil, err
	}
	if h := opts.HashFunc(); h != own {
		return nil, fmt.Errorf("%w: a signature over %v is asked for, the key signs over %v", coco.ErrInvalid, h, own)
	}
	return k.SignBytes(context.Background(), message)
}

// SignBytes signs a message with the hash of the key's kind.
func (k *Key) SignBytes(ctx context.Context, message []byte) ([]byte, error) {
	if k.private == nil {
		signature, err := k.run(ctx, message)
		if err != nil {
			k.failed.Store(&err)
		}
		return signature, err
	}
	h, err := k.hash()
	if err != nil {
		return nil, err
	}
	return crypto.SignMessage(k.private, rand.Reader, message, h)
}

// hash is the one that goes with the key; 0 for Ed25519.
func (k *Key) hash() (crypto.Hash, error) {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return crypto.SHA256, nil
		case elliptic.P384():
			return crypto.SHA384, nil
		}
	case ed25519.PublicKey:
		return 0, nil
	}
	return 0, fmt.Errorf("%w: a key of type %T: expected ECDSA on P-256 or P-384, or Ed25519", coco.ErrInvalid, k.public)
}

// run lets the command sign.
func (k *Key) run(ctx context.Context, message []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it took longer than %v", patience))
	defer cancel()
	cmd := exec.CommandContext(ctx, k.command[0], k.command[1:]...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(message), &limited{&out, maxSignature}, &limited{&problems, maxSignature}
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err == nil && out.Len() == 0 {
		err = errors.New("it wrote no signature to its standard output")
	}
	if err != nil {
		return nil, fmt.Errorf("signing by %q: %w%s", k.command[0], err, said(problems.String()))
	}
	return out.Bytes(), nil
}

func said(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return "; it says: " + text
}

// limited writes at most so many bytes.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, fmt.Errorf("%w: more than %d bytes of output", coco.ErrInvalid, maxSignature)
	}
	l.left -= len(p)
	return l.to.Write(p)
}

// Split splits a command at blanks. Quotes, single or double, keep a word together.
func Split(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quote := false, rune(0)
	for _, c := range command {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == ' ' || c == '\t':
			if in {
				words, in = append(words, word.String()), false
				word.Reset()
			}
		default:
			word.WriteRune(c)
			in = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is open", quote)
	}
	if in {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errors.New("expected a command, found nothing")
	}
	return words, nil
}

// Identity is a key with its certificates: it signs statements (package gov/envelope) and authenticates by TLS.
type Identity struct {
	Key   *Key
	Chain []*x509.Certificate // the key's own first
}

// Load reads a file of certificates, the key's own first, and opens the key.
func Load(certFile, key string) (*Identity, error) {
	chain, err := identity.ReadChain(certFile)
	if err != nil {
		return nil, err
	}
	k, err := Open(key, chain[0].PublicKey)
	if err != nil {
		return nil, err
	}
	return &Identity{k, chain}, nil
}

// Certificates implements envelope.Signer.
func (i *Identity) Certificates() [][]byte {
	out := make([][]byte, len(i.Chain))
	for k, c := range i.Chain {
		out[k] = c.Raw
	}
	return out
}

// Sign implements envelope.Signer.
func (i *Identity) Sign(ctx context.Context, tbs []byte) ([]byte, error) {
	return i.Key.SignBytes(ctx, tbs)
}

// TLS returns the identity as a client shows it.
func (i *Identity) TLS() *tls.Certificate {
	return &tls.Certificate{Certificate: i.Certificates(), PrivateKey: i.Key, Leaf: i.Chain[0]}
}
