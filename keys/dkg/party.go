package dkg

import (
	"crypto/rand"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// Party is what acts for a dealer, a receiver or both in a ceremony, with what it keeps to itself. It lives in an enclave's memory only: a party that is lost is silent
// from then on. It never prints. It is not safe for concurrent use.
type Party struct {
	session  coco.Digest
	receiver uint32 // 0: none
	dealer   uint32 // 0: none
	constant group.Scalar
	register *Register
	commit   *Commit
	reveal   *Reveal
	verdict  *Verdict
	opening  group.Scalar // of the receiver's ephemeral key
	values   map[uint32]group.Scalar
}

// NewParty returns a party of a ceremony. Receiver and dealer are its numbers, or 0. A dealer of a resharing needs its share of the old key. The error is coco.ErrInvalid.
func NewParty(c *Ceremony, receiver, dealer uint32, old *tdh2.Share) (*Party, error) {
	p := &Party{session: c.digest, receiver: receiver, dealer: dealer, values: map[uint32]group.Scalar{}}
	if receiver != 0 && c.receiver(receiver) == nil || dealer != 0 && c.dealer(dealer) == nil || receiver == 0 && dealer == 0 {
		return nil, c.refuse("there is no party with receiver %d and dealer %d", receiver, dealer)
	}
	switch {
	case dealer == 0:
	case c.old == nil:
		p.constant = ristretto.Group.RandomNonZeroScalar(rand.Reader)
	case old == nil || old.Holder != dealer:
		return nil, c.refuse("dealer %d needs its share of the old key", dealer)
	default:
		if err := c.old.Check(*old); err != nil {
			return nil, err
		}
		p.constant, _ = ristretto.ParseScalar(old.Value[:]) // Check has tried
	}
	return p, nil
}

// Owes returns the statement that a party owes in the present phase: nil if none. It returns the same one until the ledger has it. In Confirming it is the caller who
// makes the statement, from Share.
func (p *Party) Owes(c *Ceremony) Statement {
	r, d := c.receiver(p.receiver), c.dealer(p.dealer)
	switch {
	case c.phase == Registering && r != nil && r.key == nil:
		return p.registers()
	case c.phase == Committing && d != nil && d.key == nil:
		return p.commits(c)
	case c.phase == Revealing && d != nil && d.key != nil && !d.spoken && p.reveal != nil:
		return p.reveal
	case c.phase == Judging && r != nil && !r.judged && p.opening != nil:
		return p.judges(c)
	}
	return nil
}

func (p *Party) registers() Statement {
	if p.register == nil {
		p.opening = ristretto.Group.RandomNonZeroScalar(rand.Reader)
		p.register = &Register{
			Receiver: p.receiver,
			Key:      ristretto.Encode(ristretto.Group.NewElement().MulGen(p.opening)),
			Proof:    context(contextReceiver, p.session, p.receiver).Possession(p.opening),
		}
	}
	return p.register
}

func (p *Party) commits(c *Ceremony) Statement {
	if p.commit != nil {
		return p.commit
	}
	coefficients := []group.Scalar{p.constant}
	for len(coefficients) < int(c.session.Threshold) {
		coefficients = append(coefficients, ristretto.Group.RandomNonZeroScalar(rand.Reader))
	}
	p.reveal = &Reveal{Dealer: p.dealer}
	for _, a := range coefficients {
		p.reveal.Commitment = append(p.reveal.Commitment, ristretto.Encode(ristretto.Group.NewElement().MulGen(a)))
	}
	dealt, sealing := polynomial.New(coefficients), ristretto.Group.RandomNonZeroScalar(rand.Reader)
	for i := range c.receivers {
		number := uint32(i + 1)
		box := Box(ristretto.SecretOf(dealt.Evaluate(ristretto.At(number))))
		box.apply(ristretto.Group.NewElement().Mul(c.receivers[i].key, sealing), p.session, p.dealer, number)
		p.reveal.Boxes = append(p.reveal.Boxes, box)
	}
	p.commit = &Commit{
		Dealer:  p.dealer,
		Key:     ristretto.Encode(ristretto.Group.NewElement().MulGen(sealing)),
		Proof:   context(contextDealer, p.session, p.dealer).Possession(sealing),
		Dealing: p.reveal.digest(p.session),
	}
	return p.commit
}

func (p *Party) judges(c *Ceremony) Statement {
	if p.verdict != nil {
		return p.verdict
	}
	v := &Verdict{Receiver: p.receiver}
	p.verdict = v
	for i := range c.dealers {
		d, number := &c.dealers[i], uint32(i+1)
		if d.commitment == nil {
			continue
		}
		shared := ristretto.Group.NewElement().Mul(d.key, p.opening)
		box := d.boxes[p.receiver-1]
		box.apply(shared, p.session, number, p.receiver)
		if value, ok := right(d.commitment, p.receiver, box); ok {
			p.values[number] = value
			continue
		}
		v.Disputes = append(v.Disputes, Dispute{
			Dealer: number,
			Shared: ristretto.Encode(shared),
			Proof: context(contextDispute, p.session, number, p.receiver).Equality(p.opening,
				ristretto.Pair{Base: ristretto.Group.Generator(), Power: c.receivers[p.receiver-1].key}, ristretto.Pair{Base: d.key, Power: shared}),
		})
	}
	return v
}

// Share returns the receiver's share of the new key, from Confirming on. The error is coco.ErrNotFound if the party cannot know it: it is no receiver, or a dealing that
// it could not open is part of the key because it was not disputed in time.
func (p *Party) Share(c *Ceremony) (tdh2.Share, error) {
	if p.receiver == 0 || c.key == nil {
		return tdh2.Share{}, fmt.Errorf("%w: key generation %d.%d: there is no share yet, or none for this party", coco.ErrNotFound, c.session.Version, c.session.Attempt)
	}
	sum := ristretto.Group.NewScalar()
	for _, part := range c.parts() {
		value, ok := p.values[part.dealer]
		if !ok {
			return tdh2.Share{}, fmt.Errorf("%w: key generation %d.%d: receiver %d has not opened its box of dealer %d", coco.ErrNotFound, c.session.Version, c.session.Attempt, p.receiver, part.dealer)
		}
		sum.Add(sum, ristretto.Group.NewScalar().Mul(value, part.weight))
	}
	share := tdh2.Share{Holder: p.receiver, Value: ristretto.SecretOf(sum)}
	if err := c.key.Check(share); err != nil {
		return tdh2.Share{}, err
	}
	return share, nil
}

// Format writes a placeholder, whatever the verb.
func (*Party) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[party of a key generation]") }

// Forget wipes what the party keeps to itself. It says nothing from then on.
func (p *Party) Forget() {
	scalars := []group.Scalar{p.constant, p.opening}
	for _, v := range p.values {
		scalars = append(scalars, v)
	}
	for _, s := range scalars {
		if s != nil {
			s.SetUint64(0)
		}
	}
	*p = Party{session: p.session}
}
