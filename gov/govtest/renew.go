package govtest

import (
	"crypto/x509"

	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// Renewed makes the certificates that a year later would be right.
func (n *Network) Renewed(rec table.NodeRecord) (node, service []byte) {
	n.T.Helper()
	old, err := x509.ParseCertificate(rec.Certificate)
	if err != nil {
		n.T.Fatal(err)
	}
	if node, err = n.Service.Renew(old, n.Now); err != nil {
		n.T.Fatal(err)
	}
	if service, err = n.Service.RenewSelf(n.Now); err != nil {
		n.T.Fatal(err)
	}
	return node, service
}

// Try runs a transaction that leaves nothing.
func (n *Network) Try(do func(*store.Tx) error) error {
	tx := n.Store.Begin(2, uint64(n.Now.UnixMilli())).Begin()
	defer tx.Abort()
	return do(tx)
}

// AuditWith audits the ledger with one more transaction at its end.
func (n *Network) AuditWith(write func(*store.Tx), signer table.NodeRecord) error {
	n.T.Helper()
	set := n.Store.Begin(2, uint64(n.Now.UnixMilli()))
	tx := set.Begin()
	write(tx)
	tx.Commit()
	more := *n
	more.Records = append(append([]store.Record{}, n.Records...), set.Records()...)
	more.Times = append(append([]uint64{}, n.Times...), set.Time())
	signers := make([]table.NodeRecord, len(more.Records))
	for i := range signers {
		signers[i] = signer
	}
	return Audit(audit.New(audit.Config{}), more.Batches(signers...), false)
}
