package constitution

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/reason"
)

// MaxCore bounds a constitution without its adapters' settings, in CBOR.
const MaxCore = 32 << 20

// core is the canonical form of a constitution, apart from the adapters' settings, which it names by
// digest: governance reads it often, and settings may be large.
type core struct {
	Version      uint64            `cbor:"1,keyasint"` // of the format; 1
	Network      Network           `cbor:"2,keyasint"`
	Members      []Member          `cbor:"3,keyasint"`
	Participants []Participant     `cbor:"4,keyasint"`
	Code         []Code            `cbor:"5,keyasint"`
	TEE          []TEE             `cbor:"6,keyasint"`
	Policies     map[string]string `cbor:"7,keyasint"`
	Limits       Limits            `cbor:"8,keyasint"`
	Shares       Shares            `cbor:"9,keyasint"`
	Consensus    Consensus         `cbor:"10,keyasint"`
	// Adapters holds the SHA-256 of each adapter's settings in canonical JSON.
	Adapters  map[string]coco.Digest `cbor:"11,keyasint"`
	Ledger    Ledger                 `cbor:"12,keyasint"`
	Snapshots SnapshotPolicy         `cbor:"13,keyasint"`
	Number    uint64                 `cbor:"14,keyasint"` // of the version of the constitution
	Rules     uint64                 `cbor:"15,keyasint"`
	// Since2 is there exactly under rules 2 and later, and complete.
	Since2 *Since2 `cbor:"16,keyasint,omitempty"`
	// Since3 is there exactly under rules 3 and later, and complete.
	Since3 *Since3 `cbor:"17,keyasint,omitempty"`
}

func (c *Constitution) encodeCore(done *completed) error {
	done.digests = map[string]coco.Digest{}
	for name, settings := range done.settings {
		done.digests[name] = sha256.Sum256(settings)
	}
	var err error
	done.core, err = c.canonical(done.digests)
	return err
}

// canonical encodes a checked constitution.
func (c *Constitution) canonical(adapters map[string]coco.Digest) ([]byte, error) {
	c.sort()
	k := core{
		1, c.Network, c.Members, c.Participants, c.Code, c.TEE, c.Policies, c.Limits,
		c.Shares, c.Consensus, adapters, c.Ledger, c.Snapshots, c.Version, c.Rules, nil, nil,
	}
	if c.Rules >= 2 {
		k.Since2 = &c.Since2
	}
	if c.Rules >= 3 {
		k.Since3 = &c.Since3
	}
	return canon.Marshal(k)
}

// Decode reads the canonical form of a constitution. AddSettings adds its adapters' settings, which it
// names by digest. The error is coco.ErrCorrupt.
func Decode(b []byte) (*Constitution, error) {
	if err := checkRulesKnown(b); err != nil {
		return nil, err
	}
	var k core
	if err := canon.Unmarshal(b, &k, canon.Limits{Bytes: MaxCore}); err != nil {
		return nil, fmt.Errorf("%w: constitution: %w", coco.ErrCorrupt, err)
	}
	if k.Version != 1 {
		return nil, fmt.Errorf("%w: constitution: format version %d, expected 1", coco.ErrCorrupt, k.Version)
	}
	if len(k.Adapters) > maxAdapters {
		return nil, fmt.Errorf("%w: constitution: %d adapters, expected at most %d", coco.ErrCorrupt, len(k.Adapters), maxAdapters)
	}
	c := &Constitution{
		Version: k.Number, Rules: k.Rules, Network: k.Network, Members: k.Members, Participants: k.Participants, Code: k.Code, TEE: k.TEE,
		Policies: k.Policies, Limits: k.Limits, Shares: k.Shares, Consensus: k.Consensus,
	}
	k.Snapshots.filled = true // what is stored is complete: zero means never
	c.Ledger, c.Snapshots = k.Ledger, k.Snapshots
	if has := k.Since2 != nil; has != (k.Rules >= 2) {
		return nil, fmt.Errorf("%w: constitution: the settings of rules 2 are there: %t, under rules %d", coco.ErrCorrupt, has, k.Rules)
	} else if has {
		c.Since2 = *k.Since2
		c.Since2.filled = true
	}
	if has := k.Since3 != nil; has != (k.Rules >= 3) {
		return nil, fmt.Errorf("%w: constitution: the settings of rules 3 are there: %t, under rules %d", coco.ErrCorrupt, has, k.Rules)
	} else if has {
		c.Since3 = *k.Since3
		c.Since3.filled = true
	}
	c.fillSince() // by earlier rules they are what programs did before
	c.own()
	c.Adapters = map[string]map[string]any{}
	done := &completed{roots: x509.NewCertPool(), settings: map[string][]byte{}}
	for _, check := range []func(*completed) error{c.checkNetwork, c.checkActors, c.checkCode, c.checkRules} {
		if err := check(done); err != nil {
			return nil, fmt.Errorf("%w: %w", coco.ErrCorrupt, err)
		}
	}
	// What is stored must be complete and in order. No default of this program is filled in: another release
	// may have others.
	again, err := c.canonical(k.Adapters)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: constitution: not in its canonical form", coco.ErrCorrupt)
	}
	done.core, done.digests = bytes.Clone(b), k.Adapters
	c.done = done
	return c, nil
}

