package granting

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/grant"
	"github.com/cocoframework/coco/store"
)

// Millis is for how long after the vote nodes bring a grant to its end, by the ledger's time in milliseconds: 30 days.
const Millis = 30 * 24 * 3600 * 1000

// rules is the version of the rules that grants exist from.
const rules = 3

// Grant is how far a grant is.
type Grant struct {
	table.GrantRecord
	Sealing *table.GrantSealing         // nil if there is none yet
	Missing []uint64                    // epochs that have no box, in order
	Parts   map[uint32]*table.GrantPart // by the seats that gave them
}

// Load reads a grant. The error is coco.ErrNotFound if there is none with this number.
func Load(r store.Reader, number uint64) (*Grant, error) {
	rec, err := table.Grant(r, number)
	if err != nil {
		return nil, err
	}
	g := &Grant{GrantRecord: rec, Parts: map[uint32]*table.GrantPart{}}
	boxes := map[uint64]bool{}
	r.Range(table.GrantsTable, table.GrantKey(number, 0, 0), table.NumberKey(number+1), func(key, value []byte) bool {
		var p table.GrantPlace
		if p, err = table.ParseGrantKey(key); err != nil {
			return false
		}
		switch {
		case p.Epoch != 0:
			boxes[p.Epoch] = true
		case p.Seat != 0:
			var part table.GrantPart
			part, err = table.DecodeGrantPart(value)
			g.Parts[p.Seat] = &part
		default:
			var s table.GrantSealing
			s, err = table.DecodeGrantSealing(value)
			g.Sealing = &s
		}
		return err == nil
	})
	for epoch := rec.First; epoch <= rec.Last; epoch++ {
		if !boxes[epoch] {
			g.Missing = append(g.Missing, epoch)
		}
	}
	return g, err
}

// Enough says whether as many seats have given their parts as open the grant together.
func (g *Grant) Enough() bool {
	return g.Sealing != nil && len(g.Parts) >= len(g.Sealing.Commitment)
}

// Complete says whether the auditor can read.
func (g *Grant) Complete() bool { return g.Enough() && len(g.Missing) == 0 }

// Whole says whether nothing more can be given.
func (g *Grant) Whole() bool { return g.Complete() && len(g.Parts) == len(g.Sealing.Seats) }

// Ends is until when nodes bring the grant to its end, in milliseconds since 1970.
func (g *Grant) Ends() uint64 { return g.Time + Millis }

// Pending returns the grants that nodes may have to do something for at a time, the newest first. What it costs grows with what was granted within Millis only.
func Pending(r store.Reader, now uint64) (out []*Grant, err error) {
	for n := table.LastGrant(r); n > 0; n-- {
		g, err := Load(r, n)
		if err != nil {
			return nil, err
		}
		if now > g.Ends() {
			break // the ledger's time never goes back: those before it are older
		}
		if !g.Whole() {
			out = append(out, g)
		}
	}
	return out, nil
}

// Sealable says whether the grant's key must be sealed to the committee in force: it is not sealed yet, or to a committee that was replaced before enough of its seats gave their parts.
func (g *Grant) Sealable(r store.Reader) bool {
	newest := table.LastCommittee(r)
	return newest != 0 && (g.Sealing == nil || g.Sealing.Committee < newest && !g.Enough())
}

// Held returns how many seats of a committee have their package with a node of their own that is trusted: these can give their parts.
func Held(r store.Reader, c *table.CommitteeRecord) (held int, err error) {
	for _, s := range c.Seats {
		node, err := table.Node(r, s.Node)
		if err != nil {
			return 0, err
		}
		if c.Ceremony != 0 && node.Owner == s.Actor && node.State == table.Trusted {
			held++
		}
	}
	return held, nil
}

