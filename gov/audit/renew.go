package audit

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// renewed follows a renewal of a node's certificate; ok is false if the row says something else.
func (a *Auditor) renewed(rec table.NodeRecord, w store.Write) (ok bool, err error) {
	old, known := a.nodes[rec.ID]
	if !known || old.State != table.Trusted || rec.State != table.Trusted {
		return false, nil
	}
	before := old.Certificate
	old.Certificate = rec.Certificate
	expected, err := canon.Marshal(old)
	if err != nil || !bytes.Equal(expected, w.Value) || !bytes.Equal(w.Key, rec.ID[:]) {
		return false, err
	}
	if err := members.CheckRenewedNode(a.service, before, &rec); err != nil {
		return false, err
	}
	a.putNode(rec)
	return true, nil
}

// applyService follows a renewal of the service's certificate.
func (a *Auditor) applyService(rows []store.Write) error {
	for _, w := range rows {
		if string(w.Key) != table.CertificateKey {
			return fmt.Errorf("an unknown row %q of %s", w.Key, table.ServiceTable)
		}
		if err := members.CheckRenewedService(a.service, w.Value); err != nil {
			return err
		}
		a.service = bytes.Clone(w.Value)
	}
	return nil
}
