package query

import (
	"cmp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Versions returns the versions of the constitution after one, the oldest first, and limit of them at most; zero for all.
func Versions(r store.Reader, after uint64, limit int) (out []wire.ConstitutionVersion, err error) {
	out = []wire.ConstitutionVersion{}
	read := table.Versions(r, after, func(v table.VersionRecord) bool {
		var is wire.ConstitutionVersion
		is, err = about(r, v)
		out = append(out, is)
		return err == nil && len(out) != limit
	})
	return out, cmp.Or(err, read)
}

func about(r store.Reader, v table.VersionRecord) (wire.ConstitutionVersion, error) {
	out := wire.ConstitutionVersion{Version: v.Version, Digest: v.Digest, Since: v.Since, Time: timeOf(v.Time), Proposal: v.Proposal}
	if v.Proposal == (coco.Digest{}) {
		return out, nil
	}
	p, err := table.Proposal(r, v.Proposal)
	out.Number = p.Number
	return out, err
}

// ConstitutionAt returns a version of the constitution as a TOML page, 0 for the one in force. The error is
// coco.ErrNotFound if there is no such version.
func ConstitutionAt(r store.Reader, version uint64) ([]byte, wire.ConstitutionVersion, error) {
	last := table.LastVersion(r)
	if last == 0 {
		return nil, wire.ConstitutionVersion{}, nil
	}
	load := func() (*constitution.Constitution, error) { return table.LoadConstitution(r) }
	if version != 0 {
		last = version
		load = func() (*constitution.Constitution, error) { return table.ConstitutionAt(r, version) }
	}
	rec, err := table.Version(r, last)
	if err != nil {
		return nil, wire.ConstitutionVersion{}, err
	}
	is, err := about(r, rec)
	if err != nil {
		return nil, is, err
	}
	c, err := load()
	if err != nil {
		return nil, is, err
	}
	return c.TOML(), is, nil
}

// Nodes returns the nodes of the network, retired ones and those that ask to be admitted too.
func Nodes(r store.Reader, c *constitution.Constitution) ([]wire.Node, error) {
	out, known := []wire.Node{}, newNames(r, c)
	err := table.EachNode(r, func(n *table.NodeRecord) { out = append(out, nodeOf(known, n)) })
	return out, err
}

func nodeOf(known *names, n *table.NodeRecord) wire.Node {
	return wire.Node{
		Node: n.ID, Owner: n.Owner, OwnerName: known.of(n.Owner), Address: n.Address,
		ClientAddress: n.ClientAddress, Measurement: n.Measurement, State: string(n.State), Since: n.Since,
	}
}

// PendingNodes returns the nodes that ask to be admitted.
func PendingNodes(r store.Reader, c *constitution.Constitution) ([]wire.Node, error) {
	records, err := table.NodesOf(r, table.Pending)
	if err != nil {
		return nil, err
	}
	out, known := make([]wire.Node, len(records)), newNames(r, c)
	for i := range records {
		out[i] = nodeOf(known, &records[i])
		out[i].Reason = "no vote has admitted a node of its owner at its address"
	}
	return out, nil
}
