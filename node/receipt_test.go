package node_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/receipt"
)

// The last transaction of a network that is idle has a receipt at once, from every node, and each node says under its own key that
// the batch is committed.
func TestEachNodeSignsThatWhatItGivesAReceiptOfIsCommitted(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		id, err := put(n.client(0, 0), "k", "v")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // until all have applied it
		service := n.serviceCertificate()
		for i := range 3 {
			r := n.receipt(i, id.String())
			if err := r.Verify(service, receipt.Options{}); err != nil || !r.ProvesCommit() {
				t.Errorf("from %s: %v", hostName(i), err)
			}
			cert, err := x509.ParseCertificate(r.CommitCertificate)
			if err != nil {
				t.Fatal(err)
			}
			if by, is := channel.KeyID(cert.RawSubjectPublicKeyInfo), n.Node(i).Info().ID; by != is {
				t.Errorf("from %s, node %s: the commit is signed by node %s", hostName(i), is.Short(), by.Short())
			}
		}
	})
}
