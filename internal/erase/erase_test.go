package erase_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco/internal/erase"
)

func TestHKDFAndMACAreThoseOfTheStandards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 32, 64).Draw(t, "secret")
		salt := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "salt")
		info := rapid.String().Draw(t, "info")
		want, err := hkdf.Key(sha256.New, secret, salt, info, 32)
		if err != nil {
			t.Fatal(err)
		}
		if got := erase.HKDF(secret, salt, info); !bytes.Equal(got[:], want) {
			t.Errorf("HKDF gives %x, expected %x", got, want)
		}
		m := erase.NewMAC(salt)
		defer m.Erase()
		for _, text := range []string{info, "", "again"} {
			h := hmac.New(sha256.New, salt)
			h.Write([]byte(text))
			m.Reset()
			m.Write([]byte(text))
			if got, want := m.Sum(nil), h.Sum(nil); !bytes.Equal(got, want) {
				t.Errorf("MAC %x, expected %x", got, want)
			}
		}
	})
}

// What a MAC gives, a derived key for instance, is in no memory but the caller's: what is allocated on the way would stay.
func TestAMACIsMadeWithoutMemoryThatStays(t *testing.T) {
	m := erase.NewMAC(make([]byte, 32))
	defer m.Erase()
	out := make([]byte, 0, 32)
	if n := testing.AllocsPerRun(100, func() {
		m.Reset()
		m.Write(out)
		m.Sum(out)
	}); n != 0 {
		t.Errorf("a MAC allocates %v times, expected never", n)
	}
}

func TestWhatIsErasedIsZero(t *testing.T) {
	key := make([]byte, 32)
	rand.Read(key)
	aead := erase.AEAD(key)
	sealed := aead.Seal(nil, make([]byte, 12), []byte("text"), nil)
	if _, err := aead.Open(nil, make([]byte, 12), sealed, nil); err != nil {
		t.Fatal(err)
	}
	object := reflect.ValueOf(aead).Elem()
	if object.IsZero() || object.Type().Size() < 240 {
		t.Fatalf("the AEAD is %d bytes: its keys are elsewhere, and Value does not clear them", object.Type().Size())
	}
	erase.Value(aead)
	if !object.IsZero() {
		t.Error("something of the AEAD is left")
	}
}
