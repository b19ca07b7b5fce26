package client

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/succession"
)

func TestAClientOfARecoveredNetworkLearnsWhatToCheck(t *testing.T) {
	old, next, other := newAuthority(t, "service"), newAuthority(t, "service"), newAuthority(t, "service")
	public, err := x509.MarshalPKIXPublicKey(next.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	last := coco.TxID{View: 2, Seqno: 17}
	follows, err := succession.New(old.cert, old.key, public, last, coco.Digest{})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: next.cert.Subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, ExtraExtensions: []pkix.Extension{follows},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, next.key.Public(), next.key)
	if err != nil {
		t.Fatal(err)
	}
	if next.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, next, "", func(n *node) { n.cert.Certificate = append(n.cert.Certificate, next.cert.Raw) })
	ask := func(service *x509.Certificate) error {
		p := policy()
		p.Service = service
		_, err := newClient(t, Config{Addr: n.addr, Policy: p}).Status(t.Context())
		return err
	}
	before := n.requests.Load()
	var successor *SuccessorError
	if err := ask(old.cert); !errors.As(err, &successor) || !errors.Is(err, coco.ErrVerify) || successor.Last != last || !successor.New.Equal(next.cert) {
		t.Errorf("with the old service: %v", err)
	}
	if err := ask(other.cert); !errors.Is(err, coco.ErrVerify) || errors.As(err, &successor) {
		t.Errorf("with a service that the new one does not follow: %v", err)
	}
	if n.requests.Load() != before {
		t.Error("a node of a service that is not accepted was asked")
	}
	if err := ask(next.cert); err != nil {
		t.Errorf("with the new service: %v", err)
	}
}
