package reach

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/succession"
)

func TestWhatTheNodesSayMustAgree(t *testing.T) {
	at := func(id, constitution byte) *Identity {
		return &Identity{ID: coco.Digest{id}, Constitution: coco.Digest{constitution}, Peers: []Peer{{Address: "there:8000"}}}
	}
	for name, c := range map[string]struct {
		first, second *Identity
		ok            bool
	}{
		"the first":            {nil, at(1, 1), true},
		"the same":             {at(1, 1), at(1, 1), true},
		"another network":      {at(1, 1), at(2, 1), false},
		"another constitution": {at(1, 1), at(1, 2), false},
	} {
		err := sameIdentity(c.first, c.second, nil)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was approved is the service from before a recovery: the network is no other one, and the error says what to accept.
func TestANodeOfARecoveredNetworkIsNotCalledAnotherNetworks(t *testing.T) {
	oldKey, old := service(t, nil)
	last := coco.TxID{View: 2, Seqno: 17}
	_, next := service(t, func(public []byte) pkix.Extension {
		follows, err := succession.New(old, oldKey, public, last, coco.Digest{})
		if err != nil {
			t.Fatal(err)
		}
		return follows
	})
	_, other := service(t, nil)
	got := &Identity{ServiceCertificate: next, Peers: []Peer{{Address: "there:8000"}}}
	var successor *client.SuccessorError
	if err := sameIdentity(nil, got, old); !errors.As(err, &successor) || !errors.Is(err, coco.ErrVerify) || successor.Last != last {
		t.Errorf("with the service before: %v", err)
	}
	if err := sameIdentity(nil, got, other); !errors.Is(err, coco.ErrVerify) || errors.As(err, &successor) {
		t.Errorf("with another network's: %v", err)
	}
	if err := sameIdentity(nil, got, next); err != nil {
		t.Errorf("with its own: %v", err)
	}
}

func service(t *testing.T, follows func(public []byte) pkix.Extension) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "service"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if follows != nil {
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		template.ExtraExtensions = []pkix.Extension{follows(public)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}
