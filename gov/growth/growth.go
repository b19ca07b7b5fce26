// Package growth says how far a network's own tables have grown, and up to where they may grow.
//
// What members decide, every change of keys and every start of a node leaves rows that stay, because an audit and a recovery
// need them. Each kind has a limit. Some are those of a format: beyond it something is refused. The others are calculated from what was run
// and measured: beyond them governance and joining become slow, and nodes need more memory. A network that is half way to any of them
// is told so, years before it is there.
//
// Trust: enclave
package growth

import (
	"math"

	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// Size is how far one kind has grown.
type Size struct {
	Of        string // as in metrics and in docs/operations.md
	Now, Most uint64
}

// Near reports whether half of the way to the limit is gone.
func (s Size) Near() bool { return s.Now >= s.Most/2 }

// The limits that are a format's.
const (
	// MaxEpochs is how many epochs' secrets a joining node can be given. Beyond it no node joins or restarts.
	MaxEpochs = 1 << 20
	// MaxOpen is how many proposals may be open at a time. Beyond it others are refused.
	MaxOpen = 256
	// MaxView is the last view that a batch can be of.
	MaxView = math.MaxUint32
	// MaxOrganisations bounds members, and participants: those that a key may have to be sealed to.
	MaxOrganisations = keys.MaxMembers
	// MaxRevoked bounds the certificates that are revoked. Beyond it a further revocation is refused.
	MaxRevoked = constitution.MaxRevoked
	// MaxConstitution is half of what a batch can hold: a version of the constitution is written twice.
	MaxConstitution = min(constitution.MaxCore, 24<<20)
)

// The limits that are calculated from what was run and measured; docs/performance.md has the figures.
const (
	maxVersions  = 200_000
	maxProposals = 200_000
	maxBallots   = 2_000_000
	maxNodes     = 40_000
	maxPlaces    = 20_000
	maxGranted   = 200_000 // rows that auditors read with
	maxBytes     = 1 << 30
)

// Measure reads the tables through once. View is the one that the network is in.
func Measure(r store.Reader, view uint64) ([]Size, error) {
	core, ok := r.Get(table.ConstitutionTable, []byte(table.CoreKey))
	if !ok {
		return nil, nil // before genesis
	}
	c, err := table.LoadCore(r)
	if err != nil {
		return nil, err
	}
	open, err := table.LoadOpen(r)
	if err != nil {
		return nil, err
	}
	rows, bytes := map[string]uint64{}, uint64(len(core))
	for _, t := range table.All() {
		if !t.Ordered {
			continue // a few rows, which are replaced
		}
		r.Range(t.Name, nil, nil, func(key, value []byte) bool {
			rows[t.Name]++
			bytes += uint64(len(key) + len(value))
			return true
		})
	}
	proposals := rows[table.ProposalsTable]
	if proposals > 0 {
		proposals-- // the index
	}
	return []Size{
		{"bytes", bytes, maxBytes},
		{"versions", rows[table.VersionsTable], maxVersions},
		{"proposals", proposals, maxProposals},
		{"open_proposals", uint64(len(open.Open)), MaxOpen},
		{"ballots", rows[table.BallotsTable], maxBallots},
		{"nodes", rows[table.NodesTable], maxNodes},
		{"places", rows[table.PlacesTable], maxPlaces},
		{"epochs", rows[table.EpochsTable], MaxEpochs},
		{"granted", rows[table.GrantsTable], maxGranted},
		{"members", uint64(len(c.Members)), MaxOrganisations},
		{"participants", uint64(len(c.Participants)), MaxOrganisations},
		{"revoked", uint64(len(c.Revoked)), MaxRevoked},
		{"revoked_access", uint64(len(c.Access.Revoked)), access.MaxRevoked},
		{"constitution_bytes", uint64(len(core)), MaxConstitution},
		{"view", view, MaxView},
	}, nil
}