// open returns a grant that may be brought to its end in a transaction. The error is coco.ErrInvalid if it may not.
func open(tx *store.Tx, number uint64) (*Grant, error) {
	c, err := table.LoadCore(tx)
	if err != nil {
		return nil, err
	}
	if c.Rules < rules {
		return nil, fmt.Errorf("%w: by rules %d nothing is granted", coco.ErrInvalid, c.Rules)
	}
	if closed, err := table.Closed(tx); err != nil || closed {
		if err == nil {
			err = fmt.Errorf("%w: grant %d: members have yet to open the network that they recovered", coco.ErrInvalid, number)
		}
		return nil, err
	}
	g, err := Load(tx, number)
	if err != nil {
		return nil, err
	}
	if now := tx.Time(); now > g.Ends() {
		return nil, fmt.Errorf("%w: grant %d ended at time %d, and this is %d: members vote for another one", coco.ErrInvalid, number, g.Ends(), now)
	}
	return g, nil
}

// Seal makes the key of a grant for the committee in force. The error is coco.ErrInvalid if that is not due.
func Seal(tx *store.Tx, number uint64) error {
	return seal(tx, number, func(made *committee.Committee, of grant.Of) ([]byte, error) {
		s, err := grant.New(made, of)
		if err != nil {
			return nil, err
		}
		return s.Marshal()
	})
}

// SealAs is Seal with a sealing that is there: for an audit. The error is coco.ErrVerify if it was made for another place.
func SealAs(tx *store.Tx, number uint64, sealing []byte) error {
	return seal(tx, number, func(made *committee.Committee, of grant.Of) ([]byte, error) {
		s, err := grant.Parse(sealing)
		if err != nil {
			return nil, err
		}
		return slices.Clone(sealing), s.Check(made, of)
	})
}

func seal(tx *store.Tx, number uint64, with func(*committee.Committee, grant.Of) ([]byte, error)) error {
	g, err := open(tx, number)
	if err != nil {
		return err
	}
	if !g.Sealable(tx) {
		return fmt.Errorf("%w: grant %d: its key is not to be sealed now: it is sealed to the committee in force, enough seats have given their parts, or there is no committee", coco.ErrInvalid, number)
	}
	c, _, err := table.NewestCommittee(tx)
	if err != nil {
		return err
	}
	held, err := Held(tx, &c)
	if err != nil {
		return err
	}
	if held < c.Threshold() {
		return fmt.Errorf("%w: grant %d: nodes have the packages of %d seats of committee %d, and %d open something together", coco.ErrInvalid, number, held, c.Number, c.Threshold())
	}
	network, err := table.Audience(tx)
	if err != nil {
		return err
	}
	rec := table.GrantSealing{Committee: c.Number, Key: c.Version, Since: tx.Seqno(), Time: tx.Time(), Commitment: c.Commitment}
	for _, s := range c.Seats {
		rec.Seats = append(rec.Seats, table.GrantSeat{Actor: s.Actor, Node: s.Node})
	}
	made, err := c.Committee()
	if err != nil {
		return err
	}
	if rec.Sealing, err = with(made, g.Of(network, c.Number, c.Version)); err != nil {
		return err
	}
	var before [][]byte
	tx.Range(table.GrantsTable, table.GrantKey(number, 0, 1), table.NumberKey(number+1), func(key, _ []byte) bool {
		before = append(before, slices.Clone(key))
		return true
	})
	for _, key := range before {
		tx.Delete(table.GrantsTable, key)
	}
	return table.Put(tx, table.GrantsTable, table.GrantKey(number, 0, 0), rec)
}

