// Package erase keeps secrets from staying in memory once they are of no use.
//
// Go's collector frees memory and does not clear it: a secret stays in a dead object, or in a dead frame of a stack, until something else is written there. So what
// holds a secret here is cleared by who used it last. Value clears an object whose fields are another package's, such as the key schedule in a cipher.AEAD. HKDF and MAC
// are those of RFC 5869 and RFC 2104 with SHA-256, written so that nothing of the key is left: those of the standard library leave it in the buffers of their hashes. Do
// runs a function that handles secrets, and clears the stack that it used.
//
// Built with GOEXPERIMENT=runtimesecret (Go 1.26, linux on amd64 and arm64), Do is runtime/secret.Do: registers are cleared as well, and whatever the function has allocated, in
// any package, is cleared by the collector as soon as it is unreachable. That is the one way to clear what the standard library makes of a key, as crypto/hpke does. Without
// it, Do clears the stack alone.
//
// A stack that grows, or that the collector shrinks, leaves its old place as it was. So a secret stands on the heap, where it is cleared, and is passed by pointer, while its goroutine does I/O or waits.
//
// What none of this clears: what the operating system has written out (an enclave's memory is encrypted there), and registers that were saved when a goroutine was
// interrupted, in a build without that experiment.
//
// Trust: either
package erase

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"hash"
	"reflect"
	"runtime"
)

// Value clears the object that p points to, but nothing that the object points to. It MUST NOT be in use.
func Value(p any) {
	v := reflect.ValueOf(p)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic("erase: not a pointer to an object")
	}
	v.Elem().SetZero()
	runtime.KeepAlive(p)
}

// AEAD returns AES-256-GCM under a key of 32 bytes, of which no other copy is left than those in the key and in the AEAD; Value clears the latter.
func AEAD(key []byte) cipher.AEAD {
	if len(key) != 32 {
		panic("erase: expected a key of 32 bytes")
	}
	var aead cipher.AEAD
	Do(func() {
		block, err := aes.NewCipher(key)
		if err != nil {
			panic(err) // only for a wrong length of the key
		}
		if aead, err = cipher.NewGCM(block); err != nil {
			panic(err) // only for a block size that is not AES'
		}
		Value(block) // the AEAD has a copy
	})
	return aead
}

// HKDF derives 32 bytes from a secret: HKDF-SHA256, RFC 5869.
func HKDF(secret, salt []byte, info string) (out [32]byte) {
	Do(func() {
		m := NewMAC(salt)
		m.Write(secret)
		prk := m.sum()
		m.Erase()
		m = NewMAC(prk[:])
		m.Write([]byte(info))
		m.Write([]byte{1})
		out = m.sum()
		m.Erase()
		clear(prk[:])
	})
	return out
}

// MAC is HMAC-SHA256, RFC 2104.
type MAC struct {
	inner, outer hash.Hash
	pad          [sha256.BlockSize]byte // the key, XORed with that of the inner hash
	work         [sha256.BlockSize]byte
}

// The bytes that the key is XORed with.
const (
	innerPad = 0x36
	outerPad = 0x5c
)

// NewMAC returns a MAC under a key of at most 64 bytes. It is to be erased.
func NewMAC(key []byte) *MAC {
	if len(key) > sha256.BlockSize {
		panic("erase: a key of more than 64 bytes")
	}
	m := &MAC{inner: sha256.New(), outer: sha256.New()}
	copy(m.pad[:], key)
	for i := range m.pad {
		m.pad[i] ^= innerPad
	}
	m.Reset()
	return m
}

// Reset begins another message.
func (m *MAC) Reset() {
	m.inner.Reset()
	m.inner.Write(m.pad[:])
}

// Write adds to the message. It never fails. What it is given stays on its caller's stack if it is there: what the hash is given, behind its interface, is work.
func (m *MAC) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := copy(m.work[:], rest)
		m.inner.Write(m.work[:n])
		rest = rest[n:]
	}
	return len(b), nil
}

// Sum appends the MAC of the message, after which Reset MUST be called.
func (m *MAC) Sum(b []byte) []byte {
	sum := m.sum()
	return append(b, sum[:]...)
}

// sum returns the MAC. The hashes are behind an interface, so what they write to is on the heap: it is work, which Erase clears, and not the result.
func (m *MAC) sum() [sha256.Size]byte {
	for i := range m.work {
		m.work[i] = m.pad[i] ^ innerPad ^ outerPad
	}
	m.outer.Reset()
	m.outer.Write(m.work[:])
	m.inner.Sum(m.work[:0])
	m.outer.Write(m.work[:sha256.Size])
	m.outer.Sum(m.work[:0])
	return [sha256.Size]byte(m.work[:sha256.Size])
}

// Erase clears the key, and what was made of it. The MAC is of no use afterwards.
func (m *MAC) Erase() {
	Value(m.inner)
	Value(m.outer)
	clear(m.pad[:])
	clear(m.work[:])
}

// Stack clears what functions that have returned have left on the calling goroutine's stack. It is for a goroutine that is about to wait, after it has handled a secret with what Do MUST NOT run: I/O, and
// whatever starts goroutines.
//
//go:noinline
func Stack() {
	var b [used]byte
	touch(&b)
}

// used is up to how much of a stack the functions here use, in bytes.
const used = 8 << 10

//go:noinline
func touch(b *[used]byte) { clear(b[:]) }
