package query

import (
	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Versions returns the versions of the constitution, the oldest first.
func Versions(r store.Reader) ([]wire.ConstitutionVersion, error) {
	records, err := table.Versions(r)
	if err != nil {
		return nil, err
	}
	out := make([]wire.ConstitutionVersion, len(records))
	for i, v := range records {
		if out[i], err = about(r, v); err != nil {
			return nil, err
		}
	}
	return out, nil
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
	records, err := table.Nodes(r)
	if err != nil {
		return nil, err
	}
	out, known := make([]wire.Node, len(records)), newNames(r, c)
	for i, n := range records {
		out[i] = wire.Node{
			Node: n.ID, Owner: n.Owner, OwnerName: known.of(n.Owner), Address: n.Address,
			ClientAddress: n.ClientAddress, Measurement: n.Measurement, State: string(n.State), Since: n.Since,
		}
	}
	return out, nil
}

// PendingNodes returns the nodes that ask to be admitted.
func PendingNodes(r store.Reader, c *constitution.Constitution) ([]wire.Node, error) {
	nodes, err := Nodes(r, c)
	out := []wire.Node{}
	for _, n := range nodes {
		if n.State == string(table.Pending) {
			n.Reason = "no vote has admitted a node of its owner at its address"
			out = append(out, n)
		}
	}
	return out, err
}