// Add writes boxes of epochs for the key that a grant has since it was sealed to a committee. The error is coco.ErrInvalid if the key is another one by now, a box has not the size of one, or an epoch is not of the
// grant or has its box.
func Add(tx *store.Tx, number, committee uint64, boxes map[uint64][]byte) error {
	g, err := open(tx, number)
	if err != nil {
		return err
	}
	if g.Sealing == nil || g.Sealing.Committee != committee {
		return fmt.Errorf("%w: grant %d: boxes of epochs for the key that is sealed to committee %d, which is not the grant's", coco.ErrInvalid, number, committee)
	}
	if len(boxes) == 0 {
		return fmt.Errorf("%w: grant %d: no box of an epoch", coco.ErrInvalid, number)
	}
	for _, epoch := range slices.Sorted(maps.Keys(boxes)) {
		if !slices.Contains(g.Missing, epoch) {
			return fmt.Errorf("%w: grant %d: a box of epoch %d, which has one, or is not one of %d to %d", coco.ErrInvalid, number, epoch, g.First, g.Last)
		}
		if err := grant.CheckBox(g.Of(coco.Digest{}, 0, 0), epoch, boxes[epoch]); err != nil {
			return err
		}
		if err := table.Put(tx, table.GrantsTable, table.GrantKey(number, epoch, 0), table.GrantBox{Since: tx.Seqno(), Box: boxes[epoch]}); err != nil {
			return err
		}
	}
	return nil
}

// Part is what a node asks the leader for: the part of a seat that it acts for.
type Part struct {
	Grant     uint64 `cbor:"1,keyasint"` // its number
	Committee uint64 `cbor:"2,keyasint"` // that the grant's key is sealed to
	Seat      uint32 `cbor:"3,keyasint"`
	Box       []byte `cbor:"4,keyasint"` // see grant.Sealing.Part
}

// maxPart bounds an encoded Part, in bytes.
const maxPart = 4 << 10

// Marshal encodes a part for the leader.
func (p *Part) Marshal() ([]byte, error) { return canon.Marshal(p) }

// ParsePart decodes what Marshal made. The error is coco.ErrInvalid.
func ParsePart(raw []byte) (*Part, error) {
	p := new(Part)
	if err := canon.Unmarshal(raw, p, canon.Limits{Bytes: maxPart}); err != nil {
		return nil, fmt.Errorf("%w: part of a seat for an auditor: %w", coco.ErrInvalid, err)
	}
	return p, nil
}

// Give writes the part of a seat, which a node asks for. The error is coco.ErrInvalid if the grant's key is sealed to another committee by now, the node is not the seat's own or not trusted, or the
// seat has given its part, or the box has not the size of one.
func Give(tx *store.Tx, from coco.NodeID, raw []byte) error {
	p, err := ParsePart(raw)
	if err != nil {
		return err
	}
	g, err := open(tx, p.Grant)
	if err != nil {
		return err
	}
	if g.Sealing == nil || g.Sealing.Committee != p.Committee {
		return fmt.Errorf("%w: grant %d: a part for the key that is sealed to committee %d, which is not the grant's", coco.ErrInvalid, p.Grant, p.Committee)
	}
	if p.Seat < 1 || int(p.Seat) > len(g.Sealing.Seats) {
		return fmt.Errorf("%w: grant %d: a part of seat %d, expected 1 to %d", coco.ErrInvalid, p.Grant, p.Seat, len(g.Sealing.Seats))
	}
	seat := g.Sealing.Seats[p.Seat-1]
	node, err := table.Node(tx, from)
	if err != nil {
		return err
	}
	if seat.Node != from || node.Owner != seat.Actor || node.State != table.Trusted {
		return fmt.Errorf("%w: grant %d: node %s gives a part of seat %d, whose package it has not, or is not trusted", coco.ErrInvalid, p.Grant, from.Short(), p.Seat)
	}
	if g.Parts[p.Seat] != nil {
		return fmt.Errorf("%w: grant %d: seat %d has given its part", coco.ErrInvalid, p.Grant, p.Seat)
	}
	if err := grant.CheckPart(g.Of(coco.Digest{}, 0, 0), p.Box); err != nil {
		return err
	}
	return table.Put(tx, table.GrantsTable, table.GrantKey(p.Grant, 0, p.Seat), table.GrantPart{Node: from, Since: tx.Seqno(), Time: tx.Time(), Box: p.Box})
}
