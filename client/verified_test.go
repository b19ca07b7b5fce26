package client

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
)

// claim encodes one operation of a write's claims.
func claim(kind byte, key, value, media string) []byte {
	b := append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(key))), key...)
	b = append(b, make([]byte, 8)...)
	if kind != 2 {
		sum := sha256.Sum256([]byte(value))
		b = append(b, sum[:]...)
	}
	if kind == 3 {
		b = append(append(b, byte(len(media))), media...)
	}
	return b
}

// What a transaction leaves under a key is what its last operation on the key has put. Claims that end early or late prove nothing.
func TestClaimsProveWhatATransactionLeft(t *testing.T) {
	actor, other := coco.ActorID{1}, coco.ActorID{2}
	head := func(n uint32) []byte {
		return binary.BigEndian.AppendUint32(append([]byte("coco kv write\x00\x01"), actor[:]...), n)
	}
	limited := func(n uint32) []byte {
		b := slices.Concat([]byte("coco kv write\x00\x02\x02"), actor[:], other[:], actor[:])
		return binary.BigEndian.AppendUint32(b, n)
	}
	put, old, gone := claim(3, "k", "v", "text/plain"), claim(3, "k", "w", "text/plain"), claim(2, "k", "", "")
	for name, x := range map[string]struct {
		claims   []byte
		audience []coco.ActorID
		user     string
		proves   bool
	}{
		"one put":                    {slices.Concat(head(1), put), nil, "", true},
		"a user's":                   {slices.Concat(head(1), put, []byte("\x03kim")), nil, "kim", true},
		"the last of two":            {slices.Concat(head(2), old, put), nil, "", true},
		"beside another key":         {slices.Concat(head(2), put, claim(1, "l", "w", "")), nil, "", true},
		"an audience":                {slices.Concat(limited(1), put), []coco.ActorID{other, actor}, "", true},
		"overwritten":                {slices.Concat(head(2), put, old), nil, "", false},
		"deleted":                    {slices.Concat(head(2), put, gone), nil, "", false},
		"another media type":         {slices.Concat(head(1), claim(1, "k", "v", "")), nil, "", false},
		"another audience":           {slices.Concat(limited(1), put), []coco.ActorID{actor}, "", false},
		"everybody":                  {slices.Concat(limited(1), put), nil, "", false},
		"no audience":                {slices.Concat(head(1), put), []coco.ActorID{actor}, "", false},
		"another ledger's":           {[]byte("coco kw write\x00\x01"), nil, "", false},
		"a later form":               {slices.Concat([]byte("coco kv write\x00\x03"), actor[:]), nil, "", false},
		"a kind that is not there":   {slices.Concat(head(2), put, claim(4, "l", "w", "")), nil, "", false},
		"fewer operations than told": {slices.Concat(head(2), put), nil, "", false},
		"a user of more bytes":       {slices.Concat(head(1), put, []byte("\x04kim")), nil, "", false},
		"more behind the user":       {slices.Concat(head(1), put, []byte("\x03kimm")), nil, "", false},
	} {
		by, user, err := provesPut(x.claims, "k", x.audience, "text/plain", []byte("v"))
		if (err == nil) != x.proves || x.proves && (by != actor || user != x.user) {
			t.Errorf("%s: by %s, user %q, %v", name, by.Short(), user, err)
		}
		if x.proves {
			for n := range x.claims {
				if _, _, err := provesPut(x.claims[:n], "k", x.audience, "text/plain", []byte("v")); err == nil && !(x.user != "" && n == len(x.claims)-4) {
					t.Errorf("%s: the first %d bytes prove it", name, n)
				}
			}
		}
	}
}
