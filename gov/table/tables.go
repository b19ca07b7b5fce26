package table

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// The names of the tables.
const (
	ConstitutionTable = "coco.constitution" // public: coreKey, and settingsKey+name for each adapter
	NodesTable        = "coco.nodes"        // public, ordered: NodeRecord by id
	ServiceTable      = "coco.service"      // public: certificateKey
	EpochsTable       = "coco.epochs"       // public, ordered: EpochRecord by epoch (u64be)
	SecretsTable      = "coco.secrets"      // private: serviceKeyRow

	CoreKey        = "constitution"
	SettingsKey    = "adapter/"
	CertificateKey = "certificate"
	ServiceKeyRow  = "service key"
)

// TablePrefix begins the name of every table of the core.
const TablePrefix = "coco."

// All returns the tables of governance.
func All() []store.Table {
	return []store.Table{
		{Name: ConstitutionTable},
		{Name: NodesTable, Ordered: true},
		{Name: ServiceTable},
		{Name: EpochsTable, Ordered: true},
		{Name: SecretsTable, Private: true},
		{Name: SnapshotsTable, Ordered: true},
		{Name: VersionsTable, Ordered: true},
		{Name: ProposalsTable, Ordered: true},
		{Name: BallotsTable, Ordered: true},
		{Name: PlacesTable, Ordered: true},
		{Name: CeremoniesTable, Ordered: true},
		{Name: CommitteesTable, Ordered: true},
		{Name: RecoveriesTable, Ordered: true},
		{Name: GrantsTable, Ordered: true},
	}
}

// EpochRecord is a row of the epochs' table.
type EpochRecord struct {
	Epoch  uint64 `cbor:"1,keyasint"`
	Since  uint64 `cbor:"2,keyasint"` // seqno of the transaction that announced it
	Sealed []byte `cbor:"3,keyasint"` // see archive.FormatOf: keys.ParseSealedEpoch or archive.ParseEpoch
	// Time is that of the transaction, in milliseconds since 1970. By rules 1 it is absent.
	Time uint64 `cbor:"4,keyasint,omitempty"`
}

