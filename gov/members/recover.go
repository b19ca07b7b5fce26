package members

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/succession"
)

// Recovered is what a recovery after which members vote to open the network writes, beside the node that recovers and an epoch.
type Recovered struct {
	Service    []byte           // the certificate of the new service, DER; it follows the one before
	ServiceKey keys.SecretBytes // for a private table
	Last       coco.TxID        // the last transaction before
	Root       coco.Digest      // of the Merkle tree up to it
}

// WriteRecovery gives the network its new service, and closes it until members open it. It MUST come before RecoverNode in the same transaction, because the new service
// endorses the node. It needs rules 3.
func WriteRecovery(tx *store.Tx, node coco.NodeID, r Recovered) error {
	c, err := table.LoadCore(tx)
	if err != nil {
		return err
	}
	old, err := table.ServiceCertificate(tx)
	if err != nil {
		return err
	}
	before, _, err := table.NewestRecovery(tx)
	if err != nil {
		return err
	}
	rec := table.RecoveryRecord{
		Number: before.Number + 1, Since: tx.Seqno(), Time: tx.Time(), Node: node, View: r.Last.View, Last: r.Last.Seqno, Root: r.Root, Old: old,
	}
	if err := CheckRecovered(c.Rules, old, r.Service, &rec); err != nil {
		return err
	}
	tx.Put(table.ServiceTable, []byte(table.CertificateKey), bytes.Clone(r.Service))
	tx.Put(table.SecretsTable, []byte(table.ServiceKeyRow), bytes.Clone(r.ServiceKey))
	return table.PutRecovery(tx, rec)
}

// CheckRecovered checks the record of a recovery, given the certificates of the service before and after. The error is coco.ErrInvalid or coco.ErrVerify.
func CheckRecovered(rules uint64, old, service []byte, rec *table.RecoveryRecord) error {
	if rules < 3 {
		return fmt.Errorf("%w: by rules %d a recovered network goes on at once, under the same service", coco.ErrInvalid, rules)
	}
	if _, err := ParseService(service); err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(service)
	if err != nil {
		return fmt.Errorf("%w: service certificate: not X.509: %w", coco.ErrInvalid, err)
	}
	s, _, err := succession.Follows(cert)
	switch {
	case err != nil:
		return err
	case s == nil || !bytes.Equal(s.Old, old) || !bytes.Equal(rec.Old, old):
		return fmt.Errorf("%w: recovery %d: the new service does not follow the one before", coco.ErrVerify, rec.Number)
	case s.TxID() != rec.LastTx() || s.Root != rec.Root:
		return fmt.Errorf("%w: recovery %d: the new service follows the one before from transaction %s on, expected %s", coco.ErrVerify, rec.Number, s.TxID(), rec.LastTx())
	case rec.Opened != 0 || rec.Proposal != (coco.Digest{}):
		return fmt.Errorf("%w: recovery %d is open before members have voted", coco.ErrInvalid, rec.Number)
	}
	_, err = succession.Chain(cert)
	return err
}

// checkOpen refuses a node while members have yet to open the network that they recovered. The error is a *Refusal.
func checkOpen(r store.Reader, rec *table.NodeRecord) error {
	closed, err := table.Closed(r)
	if err == nil && closed {
		err = refuse(rec, NotOpen, "members have recovered the network, and have yet to open it: it admits nodes once they have voted open-network")
	}
	return err
}
