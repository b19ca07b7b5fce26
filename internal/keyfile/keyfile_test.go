package keyfile

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
)

const passphrase = "correct horse"

// person types lines, and sees what is shown.
type person struct {
	lines []string
	shown []string
}

func (p *person) ask(prompt string) ([]byte, error) {
	p.shown = append(p.shown, prompt)
	if len(p.lines) == 0 {
		return nil, errors.New("the terminal was closed")
	}
	line := p.lines[0]
	p.lines = p.lines[1:]
	return []byte(line), nil
}
func (p *person) say(line string)          { p.shown = append(p.shown, line) }
func (p *person) Close() error             { return nil }
func (p *person) terminal() (asker, error) { return p, nil }

func noTerminal() (asker, error) { return nil, errors.New("no such device") }

func TestKeysThatOpenSSLProtectedAreRead(t *testing.T) {
	plain, err := os.ReadFile("testdata/plain.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aes-256-cbc", "hmac-sha1", "hmac-sha512"} {
		p := &person{lines: []string{passphrase}}
		got, err := read("testdata/"+name+".pem", p.terminal)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{"scrypt": "key derivation is", "pkcs5v1": "scheme is", "rfc1421": "RFC 1421"} {
		_, err := read("testdata/"+name+".pem", noTerminal)
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "openssl pkcs8 -topk8 -v2 aes-256-cbc") {
			t.Errorf("%s: %v, expected %q and what to do", name, err, want)
		}
	}
}

// newKeys returns an organisation's kinds of keys in PEM form.
func newKeys(t *testing.T) map[string][]byte {
	t.Helper()
	signs, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	opens, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for name, key := range map[string]any{"P-256": signs, "X25519": opens} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = pem.EncodeToMemory(&pem.Block{Type: plainBlock, Bytes: der})
	}
	return out
}

func TestOpenSSLReadsWhatIsProtected(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip(err)
	}
	for name, plain := range newKeys(t) {
		text, err := Protect(plain, []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "key.pem")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := exec.Command(openssl, "pkey", "-in", file, "-passin", "pass:"+passphrase).Output()
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: openssl reads %d bytes, %v", name, len(got), err)
		}
		if exec.Command(openssl, "pkey", "-in", file, "-passin", "pass:"+passphrase+"!").Run() == nil {
			t.Errorf("%s: another passphrase opens it", name)
		}
	}
}

func TestAProtectedKeyIsOpenedByItsPassphraseAlone(t *testing.T) {
	plain := newKeys(t)["X25519"]
	text, err := Protect(plain, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Protect(plain, []byte(passphrase)); err != nil || bytes.Equal(again, text) {
		t.Errorf("protected twice, the text is the same (%v): the salt is not random", err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &person{lines: []string{passphrase}}
	if got, err := read(file, p.terminal); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%v", err)
	}
}

// OpenSSL does not know X-Wing; the form around the key is the same.
func TestAnXWingKeyIsProtected(t *testing.T) {
	key, err := keys.NewMemberKey(keys.XWing)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	text, err := Protect(plain, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &person{lines: []string{"another one", passphrase}}
	got, err := read(file, p.terminal)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := keys.ParseMemberKey(got); err != nil || !bytes.Equal(again.Public(), key.Public()) {
		t.Errorf("another key came back: %v", err)
	}
}

func TestAPassphraseMayBeTypedThreeTimes(t *testing.T) {
	const file = "testdata/hmac-sha1.pem" // of few rounds
	third := &person{lines: []string{"", "Correct horse", passphrase}}
	if _, err := read(file, third.terminal); err != nil {
		t.Errorf("at the third try: %v", err)
	}
	never := &person{lines: []string{"a", "b", "c", passphrase}}
	_, err := read(file, never.terminal)
	if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "wrong passphrase of key "+file) || len(never.lines) != 1 {
		t.Errorf("%v with %d lines left, expected an error after three", err, len(never.lines))
	}
	if got := fmt.Sprint(third.shown, never.shown, err); strings.Contains(got, "orrect horse") {
		t.Errorf("a passphrase is shown: %s", got)
	}
}

func TestWithoutATerminalAProtectedKeyIsRefused(t *testing.T) {
	const file = "testdata/aes-256-cbc.pem"
	for who, reads := range map[string]func() ([]byte, error){
		"without a terminal": func() ([]byte, error) { return read(file, noTerminal) },
		"a service":          func() ([]byte, error) { return ReadUnattended(file) },
	} {
		if _, err := reads(); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "no terminal") || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", who, err)
		}
	}
}

func TestAChangedKeyFileDoesNotOpen(t *testing.T) {
	text, err := Protect(newKeys(t)["P-256"], []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	for cut := range 3 {
		block.Bytes[len(block.Bytes)-1-cut] ^= 1
		if p, err := parse(block.Bytes); err == nil {
			if _, err := p.open([]byte(passphrase)); !errors.Is(err, errPassphrase) {
				t.Errorf("byte %d changed: %v", cut, err)
			}
		}
		block.Bytes[len(block.Bytes)-1-cut] ^= 1
	}
}

func TestANewPassphraseIsTypedTwiceOrReadFromAFile(t *testing.T) {
	good := &person{lines: []string{"short", passphrase, "corect horse", passphrase, passphrase}}
	if got, err := typeNew(good.terminal); err != nil || string(got) != passphrase {
		t.Errorf("typed: %q, %v", got, err)
	}
	if shown := strings.Join(good.shown, "\n"); !strings.Contains(shown, "at least 12") || !strings.Contains(shown, "differ") {
		t.Errorf("shown: %s", shown)
	}
	bad := &person{lines: []string{"a", "b", "c", passphrase, passphrase}}
	if _, err := typeNew(bad.terminal); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("three times too short: %v", err)
	}
	if _, err := typeNew(noTerminal); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "--passphrase-file") {
		t.Errorf("without a terminal: %v", err)
	}
	file := filepath.Join(t.TempDir(), "passphrase")
	for text, ok := range map[string]bool{passphrase: true, passphrase + "\r\nand more": true, passphrase + "\n": true, "": false, "\n" + passphrase: false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := NewPassphrase(file)
		if ok && string(got) != passphrase || !ok && !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("a file of %q: %q, %v", text, got, err)
		}
	}
}

func TestOnlyAPlainKeyAloneIsProtected(t *testing.T) {
	plain := newKeys(t)["P-256"]
	protected, err := os.ReadFile("testdata/aes-256-cbc.pem")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"nothing": nil, "two keys": append(bytes.Clone(plain), plain...), "a protected key": protected} {
		if _, err := Protect(text, []byte(passphrase)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err := CanProtect(text); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file may be anybody's: reading it must end.
func FuzzParse(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.pem")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if block, _ := pem.Decode(text); block != nil {
			f.Add(block.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		p, err := parse(der)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("%v", err)
			}
			return
		}
		p.rounds = 1
		if plain, err := p.open([]byte(passphrase)); err == nil && len(plain) >= len(p.data) {
			t.Errorf("%d bytes of %d", len(plain), len(p.data))
		}
	})
}
