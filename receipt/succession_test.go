package receipt_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/succession"
)

// successor is a service that follows the network's, which was recovered up to a transaction.
func (n *network) successor(t *testing.T, last coco.TxID) (*x509.Certificate, deterministic) {
	t.Helper()
	key := testKey(t, "second service key")
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	follows, err := succession.New(n.service, testKey(t, "service key"), public, last, coco.Digest{1})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(8), Subject: pkix.Name{CommonName: "service"}, NotBefore: notBefore, NotAfter: notAfter, BasicConstraintsValid: true,
		IsCA: true, KeyUsage: x509.KeyUsageCertSign, ExtraExtensions: []pkix.Extension{follows},
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestReceiptsOfTheTimeBeforeARecoveryVerifyWithTheNewService(t *testing.T) {
	n := newNetwork(t, 3, 4)
	last := n.receipt(t, 3).TxID
	service, key := n.successor(t, last)
	made := n.receipt(t, 2) // before the recovery
	if err := made.Verify(service, receipt.Options{}); err != nil {
		t.Errorf("a receipt that was made before: %v", err)
	}
	// One that a node makes after the recovery, of a batch from before.
	n.commit = certificate(t, "node after", testKey(t, "other node key").Public(), service, key)
	old := n.service
	n.service = service
	later := n.receipt(t, 2)
	if err := later.Verify(service, receipt.Options{}); err != nil {
		t.Errorf("a receipt that was made after: %v", err)
	}
	if err := later.Verify(old, receipt.Options{}); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "members have recovered the network") {
		t.Errorf("with the certificate of the old service: %v", err)
	}
}

// The old service's key may be elsewhere, too: in a network that went on from the same ledger. What it signed after the last transaction that was recovered is none of this one.
func TestWhatTheOldServiceSignedAfterARecoveryIsRefused(t *testing.T) {
	n := newNetwork(t, 3, 4)
	id := n.receipt(t, 1).TxID
	for name, last := range map[string]coco.TxID{"an earlier transaction": {View: id.View, Seqno: id.Seqno - 1}, "an earlier view": {View: id.View - 1, Seqno: id.Seqno}} {
		service, _ := n.successor(t, last)
		if err := n.receipt(t, 1).Verify(service, receipt.Options{}); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "counts up to transaction "+last.String()) {
			t.Errorf("recovered up to %s: %v", name, err)
		}
	}
	foreign := certificate(t, "service", testKey(t, "third service key").Public(), nil, testKey(t, "third service key"))
	if err := n.receipt(t, 1).Verify(foreign, receipt.Options{}); !errors.Is(err, coco.ErrVerify) || strings.Contains(err.Error(), "recovered") {
		t.Errorf("a service that follows none: %v", err)
	}
}