// LoadConstitution reads the constitution of a network.
func LoadConstitution(r store.Reader) (*constitution.Constitution, error) {
	c, err := LoadCore(r)
	if err != nil {
		return nil, err
	}
	for name := range c.AdapterDigests() {
		text, _ := r.Get(ConstitutionTable, []byte(SettingsKey+name))
		if err := c.AddSettings(name, text); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// LoadCore reads the constitution without its adapters' settings.
func LoadCore(r store.Reader) (*constitution.Constitution, error) {
	b, ok := r.Get(ConstitutionTable, []byte(CoreKey))
	if !ok {
		return nil, fmt.Errorf("%w: constitution: this network has none yet", coco.ErrNotFound)
	}
	return constitution.Decode(b)
}

// ConstitutionDigest returns the digest of a network's constitution without reading all of it.
func ConstitutionDigest(r store.Reader) (coco.Digest, error) {
	b, ok := r.Get(ConstitutionTable, []byte(CoreKey))
	if !ok {
		return coco.Digest{}, fmt.Errorf("%w: constitution: this network has none yet", coco.ErrNotFound)
	}
	return sha256.Sum256(b), nil
}

// rowsOf decodes the rows of a table in order of their keys, but for the row of the key other, which holds
// something else; empty for none.
func rowsOf[T any](r store.Reader, table, other string, decode func([]byte) (T, error)) (out []T, err error) {
	r.Range(table, nil, nil, func(key, value []byte) bool {
		if other != "" && string(key) == other {
			return true
		}
		var row T
		if row, err = decode(value); err != nil {
			return false
		}
		out = append(out, row)
		return true
	})
	return out, err
}

// Nodes returns every node that the network knows, retired ones too, in order of their ids.
func Nodes(r store.Reader) ([]NodeRecord, error) { return rowsOf(r, NodesTable, "", DecodeNode) }

// EachNode calls fn with every node, as Nodes returns them. One record at a time is in memory: its evidence may have 128 KiB.
func EachNode(r store.Reader, fn func(*NodeRecord)) (err error) {
	r.Range(NodesTable, nil, nil, func(_, value []byte) bool {
		var rec NodeRecord
		if rec, err = DecodeNode(value); err == nil {
			fn(&rec)
		}
		return err == nil
	})
	return err
}

// TrustedNodes returns the nodes that belong to the network, in order of their ids.
func TrustedNodes(r store.Reader) ([]NodeRecord, error) {
	return NodesOf(r, Trusted)
}

// NodesOf returns the nodes in one of the states, in order of their ids. Retired ones, of which there are
// more and more, cost little as long as they are not asked for.
func NodesOf(r store.Reader, states ...NodeState) (out []NodeRecord, err error) {
	r.Range(NodesTable, nil, nil, func(_, value []byte) bool {
		var state NodeState
		if state, err = stateOf(value); err != nil {
			return false
		}
		if !slices.Contains(states, state) {
			return true
		}
		var rec NodeRecord
		if rec, err = DecodeNode(value); err != nil {
			return false
		}
		out = append(out, rec)
		return true
	})
	return out, err
}

// NodesNamed returns the nodes whose ids begin with some bytes, in whatever state, in order of their ids.
func NodesNamed(r store.Reader, prefix []byte) ([]NodeRecord, error) {
	return rowsBetween(r, NodesTable, prefix, store.Behind(prefix), DecodeNode)
}

// OtherOwners reports whether the network has had a node of another owner, which may be retired by now.
func OtherOwners(r store.Reader, owner coco.ActorID) (others bool, err error) {
	r.Range(NodesTable, nil, nil, func(_, value []byte) bool {
		var id coco.ActorID
		var state NodeState
		if id, state, err = nodeHead(value); err != nil {
			return false
		}
		others = state != Pending && id != owner
		return !others
	})
	return others, err
}

func stateOf(b []byte) (NodeState, error) {
	_, state, err := nodeHead(b)
	return state, err
}

// nodeHead reads the owner and the state of an encoded node record, and nothing else of it. It allocates nothing: a network of many
// years has many rows of retired nodes.
func nodeHead(b []byte) (owner coco.ActorID, state NodeState, err error) {
	keys, fields := [...]uint64{2, 12}, [2]canon.Raw{}
	err = canon.Fields(b, keys[:], fields[:], canon.Limits{Bytes: MaxRecord})
	var text []byte
	if err == nil {
		_, err = canon.CutFixed(fields[0], owner[:])
	}
	if err == nil {
		text, _, err = canon.CutText(fields[1])
	}
	if err != nil {
		return owner, "", fmt.Errorf("%w: node record: %w", coco.ErrCorrupt, err)
	}
	for _, state := range [...]NodeState{Retired, Trusted, Pending} {
		if string(text) == string(state) {
			return owner, state, nil
		}
	}
	return owner, NodeState(text), nil
}

// Node returns one node. The error is coco.ErrNotFound if the network does not know it.
func Node(r store.Reader, id coco.NodeID) (NodeRecord, error) {
	b, ok := r.Get(NodesTable, id[:])
	if !ok {
		return NodeRecord{}, fmt.Errorf("%w: node %s is not in the node list", coco.ErrNotFound, id.Short())
	}
	return DecodeNode(b)
}

// DecodeNode reads a node's row. The error is coco.ErrCorrupt.
func DecodeNode(b []byte) (NodeRecord, error) {
	var rec NodeRecord
	if err := canon.Unmarshal(b, &rec, canon.Limits{Bytes: MaxRecord}); err != nil {
		return NodeRecord{}, fmt.Errorf("%w: node record: %w", coco.ErrCorrupt, err)
	}
	return rec, nil
}

// ServiceCertificate returns the service's certificate in DER form.
func ServiceCertificate(r store.Reader) ([]byte, error) {
	b, ok := r.Get(ServiceTable, []byte(CertificateKey))
	if !ok {
		return nil, fmt.Errorf("%w: service certificate: this network has none yet", coco.ErrNotFound)
	}
	return bytes.Clone(b), nil
}

// ServiceDigest returns SHA-256 of the service's public key (SubjectPublicKeyInfo, DER).
func ServiceDigest(r store.Reader) (coco.Digest, error) {
	der, err := ServiceCertificate(r)
	if err != nil {
		return coco.Digest{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return coco.Digest{}, fmt.Errorf("%w: service certificate: %w", coco.ErrCorrupt, err)
	}
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo), nil
}

// ServiceKey returns the service's private key in the form that WriteGenesis was given.
func ServiceKey(r store.Reader) (keys.SecretBytes, error) {
	b, ok := r.Get(SecretsTable, []byte(ServiceKeyRow))
	if !ok {
		return nil, fmt.Errorf("%w: service key: this network has none yet", coco.ErrNotFound)
	}
	return bytes.Clone(b), nil
}

// Epoch returns an epoch. The error is coco.ErrNotFound if it is not announced.
func Epoch(r store.Reader, number uint64) (EpochRecord, error) {
	b, ok := r.Get(EpochsTable, EpochKey(number))
	if !ok {
		return EpochRecord{}, fmt.Errorf("%w: epoch %d is not announced", coco.ErrNotFound, number)
	}
	return DecodeEpoch(b)
}

// Epochs returns the epochs in order.
func Epochs(r store.Reader) ([]EpochRecord, error) { return rowsOf(r, EpochsTable, "", DecodeEpoch) }

// EpochsAfter returns the epochs after one, in order. What it costs does not grow with the epochs before.
func EpochsAfter(r store.Reader, epoch uint64) ([]EpochRecord, error) {
	return rowsBetween(r, EpochsTable, EpochKey(epoch+1), nil, DecodeEpoch)
}

// rowsBetween decodes the rows from one key up to another one, in order. A nil to has no end.
func rowsBetween[T any](r store.Reader, table string, from, to []byte, decode func([]byte) (T, error)) (out []T, err error) {
	r.Range(table, from, to, func(_, value []byte) bool {
		var row T
		if row, err = decode(value); err != nil {
			return false
		}
		out = append(out, row)
		return true
	})
	return out, err
}

// LastEpoch returns the newest epoch; 0 if there is none. Epochs are numbered from 1 without gaps.
func LastEpoch(r store.Reader) uint64 { return lastOf(r, EpochsTable, EpochKey) }

// lastOf returns the last row of a table whose rows are numbered from 1 without gaps. It reads few rows, however many there are.
func lastOf(r store.Reader, table string, key func(uint64) []byte) uint64 {
	has := func(n uint64) bool {
		_, ok := r.Get(table, key(n))
		return ok
	}
	beyond := uint64(1)
	for has(beyond) {
		beyond *= 2
	}
	return beyond/2 + uint64(sort.Search(int(beyond-beyond/2), func(i int) bool { return !has(beyond/2 + 1 + uint64(i)) }))
}

// DecodeEpoch reads an epoch's row. The error is coco.ErrCorrupt.
func DecodeEpoch(b []byte) (EpochRecord, error) {
	var rec EpochRecord
	if err := canon.Unmarshal(b, &rec, canon.Limits{Bytes: MaxEpochRecord}); err != nil {
		return EpochRecord{}, fmt.Errorf("%w: epoch record: %w", coco.ErrCorrupt, err)
	}
	return rec, nil
}

// EpochKey returns the key of an epoch.
func EpochKey(epoch uint64) []byte { return binary.BigEndian.AppendUint64(nil, epoch) }