// Names returns the names of the organisations of a constitution in its canonical form, which was checked when it was stored. The
// error is coco.ErrCorrupt.
func Names(b []byte) (map[coco.ActorID]string, error) {
	listed, err := Listed(b)
	if err != nil {
		return nil, err
	}
	names := map[coco.ActorID]string{}
	for _, l := range listed {
		names[l.Actor] = l.Name
	}
	return names, nil
}

// ListedCertificate is a certificate that stands for an organisation.
type ListedCertificate struct {
	Actor coco.ActorID
	Name  string
	DER   []byte
}

// Listed returns the certificates of a constitution in its canonical form, which was checked when it was stored. The error is
// coco.ErrCorrupt.
func Listed(b []byte) (out []ListedCertificate, err error) {
	var members []Member
	var participants []Participant
	for key, list := range map[uint64]any{3: &members, 4: &participants} {
		field, ok, err := canon.Field(b, key, canon.Limits{Bytes: MaxCore})
		if err == nil && ok {
			err = canon.Unmarshal(field, list, canon.Limits{Bytes: MaxCore})
		}
		if err != nil {
			return nil, fmt.Errorf("%w: constitution: %w", coco.ErrCorrupt, err)
		}
	}
	add := func(actor coco.ActorID, name string, first []byte, further [][]byte) {
		out = append(out, ListedCertificate{actor, name, first})
		for _, der := range further {
			out = append(out, ListedCertificate{actor, name, der})
		}
	}
	for i := range members {
		add(members[i].Actor(), members[i].Name, members[i].Certificate, members[i].Certificates)
	}
	for i := range participants {
		add(participants[i].Actor(), participants[i].Name, participants[i].Certificate, participants[i].Certificates)
	}
	return out, nil
}

// AddSettings adds an adapter's settings, in canonical JSON, to a constitution that was decoded without them. The error
// is coco.ErrCorrupt if they are others than the constitution names.
func (c *Constitution) AddSettings(name string, text []byte) error {
	if found, digest := coco.Digest(sha256.Sum256(text)), c.completed().digests[name]; found != digest {
		return fmt.Errorf("%w: constitution: the settings of adapter %q have digest %s, expected %s", coco.ErrCorrupt, name, found, digest)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var settings map[string]any
	if err := dec.Decode(&settings); err != nil || settings == nil {
		return fmt.Errorf("%w: constitution: the settings of adapter %q are no JSON object: %w", coco.ErrCorrupt, name, err)
	}
	c.Adapters[name], c.done.settings[name] = settings, bytes.Clone(text)
	return nil
}

// rulesKey is the key of core.Rules.
const rulesKey = 15

// checkRulesKnown tells a constitution by later rules, which may have fields that this program does not know, from
// one that is damaged.
func checkRulesKnown(b []byte) error {
	field, ok, err := canon.Field(b, rulesKey, canon.Limits{Bytes: MaxCore})
	if err != nil || !ok {
		return nil // it does not decode
	}
	var rules uint64
	if err := canon.Unmarshal(field, &rules, canon.Limits{Bytes: MaxCore}); err != nil || rules <= CurrentRules {
		return nil
	}
	return unknownRules(rules)
}

func unknownRules(rules uint64) error {
	return invalid("rules", reason.UnknownRules, "version %d, and this program knows the rules up to version %d: use a later release", rules, CurrentRules)
}
