package constitution

import (
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/keys"
)

// maxTOML bounds the page.
const maxTOML = 64 << 20

// page is the TOML form. Pointers tell what is not there from what is zero.
//
// Fields: one for each section of the page.
type page struct {
	Version *uint64 `toml:"version"`
	Rules   *uint64 `toml:"rules"`
	Network struct {
		Name     string `toml:"name"`
		Insecure bool   `toml:"insecure"`
	} `toml:"network"`
	Members []struct {
		Name          string   `toml:"name"`
		ID            string   `toml:"id"`
		Weight        *uint64  `toml:"weight"`
		Certificate   string   `toml:"certificate"`
		Certificates  []string `toml:"certificates"`
		EncryptionKey string   `toml:"encryption_key"`
	} `toml:"members"`
	Participants []struct {
		Name         string   `toml:"name"`
		ID           string   `toml:"id"`
		Certificate  string   `toml:"certificate"`
		Certificates []string `toml:"certificates"`
	} `toml:"participants"`
	Code []struct {
		Measurement string `toml:"measurement"`
		Note        string `toml:"note"`
	} `toml:"code"`
	TEE      []map[string]any  `toml:"tee"` // platform, debug, and the platform's policy
	Policies map[string]string `toml:"policies"`
	Limits   struct {
		BodyBytes  *int `toml:"body_bytes"`
		BatchCount *int `toml:"batch_count"`
		BatchBytes *int `toml:"batch_bytes"`
		Queue      *int `toml:"queue"`
	} `toml:"limits"`
	Shares struct {
		Threshold *int `toml:"threshold"`
	} `toml:"shares"`
	Consensus struct {
		Durability *string `toml:"durability"`
	} `toml:"consensus"`
	Ledger struct {
		ChunkBytes *int64 `toml:"chunk_bytes"`
	} `toml:"ledger"`
	Snapshots struct {
		Transactions *int64 `toml:"transactions"`
		Bytes        *int64 `toml:"bytes"`
		Seconds      *int64 `toml:"seconds"`
	} `toml:"snapshots"`
	Revoked struct {
		Certificates []string `toml:"certificates"`
	} `toml:"revoked"`
	Issuers       []issuerPage     `toml:"issuers"`
	Pages         []originPage     `toml:"pages"`
	RevokedAccess []revocationPage `toml:"revoked_access"`
	// The sections of settings that versions of the rules added.
	Epochs   map[string]any            `toml:"epochs"`
	Keys     map[string]any            `toml:"keys"`
	Nodes    map[string]any            `toml:"nodes"`
	Voting   map[string]any            `toml:"voting"`
	Reads    map[string]any            `toml:"reads"`
	Recovery map[string]any            `toml:"recovery"`
	Adapters map[string]map[string]any `toml:"adapters"`
}

// since returns the sections of settings that versions of the rules added.
func (p *page) since() map[string]map[string]any {
	return map[string]map[string]any{"epochs": p.Epochs, "keys": p.Keys, "nodes": p.Nodes, "reads": p.Reads, "recovery": p.Recovery, "voting": p.Voting}
}

// Parse reads a constitution from its TOML page, fills in the defaults and checks everything. Unknown fields are
// refused. The error is coco.ErrInvalid and names the field. Adapters' settings stay as they are written: the page of a
// network that runs has them complete, that of a new network is for ParseNew.
//
// An adapter's settings are a table of any shape. Large ones, such as a genesis state, stand in the
// key "json" as a string that holds a JSON object, whose fields count as written in the table: TOML
// with very many keys is slow to read.
func Parse(text []byte) (*Constitution, error) {
	if len(text) > maxTOML {
		return nil, fmt.Errorf("%w: constitution: expected at most %d bytes, found %d", coco.ErrInvalid, maxTOML, len(text))
	}
	var p page
	if err := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields().Decode(&p); err != nil {
		return nil, tomlError(err)
	}
	c, err := p.constitution()
	if err != nil {
		return nil, err
	}
	if err := c.Complete(); err != nil {
		return nil, err
	}
	return c, nil
}

// ParseNew is Parse for the page of a new network, of which the adapters complete their settings.
func ParseNew(text []byte, complete CompleteSettings) (*Constitution, error) {
	c, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return c, c.CompleteNew(complete)
}

// tomlError says where a page is wrong.
func tomlError(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		first := &strict.Errors[0]
		line, _ := first.Position()
		return invalid(strings.Join(first.Key(), "."), reason.BadForm, "unknown field (line %d)", line)
	}
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		line, column := syntax.Position()
		where := fmt.Sprintf("line %d, column %d", line, column)
		if key := syntax.Key(); len(key) > 0 {
			where = strings.Join(key, ".") + " (" + where + ")"
		}
		return invalid(where, reason.BadForm, "%s", strings.TrimPrefix(syntax.Error(), "toml: "))
	}
	return invalid("TOML", reason.BadForm, "%s", strings.TrimPrefix(err.Error(), "toml: "))
}

