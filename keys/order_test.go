package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"testing"
)

// An exchange with any private key finds a point of small order: the shared secret is zero, which the library refuses. The list
// must find the same ones.
func TestThePointsOfSmallOrderAreThoseThatAnExchangeRefuses(t *testing.T) {
	probe, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	same := func(public []byte) (small bool) {
		t.Helper()
		key, err := ecdh.X25519().NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		_, refused := probe.ECDH(key)
		if err := CheckPublicKey(public); (err != nil) != (refused != nil) {
			t.Errorf("%x: %v, and an exchange says %v", public, err, refused)
		}
		return refused != nil
	}
	for _, u := range smallOrder {
		for _, last := range []byte{0, 0x80} {
			public := []byte(u)
			public[31] |= last
			if !same(public) {
				t.Errorf("%x is not of small order", public)
			}
		}
	}
	for _, first := range []int{0, 0xe0} { // the neighbours of small numbers, and of p
		for i := range 256 {
			small, large := make([]byte, 32), bytes.Repeat([]byte{0xff}, 32)
			small[0], large[0], large[31] = byte(i), byte(first+i), 0x7f
			same(small)
			same(large)
		}
	}
	for range 200 {
		public := make([]byte, 32)
		_, _ = rand.Read(public)
		if same(public) {
			t.Errorf("%x is of small order", public)
		}
	}
}
