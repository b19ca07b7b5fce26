package table

import (
	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/store"
)

// Audience returns what statements for this network carry: its NetworkID.
func Audience(r store.Reader) (coco.Digest, error) {
	service, err := ServiceCertificate(r)
	if err != nil {
		return coco.Digest{}, err
	}
	return NetworkID(service)
}

func PutVersion(tx *store.Tx, c *constitution.Constitution, proposal coco.Digest, before map[string][]byte) error {
	return Put(tx, VersionsTable, VersionKey(c.Version), VersionRecord{
		Version: c.Version, Digest: c.Digest(), Since: tx.Seqno(), Time: tx.Time(), Proposal: proposal, Core: c.Canonical(), Before: before,
	})
}
