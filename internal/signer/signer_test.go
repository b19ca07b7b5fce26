package signer

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

// The test binary is its own external signer: with COCO_SIGN_WITH it signs what comes on its standard
// input with the key in that file.
func TestMain(m *testing.M) {
	if file := os.Getenv("COCO_SIGN_WITH"); file != "" {
		os.Exit(sign(file))
	}
	os.Exit(m.Run())
}

func sign(file string) int {
	message, err := io.ReadAll(bufio.NewReader(os.Stdin))
	data, err2 := os.ReadFile(file)
	if err != nil || err2 != nil {
		_, _ = os.Stderr.WriteString("no key in " + file)
		return 1
	}
	key, err := ParsePrivate(data)
	if err != nil {
		return 1
	}
	var opts crypto.SignerOpts = crypto.SHA256
	if _, ok := key.(ed25519.PrivateKey); ok {
		opts = crypto.Hash(0)
	}
	signature, err := crypto.SignMessage(key, rand.Reader, message, opts)
	if err != nil {
		return 1
	}
	_, _ = os.Stdout.Write(signature)
	return 0
}

// selfSigned writes a key and a self-signed certificate into a folder.
func selfSigned(t *testing.T, key crypto.Signer) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "someone"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "a cert.pem"), filepath.Join(dir, "a key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAFileAndACommandSignAlike(t *testing.T) {
	key := ecKey(t)
	certFile, keyFile := selfSigned(t, key)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("COCO_SIGN_WITH", keyFile) // for the command
	digest := sha256.Sum256([]byte("message"))
	for _, spec := range []string{keyFile, "file:" + keyFile, `cmd:"` + exe + `" 'an argument'`} {
		id, err := Load(certFile, spec)
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		signature, err := id.Sign(context.Background(), []byte("message"))
		if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			t.Errorf("%s: %x, %v", spec, signature, err)
		}
		handshake(t, id)
	}
}

// handshake makes sure that the identity authenticates by TLS 1.3.
func handshake(t *testing.T, id *Identity) {
	t.Helper()
	serverCert, serverKey := selfSigned(t, ecKey(t))
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	server := tls.Server(a, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert})
	client := tls.Client(b, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Certificates: []tls.Certificate{*id.TLS()}})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	cerr := client.Handshake()
	go func() { _, _ = io.Copy(io.Discard, client) }()
	if err := errors.Join(cerr, <-done); err != nil {
		t.Errorf("handshake: %v", err)
	} else if got := server.ConnectionState().PeerCertificates[0]; !got.Equal(id.Chain[0]) {
		t.Errorf("the server saw %v", got.Subject)
	}
	b.Close()
}

func TestAnEd25519KeySigns(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := selfSigned(t, key)
	id, err := Load(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := id.Sign(context.Background(), []byte("message"))
	if err != nil || !ed25519.Verify(public, []byte("message"), signature) {
		t.Errorf("%x, %v", signature, err)
	}
	handshake(t, id)
}

func TestWhatCannotSignIsRefused(t *testing.T) {
	certFile, keyFile := selfSigned(t, ecKey(t))
	_, other := selfSigned(t, ecKey(t))
	for _, tc := range []struct{ cert, key, want string }{
		{certFile, other, "is not the key of the certificate"},
		{certFile, certFile, "expected a PEM block PRIVATE KEY"},
		{certFile, "cmd:", "expected a command"},
		{certFile, `cmd:openssl "dgst`, "a quote"},
		{certFile, "pkcs11:token", "no PKCS #11 driver"},
		{certFile, "", "no key"},
		{keyFile, keyFile, "expected certificates"},
	} {
		if _, err := Load(tc.cert, tc.key); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q with %q: %v, expected coco.ErrInvalid and %q", tc.cert, tc.key, err, tc.want)
		}
	}
}

func TestACommandThatFailsSaysWhy(t *testing.T) {
	certFile, _ := selfSigned(t, ecKey(t))
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("COCO_SIGN_WITH", filepath.Join(t.TempDir(), "missing"))
	id, err := Load(certFile, `cmd:"`+exe+`"`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := id.Sign(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "no key in") {
		t.Errorf("found %v, expected what the command says", err)
	} else if !errors.Is(id.Key.Err(), err) {
		t.Errorf("the key remembers %v", id.Key.Err())
	}
}

func TestCommandsAreSplitWithoutAShell(t *testing.T) {
	for _, tc := range []struct {
		command string
		want    []string
	}{
		{"a b\tc", []string{"a", "b", "c"}},
		{` a  "b c" 'd "e"' f"g h"`, []string{"a", "b c", `d "e"`, "fg h"}},
		{`a ""`, []string{"a", ""}},
		{"a $(b) ; c", []string{"a", "$(b)", ";", "c"}},
	} {
		if got, err := Split(tc.command); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, %v, expected %q", tc.command, got, err, tc.want)
		}
	}
}
