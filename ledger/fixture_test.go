package ledger_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"io"
	mrand "math/rand/v2"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

// signer is a node's key as the tests use it.
type signer struct {
	*ecdsa.PrivateKey
	id coco.NodeID
}

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := signer{PrivateKey: key}
	s.id = s.nodeID()
	return s
}

func (s signer) nodeID() coco.NodeID {
	der, err := x509.MarshalPKIXPublicKey(&s.PublicKey)
	if err != nil {
		panic(err)
	}
	return sha256.Sum256(der)
}

// makeRecords returns records of about size bytes, the same for the same seed.
func makeRecords(seed uint64, n, size int) []batch.Record {
	src := mrand.NewChaCha8([32]byte{1, byte(seed), byte(seed >> 8)})
	part := func(n int) []byte {
		b := make([]byte, n)
		src.Read(b)
		return b
	}
	records := make([]batch.Record, n)
	for i := range records {
		records[i] = batch.Record{Public: part(size / 5), Private: part(size * 3 / 5), Claims: part(size / 5)}
	}
	return records
}

// deterministic signs as RFC 6979 says, so that a batch can be compared with recorded bytes.
type deterministic struct{ *ecdsa.PrivateKey }

func (d deterministic) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.PrivateKey.Sign(nil, digest, opts)
}