func (p *page) constitution() (*Constitution, error) {
	c := &Constitution{
		Network:  Network{p.Network.Name, p.Network.Insecure},
		Policies: p.Policies,
		Adapters: p.Adapters,
	}
	if v := p.Version; v != nil {
		if *v == 0 {
			return nil, outOfRange("version", 1, maxVersion, *v, "")
		}
		c.Version = *v
	}
	if v := p.Rules; v != nil {
		if c.Rules = *v; *v == 0 {
			return nil, unknownRules(0)
		}
	}
	for i, m := range p.Members {
		path := fmt.Sprintf("members[%d]", i)
		id, certs, err := actorOf(path, m.ID, m.Certificate, m.Certificates)
		if err != nil {
			return nil, err
		}
		if m.EncryptionKey == "" {
			return nil, invalid(path+".encryption_key", reason.Missing, "missing")
		}
		key, err := keys.ParsePublicKey([]byte(m.EncryptionKey))
		if err != nil {
			return nil, invalid(path+".encryption_key", reason.BadKey, "%v", err)
		}
		member := Member{Name: m.Name, ID: id, Certificate: certs[0], Certificates: certs[1:], EncryptionKey: key}
		if m.Weight != nil {
			if *m.Weight == 0 {
				return nil, outOfRange(path+".weight", 1, maxWeight, *m.Weight, "")
			}
			member.Weight = *m.Weight
		}
		c.Members = append(c.Members, member)
	}
	for i, m := range p.Participants {
		id, certs, err := actorOf(fmt.Sprintf("participants[%d]", i), m.ID, m.Certificate, m.Certificates)
		if err != nil {
			return nil, err
		}
		c.Participants = append(c.Participants, Participant{Name: m.Name, ID: id, Certificate: certs[0], Certificates: certs[1:]})
	}
	for _, code := range p.Code {
		c.Code = append(c.Code, Code{coco.Measurement(code.Measurement), code.Note})
	}
	for i, table := range p.TEE {
		t, err := teeOf(fmt.Sprintf("tee[%d]", i), table)
		if err != nil {
			return nil, err
		}
		c.TEE = append(c.TEE, t)
	}
	for name, settings := range c.Adapters {
		if err := expandJSON(name, settings); err != nil {
			return nil, err
		}
	}
	for i, text := range p.Revoked.Certificates {
		var d coco.Digest
		if err := d.UnmarshalText([]byte(text)); err != nil {
			return nil, invalid(fmt.Sprintf("revoked.certificates[%d]", i), reason.BadForm, "expected %d hexadecimal digits", 2*len(d))
		}
		c.Revoked = append(c.Revoked, d)
	}
	if err := c.access(p); err != nil {
		return nil, err
	}
	return c, p.numbers(c)
}

// numbers takes over what has defaults. Zero stands for the default in Go, so a zero that is
// written down is refused here.
func (p *page) numbers(c *Constitution) error {
	written := []*int{p.Limits.BodyBytes, p.Limits.BatchCount, p.Limits.BatchBytes, p.Limits.Queue}
	for i, l := range c.Limits.all() {
		if written[i] == nil {
			continue
		}
		if *written[i] == 0 {
			return outOfRange(l.path, l.low, l.high, 0, "")
		}
		*l.value = *written[i]
	}
	if n := p.Ledger.ChunkBytes; n != nil {
		l := c.Ledger.all()[0]
		if *n == 0 {
			return outOfRange(l.path, l.low, l.high, 0, "")
		}
		*l.value = *n
	}
	if err := p.snapshots(c); err != nil {
		return err
	}
	if t := p.Shares.Threshold; t != nil {
		if *t == 0 {
			return outOfRange("shares.threshold", 1, len(c.Members), *t, ", the number of members")
		}
		c.Shares.Threshold = *t
	}
	if d := p.Consensus.Durability; d != nil {
		if *d == "" {
			return invalid("consensus.durability", reason.BadForm, "expected %q or %q, found %q", DurableDisk, DurableMemory, *d)
		}
		c.Consensus.Durability = Durability(*d)
	}
	return c.writtenSince(p.since())
}

// snapshots takes over when snapshots are written: here, a zero is written down to mean never.
func (p *page) snapshots(c *Constitution) error {
	written := []*int64{p.Snapshots.Transactions, p.Snapshots.Bytes, p.Snapshots.Seconds}
	for i, l := range c.Snapshots.all() {
		switch n := written[i]; {
		case n == nil:
		case *n < 0:
			return outOfRange(l.path, l.low, l.high, *n, ", or 0 for never")
		case *n == 0:
			*l.value = Never
		default:
			*l.value = *n
		}
	}
	return nil
}

// actorOf reads what members and participants have in common.
func actorOf(path, id, first string, further []string) (actor coco.ActorID, certs [][]byte, err error) {
	if id != "" {
		if err := actor.UnmarshalText([]byte(id)); err != nil || actor == (coco.ActorID{}) {
			return actor, nil, invalid(path+".id", reason.BadForm, "expected %d hexadecimal digits", 2*len(actor))
		}
	}
	der, err := certificate(path+".certificate", first)
	if err != nil {
		return actor, nil, err
	}
	certs = [][]byte{der}
	for i, text := range further {
		der, err := certificate(fmt.Sprintf("%s.certificates[%d]", path, i), text)
		if err != nil {
			return actor, nil, err
		}
		certs = append(certs, der)
	}
	return actor, certs, nil
}

// certificate reads one PEM block.
func certificate(path, text string) ([]byte, error) {
	if text == "" {
		return nil, invalid(path, reason.Missing, "missing")
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || block.Type != "CERTIFICATE":
		return nil, invalid(path, reason.BadForm, "expected a PEM block CERTIFICATE")
	case strings.TrimSpace(string(rest)) != "":
		return nil, invalid(path, reason.BadForm, "expected one certificate, found more after it")
	}
	return block.Bytes, nil
}
