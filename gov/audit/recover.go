package audit

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// recoverers says whether a transaction with these writes begins a recovery after which the network is closed, or claims to.
func recoverers(byTable map[string][]store.Write) bool {
	return len(byTable[table.RecoveriesTable]) > 0 && !decides(byTable)
}

// recovery follows the transaction by which a recovered network gets its new service. That its node is the only one that is left, endRecovery says.
func (a *Auditor) recovery(seqno, now uint64, byTable map[string][]store.Write) error {
	rows, services := byTable[table.RecoveriesTable], byTable[table.ServiceTable]
	if !a.first || len(rows) != 1 || len(services) != 1 || len(byTable[table.EpochsTable]) != 1 || string(services[0].Key) != table.CertificateKey {
		return fmt.Errorf("a recovery with %d records, %d services and %d epochs, expected one each, in the first transaction of a batch", len(rows), len(services), len(byTable[table.EpochsTable]))
	}
	rec, err := table.Decode[table.RecoveryRecord](table.RecoveriesTable, bytes.Clone(rows[0].Value), 2*table.MaxServiceBytes)
	if err != nil {
		return err
	}
	before, _, err := table.NewestRecovery(a.Tables())
	if err != nil {
		return err
	}
	expected := table.RecoveryRecord{
		Number: before.Number + 1, Since: seqno, Time: now, Node: rec.Node, View: rec.View, Last: seqno - 1, Root: rec.Root, Old: a.service,
	}
	if a.view != 0 { // the batch is known, and the one before it
		expected.View, expected.Root = a.applied.header.View, a.applied.header.Root
	}
	b, err := canon.Marshal(expected)
	if err != nil {
		return err
	}
	if !bytes.Equal(rows[0].Key, table.NumberKey(expected.Number)) || !bytes.Equal(rows[0].Value, b) {
		return fmt.Errorf("recovery %d is not the one that follows from the ledger: expected it after transaction %s with root %s, found %s with %s",
			rec.Number, expected.LastTx(), expected.Root.Short(), rec.LastTx(), rec.Root.Short())
	}
	if err := members.CheckRecovered(a.constitution.Rules, a.service, services[0].Value, &rec); err != nil {
		return err
	}
	a.service, a.recovering = bytes.Clone(services[0].Value), rec.Node
	return nil
}

// endRecovery checks that the node of a recovery is the only one that is trusted after it.
func (a *Auditor) endRecovery(byTable map[string][]store.Write) error {
	if !recoverers(byTable) {
		return nil
	}
	if _, only := a.trusted()[a.recovering]; !only || len(a.trusted()) != 1 {
		return fmt.Errorf("the network was recovered by node %s, and other nodes are trusted after it", a.recovering.Short())
	}
	return nil
}

// Recovered returns the index of the batch by which the network was recovered last under a new service; zero if it was not.
func (a *Auditor) Recovered() uint64 { return a.applied.recovery }
