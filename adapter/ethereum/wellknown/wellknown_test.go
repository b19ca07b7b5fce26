package wellknown

import (
	"encoding/hex"
	"testing"
)

// Test vector 1 of BIP-32: its chains m, m/0' and m/0'/1.
func TestChildKeysAreThoseOfBIP32(t *testing.T) {
	seed, _ := hex.DecodeString("000102030405060708090a0b0c0d0e0f")
	k := splitKey([]byte("Bitcoin seed"), seed)
	check := func(want string) {
		t.Helper()
		if got := hex.EncodeToString(k.key[:]); got != want {
			t.Errorf("key %s, want %s", got, want)
		}
	}
	check("e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35")
	var err error
	if k, err = k.child(1 << 31); err != nil {
		t.Fatal(err)
	}
	check("edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea")
	if k, err = k.child(1); err != nil {
		t.Fatal(err)
	}
	check("3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368")
}
