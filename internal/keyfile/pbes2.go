package keyfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"github.com/cocoframework/coco"
)

const (
	// rounds is how often PBKDF2 hashes: what OWASP's password storage cheat sheet (2023) asks for with HMAC-SHA-256.
	rounds = 600_000
	// maxRounds bounds what a file may ask for: a minute of work or so.
	maxRounds = 50_000_000
	saltSize  = 16
)

// errPassphrase is a passphrase that does not open the key. CBC mode does not tell it from a file that was changed.
var errPassphrase = errors.New("wrong passphrase")

// The object identifiers of RFC 8018, appendix C.
var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958, section 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2Params is PBES2-params (RFC 8018, appendix A.4).
type pbes2Params struct {
	Derivation, Encryption pkix.AlgorithmIdentifier
}

// pbkdf2Params is PBKDF2-params (RFC 8018, appendix A.2) with a salt that is given. Without a PRF it is HMAC-SHA-1.
type pbkdf2Params struct {
	Salt      []byte
	Rounds    int
	KeyLength int                      `asn1:"optional"`
	PRF       pkix.AlgorithmIdentifier `asn1:"optional"`
}

// privateKeyInfo is the beginning of OneAsymmetricKey (RFC 5958, section 2): enough to tell a key from noise.
type privateKeyInfo struct {
	Version   int
	Algorithm pkix.AlgorithmIdentifier
	Key       []byte
}

// encrypt protects a key, a PrivateKeyInfo in DER.
func encrypt(der, passphrase []byte) ([]byte, error) {
	random := make([]byte, saltSize+aes.BlockSize)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	salt, iv := random[:saltSize], random[saltSize:]
	derivation, err := algorithm(oidPBKDF2, pbkdf2Params{
		Salt: salt, Rounds: rounds, PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue},
	})
	if err != nil {
		return nil, err
	}
	encryption, err := algorithm(oidAES256CBC, iv)
	if err != nil {
		return nil, err
	}
	scheme, err := algorithm(oidPBES2, pbes2Params{derivation, encryption})
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(sha256.New, string(passphrase), salt, rounds, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(der)%aes.BlockSize
	data := make([]byte, len(der)+pad)
	copy(data, der)
	for i := len(der); i < len(data); i++ {
		data[i] = byte(pad)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	return asn1.Marshal(encryptedKey{scheme, data})
}

// algorithm makes an AlgorithmIdentifier.
func algorithm(oid asn1.ObjectIdentifier, params any) (pkix.AlgorithmIdentifier, error) {
	der, err := asn1.Marshal(params)
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der}}, err
}

// protected is a key that a passphrase opens.
type protected struct {
	prf    func() hash.Hash
	salt   []byte
	rounds int
	size   int // of the AES key
	iv     []byte
	data   []byte
}

// parse reads an EncryptedPrivateKeyInfo. The error is coco.ErrInvalid.
func parse(der []byte) (*protected, error) {
	unreadable := func(what string) error {
		return fmt.Errorf("%w: a protected key whose %s: expected PKCS #8 by PBES2 with PBKDF2 and AES in CBC mode, as `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes it", coco.ErrInvalid, what)
	}
	var info encryptedKey
	if !whole(der, &info) {
		return nil, unreadable("form is not EncryptedPrivateKeyInfo")
	}
	var scheme pbes2Params
	if !info.Algorithm.Algorithm.Equal(oidPBES2) || !whole(info.Algorithm.Parameters.FullBytes, &scheme) {
		return nil, unreadable("scheme is " + info.Algorithm.Algorithm.String())
	}
	var kdf pbkdf2Params
	if !scheme.Derivation.Algorithm.Equal(oidPBKDF2) || !whole(scheme.Derivation.Parameters.FullBytes, &kdf) {
		return nil, unreadable("key derivation is " + scheme.Derivation.Algorithm.String())
	}
	p := &protected{salt: kdf.Salt, rounds: kdf.Rounds, data: info.Data}
	switch prf := kdf.PRF.Algorithm.String(); prf {
	case "", "1.2.840.113549.2.7":
		p.prf = sha1.New
	case oidHMACSHA256.String():
		p.prf = sha256.New
	case "1.2.840.113549.2.10":
		p.prf = sha512.New384
	case "1.2.840.113549.2.11":
		p.prf = sha512.New
	default:
		return nil, unreadable("pseudorandom function is " + prf)
	}
	switch aes := scheme.Encryption.Algorithm.String(); aes {
	case "2.16.840.1.101.3.4.1.2":
		p.size = 16
	case "2.16.840.1.101.3.4.1.22":
		p.size = 24
	case oidAES256CBC.String():
		p.size = 32
	default:
		return nil, unreadable("encryption is " + aes)
	}
	switch {
	case !whole(scheme.Encryption.Parameters.FullBytes, &p.iv) || len(p.iv) != aes.BlockSize:
		return nil, unreadable("initialization vector is not one block")
	case p.rounds < 1 || p.rounds > maxRounds:
		return nil, unreadable(fmt.Sprintf("key derivation has %d rounds, expected at most %d", p.rounds, maxRounds))
	case kdf.KeyLength != 0 && kdf.KeyLength != p.size:
		return nil, unreadable(fmt.Sprintf("key derivation makes %d bytes, expected %d", kdf.KeyLength, p.size))
	case len(p.data) == 0 || len(p.data)%aes.BlockSize != 0:
		return nil, unreadable("data are no whole blocks")
	}
	return p, nil
}

// whole reads DER that is one value, without anything after it.
func whole(der []byte, into any) bool {
	rest, err := asn1.Unmarshal(der, into)
	return err == nil && len(rest) == 0
}

// open returns the key, a PrivateKeyInfo in DER. The error is errPassphrase.
func (p *protected) open(passphrase []byte) ([]byte, error) {
	key, err := pbkdf2.Key(p.prf, string(passphrase), p.salt, p.rounds, p.size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	data := make([]byte, len(p.data))
	cipher.NewCBCDecrypter(block, p.iv).CryptBlocks(data, p.data)
	n := len(data) - int(data[len(data)-1])
	var info privateKeyInfo
	if n < 0 || n < len(data)-aes.BlockSize || !padded(data[n:]) || !whole(data[:n], &info) {
		clear(data)
		return nil, errPassphrase
	}
	return data[:n], nil
}

// padded reports whether bytes are a padding by RFC 8018, section 6.1.1: each is their number.
func padded(pad []byte) bool {
	for _, b := range pad {
		if int(b) != len(pad) {
			return false
		}
	}
	return len(pad) > 0
}
