package keyfile

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/cocoframework/coco"
)

const (
	plainBlock     = "PRIVATE KEY"
	protectedBlock = "ENCRYPTED PRIVATE KEY"
	// tries is how often a person may type the passphrase of a key.
	tries = 3
	// minPassphrase is the least number of bytes of a new passphrase. Who has the file can try them without being seen.
	minPassphrase = 12
)

// Reader returns the text of a key file, in PEM form, with the key in plain. The caller clears it after use. [Read] and
// [ReadUnattended] are Readers.
type Reader func(file string) ([]byte, error)

// Read reads a key file. If the key is protected, it asks for the passphrase at the program's terminal, three times at most.
// The error is coco.ErrInvalid if there is no terminal, or if no passphrase was right.
func Read(file string) ([]byte, error) { return read(file, openTerminal) }

// ReadUnattended reads a key file that must not be protected, for programs that run where nobody can be asked.
func ReadUnattended(file string) ([]byte, error) {
	return read(file, func() (asker, error) {
		return nil, errors.New("what reads it is a service, which can ask nobody")
	})
}

// asker is a person at a terminal.
type asker interface {
	// ask shows a prompt and returns the line that is typed, which is not shown.
	ask(prompt string) ([]byte, error)
	say(line string)
	Close() error
}

func read(file string, terminal func() (asker, error)) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	for rest := text; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return text, nil // plain, or no key at all: for the caller to parse
		case block.Headers["DEK-Info"] != "":
			return nil, fmt.Errorf("%w: key %s is protected in the form of RFC 1421, which is easily guessed: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW` writes it in the form of PKCS #8", coco.ErrInvalid, file)
		case block.Type == protectedBlock:
			return open(file, block.Bytes, terminal)
		}
	}
}

// open asks for a passphrase until one opens the key.
func open(file string, der []byte, terminal func() (asker, error)) ([]byte, error) {
	p, err := parse(der)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", file, err)
	}
	t, err := terminal()
	if err != nil {
		return nil, fmt.Errorf("%w: key %s is protected by a passphrase, and there is no terminal to ask for it (%w): run the command at a terminal, let another command sign (cmd:COMMAND), or name a key without a passphrase",
			coco.ErrInvalid, file, err)
	}
	defer t.Close()
	for left := tries - 1; ; left-- {
		passphrase, err := t.ask("Passphrase of " + file + ": ")
		if err != nil {
			return nil, fmt.Errorf("%w: passphrase of key %s: %w", coco.ErrInvalid, file, err)
		}
		plain, err := p.open(passphrase)
		clear(passphrase)
		switch {
		case err == nil:
			defer clear(plain)
			return pem.EncodeToMemory(&pem.Block{Type: plainBlock, Bytes: plain}), nil
		case !errors.Is(err, errPassphrase):
			return nil, fmt.Errorf("key %s: %w", file, err)
		case left == 0:
			return nil, fmt.Errorf("%w: wrong passphrase of key %s, %d times: type the one that it was protected with", coco.ErrInvalid, file, tries)
		}
		t.say(fmt.Sprintf("Wrong passphrase: %d more to try", left))
	}
}

// Protect returns a key file's text, which must be one plain key in PKCS #8 form, protected with a passphrase. The error is
// coco.ErrInvalid.
func Protect(text, passphrase []byte) ([]byte, error) {
	plain, err := onlyKey(text)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	if _, err := longEnough(passphrase); err != nil {
		return nil, err
	}
	der, err := encrypt(plain, passphrase)
	if err != nil {
		return nil, fmt.Errorf("protecting a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: protectedBlock, Bytes: der}), nil
}

// CanProtect says why [Protect] would refuse a text, before a person is asked for a passphrase. The error is coco.ErrInvalid.
func CanProtect(text []byte) error {
	plain, err := onlyKey(text)
	clear(plain)
	return err
}

// onlyKey returns the key, in DER, of a text that is one key in PKCS #8 form.
func onlyKey(text []byte) ([]byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != plainBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: expected a file with one PEM block %s and nothing else: `openssl pkcs8 -topk8 -nocrypt` writes other keys in that form", coco.ErrInvalid, plainBlock)
	}
	return block.Bytes, nil
}

// NewPassphrase returns a passphrase for keys: the first line of a file, or if none is named, one that is typed twice at the
// terminal. The caller clears it. The error is coco.ErrInvalid.
func NewPassphrase(file string) ([]byte, error) {
	if file == "" {
		return typeNew(openTerminal)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: passphrase: %w", coco.ErrInvalid, err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return longEnough(bytes.TrimSuffix(line, []byte("\r")))
}

func typeNew(terminal func() (asker, error)) ([]byte, error) {
	t, err := terminal()
	if err != nil {
		return nil, fmt.Errorf("%w: there is no terminal to ask for a passphrase (%w): name a file that holds it with --passphrase-file", coco.ErrInvalid, err)
	}
	defer t.Close()
	for left := tries - 1; ; left-- {
		first, err := t.ask("New passphrase: ")
		if err != nil {
			return nil, fmt.Errorf("%w: new passphrase: %w", coco.ErrInvalid, err)
		}
		_, err = longEnough(first)
		if err == nil {
			var second []byte
			if second, err = t.ask("The same again: "); err != nil {
				return nil, fmt.Errorf("%w: new passphrase: %w", coco.ErrInvalid, err)
			}
			same := bytes.Equal(first, second)
			clear(second)
			if same {
				return first, nil
			}
			err = fmt.Errorf("%w: the two passphrases differ", coco.ErrInvalid)
		}
		clear(first)
		if left == 0 {
			return nil, err
		}
		t.say(err.Error())
	}
}

func longEnough(passphrase []byte) ([]byte, error) {
	if len(passphrase) < minPassphrase {
		return nil, fmt.Errorf("%w: the passphrase has %d bytes, expected at least %d", coco.ErrInvalid, len(passphrase), minPassphrase)
	}
	return passphrase, nil
}
