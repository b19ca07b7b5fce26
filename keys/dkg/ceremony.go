package dkg

import (
	"fmt"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// Phase is how far a ceremony is.
type Phase uint64

// The phases, in their order. A ceremony that failed makes no key.
const (
	Registering Phase = iota + 1
	Committing
	Revealing
	Judging
	Confirming
	Done
	Failed
)

// String returns a phase's name.
func (p Phase) String() string {
	names := [...]string{"unknown", "registering", "committing", "revealing", "judging", "confirming", "done", "failed"}
	if p > Failed {
		return names[0]
	}
	return names[p]
}

// Code says what a party did.
type Code string

// The codes of faults.
const (
	Silent     Code = "silent"      // it did not speak before its phase was closed
	BadDealing Code = "bad_dealing" // a dealer: what it revealed has the wrong shape, or another constant than its old share
	WrongBox   Code = "wrong_box"   // a dealer: a receiver's box holds the wrong value
	Unfounded  Code = "unfounded"   // a receiver: it disputed a box that holds the right value
)

// Fault names a party that did not do its part.
type Fault struct {
	Phase Phase
	Actor coco.ActorID
	Code  Code
}

// Ceremony is what everyone knows of a key generation. It is made by applying the ledger's statements in their order. It is not safe for concurrent use.
type Ceremony struct {
	session   Session
	digest    coco.Digest
	old       *tdh2.Key // nil if a new key is made
	phase     Phase
	began     uint64 // seqno at which the phase began
	receivers []receiver
	dealers   []dealer
	revealed  []uint32 // dealers, in the order in which they revealed a dealing of the right shape
	faults    []Fault
	key       *tdh2.Key
}

type receiver struct {
	key    group.Element // nil before it has registered
	judged bool
	seat   []byte // its encryption key
	sealed []byte
}

type dealer struct {
	key          group.Element // nil before it has committed
	dealing      coco.Digest
	spoken       bool // it has revealed
	commitment   []group.Element
	boxes        []Box
	disqualified bool
}

// Begin begins a ceremony at a transaction. The error is coco.ErrInvalid if there can be no such session.
func Begin(s Session, seqno uint64) (*Ceremony, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	c := &Ceremony{session: s, digest: s.Digest(), phase: Registering, began: seqno}
	c.receivers, c.dealers = make([]receiver, len(s.Receivers)), make([]dealer, len(s.Dealers()))
	if s.Old != nil {
		c.old, _ = s.Old.key() // Check has tried
	}
	return c, nil
}

// Since returns the transaction at which the phase began.
func (c *Ceremony) Since() uint64 { return c.began }

// Session returns the session.
func (c *Ceremony) Session() Session { return c.session }

// Digest names the session.
func (c *Ceremony) Digest() coco.Digest { return c.digest }

// Phase returns how far the ceremony is, and the transaction from which on a Close ends the phase.
func (c *Ceremony) Phase() (_ Phase, closable uint64) { return c.phase, c.began + c.session.Window }

// Key returns the key that the ceremony makes: nil before Confirming. It MUST NOT be encrypted to before Done, as not everyone may have a share.
func (c *Ceremony) Key() *tdh2.Key { return c.key }

// Faults returns who did not do its part, in the order in which it was found.
func (c *Ceremony) Faults() []Fault { return slices.Clone(c.faults) }

// Committee returns who can open what is sealed to the key. The error is coco.ErrNotFound before Done.
func (c *Ceremony) Committee() (*committee.Committee, error) {
	if c.phase != Done {
		return nil, fmt.Errorf("%w: key generation %d.%d is %s", coco.ErrNotFound, c.session.Version, c.session.Attempt, c.phase)
	}
	seats := make([]committee.Seat, len(c.receivers))
	for i, r := range c.receivers {
		seats[i] = committee.Seat{Actor: c.session.Receivers[i], Encryption: r.seat}
	}
	return committee.New(c.key, seats)
}

// Sealed returns a receiver's package as it has confirmed it; nil before. The caller must not change it.
func (c *Ceremony) Sealed(receiver uint32) []byte {
	if r := c.receiver(receiver); r != nil {
		return r.sealed
	}
	return nil
}

// Waiting returns those that the phase waits for, receivers or dealers, by their numbers.
func (c *Ceremony) Waiting() []uint32 {
	var out []uint32
	add := func(i int, waits bool) {
		if waits {
			out = append(out, uint32(i+1))
		}
	}
	switch c.phase {
	case Registering, Judging, Confirming:
		for i, r := range c.receivers {
			add(i, c.phase == Registering && r.key == nil || c.phase == Judging && !r.judged || c.phase == Confirming && r.sealed == nil)
		}
	case Committing, Revealing:
		for i, d := range c.dealers {
			add(i, c.phase == Committing && d.key == nil || c.phase == Revealing && d.key != nil && !d.spoken)
		}
	}
	return out
}

func (c *Ceremony) receiver(number uint32) *receiver {
	if number < 1 || int(number) > len(c.receivers) {
		return nil
	}
	return &c.receivers[number-1]
}

func (c *Ceremony) dealer(number uint32) *dealer {
	if number < 1 || int(number) > len(c.dealers) {
		return nil
	}
	return &c.dealers[number-1]
}

// Apply applies a statement that the ledger has at a transaction. The caller MUST have checked that the statement comes from who acts for the party that it
// names, and is of this session. The error is coco.ErrInvalid if the statement is not possible now, or wrong: then it has changed nothing, and its party may make another.
func (c *Ceremony) Apply(seqno uint64, s Statement) error {
	var err error
	switch s := s.(type) {
	case *Register:
		err = c.register(s)
	case *Commit:
		err = c.commit(s)
	case *Reveal:
		err = c.reveal(s)
	case *Verdict:
		err = c.verdict(s)
	case *Confirm:
		err = c.confirm(s)
	case *Close:
		return c.close(seqno, s)
	default:
		err = c.refuse("unknown statement %T", s)
	}
	if err == nil && len(c.Waiting()) == 0 {
		c.next(seqno)
	}
	return err
}

func (c *Ceremony) refuse(format string, args ...any) error {
	return fmt.Errorf("%w: key generation %d.%d, %s: %s", coco.ErrInvalid, c.session.Version, c.session.Attempt, c.phase, fmt.Sprintf(format, args...))
}

func (c *Ceremony) register(s *Register) error {
	r := c.receiver(s.Receiver)
	if c.phase != Registering || r == nil || r.key != nil {
		return c.refuse("receiver %d cannot register now, or again", s.Receiver)
	}
	key, err := s.Key.Element()
	if err != nil || !context(contextReceiver, c.digest, s.Receiver).Possessed(s.Proof, key) {
		return c.refuse("receiver %d does not prove that it has its key", s.Receiver)
	}
	r.key = key
	return nil
}

func (c *Ceremony) commit(s *Commit) error {
	d := c.dealer(s.Dealer)
	if c.phase != Committing || d == nil || d.key != nil {
		return c.refuse("dealer %d cannot commit now, or again", s.Dealer)
	}
	key, err := s.Key.Element()
	if err != nil || !context(contextDealer, c.digest, s.Dealer).Possessed(s.Proof, key) {
		return c.refuse("dealer %d does not prove that it has its key", s.Dealer)
	}
	d.key, d.dealing = key, s.Dealing
	return nil
}

func (c *Ceremony) reveal(s *Reveal) error {
	d := c.dealer(s.Dealer)
	if c.phase != Revealing || d == nil || d.key == nil || d.spoken {
		return c.refuse("dealer %d cannot reveal now, or again", s.Dealer)
	}
	if s.digest(c.digest) != d.dealing {
		return c.refuse("dealer %d has committed to another dealing", s.Dealer)
	}
	d.spoken = true // it can reveal nothing else
	commitment, err := ristretto.Elements(s.Commitment)
	if err != nil || len(commitment) != int(c.session.Threshold) || len(s.Boxes) != len(c.receivers) || !c.continues(s.Dealer, commitment) {
		c.disqualify(s.Dealer, BadDealing)
		return nil
	}
	d.commitment, d.boxes = commitment, slices.Clone(s.Boxes)
	c.revealed = append(c.revealed, s.Dealer)
	return nil
}

// continues says whether a dealer of a resharing deals its old share.
func (c *Ceremony) continues(dealer uint32, commitment []group.Element) bool {
	if c.old == nil {
		return true
	}
	public, err := c.old.Verification(dealer)
	return err == nil && ristretto.Encode(commitment[0]) == public
}

func (c *Ceremony) disqualify(dealer uint32, code Code) {
	if d := c.dealer(dealer); !d.disqualified {
		d.disqualified = true
		c.faults = append(c.faults, Fault{c.phase, c.session.Dealers()[dealer-1], code})
	}
}

func (c *Ceremony) verdict(s *Verdict) error {
	r := c.receiver(s.Receiver)
	if c.phase != Judging || r == nil || r.judged {
		return c.refuse("receiver %d cannot judge now, or again", s.Receiver)
	}
	last := uint32(0)
	wrong := make([]bool, len(s.Disputes))
	for i := range s.Disputes {
		d := &s.Disputes[i]
		if d.Dealer <= last || !slices.Contains(c.revealed, d.Dealer) {
			return c.refuse("receiver %d disputes dealer %d: expected dealers who have revealed, in order, each once", s.Receiver, d.Dealer)
		}
		last = d.Dealer
		dealt := c.dealer(d.Dealer)
		shared, err := d.Shared.Element()
		if err != nil || !context(contextDispute, c.digest, d.Dealer, s.Receiver).Equal(d.Proof,
			ristretto.Pair{Base: ristretto.Group.Generator(), Power: r.key}, ristretto.Pair{Base: dealt.key, Power: shared}) {
			return c.refuse("receiver %d does not prove the key of its box of dealer %d", s.Receiver, d.Dealer)
		}
		box := dealt.boxes[s.Receiver-1]
		box.apply(shared, c.digest, d.Dealer, s.Receiver)
		_, ok := right(dealt.commitment, s.Receiver, box)
		wrong[i] = !ok
	}
	r.judged = true
	for i, d := range s.Disputes {
		if wrong[i] {
			c.disqualify(d.Dealer, WrongBox)
		}
	}
	if slices.Contains(wrong, false) { // once, or receivers that dispute everything make more faults than a ceremony's record has room for
		c.faults = append(c.faults, Fault{c.phase, c.session.Receivers[s.Receiver-1], Unfounded})
	}
	return nil
}

func (c *Ceremony) confirm(s *Confirm) error {
	r := c.receiver(s.Receiver)
	if c.phase != Confirming || r == nil || r.sealed != nil {
		return c.refuse("receiver %d cannot confirm now, or again", s.Receiver)
	}
	if len(s.Sealed) == 0 || len(s.Sealed) > MaxSealed {
		return c.refuse("receiver %d: expected a sealed package of 1 to %d bytes, found %d", s.Receiver, MaxSealed, len(s.Sealed))
	}
	if err := committee.CheckEncryption(s.Encryption); err != nil {
		return c.refuse("receiver %d: %v", s.Receiver, err)
	}
	r.seat, r.sealed = slices.Clone(s.Encryption), slices.Clone(s.Sealed)
	return nil
}

func (c *Ceremony) close(seqno uint64, s *Close) error {
	if s.Phase != c.phase || c.phase >= Done {
		return c.refuse("the phase %s cannot be closed now", s.Phase)
	}
	if end := c.began + c.session.Window; seqno < end {
		return c.refuse("it cannot be closed before transaction %d", end)
	}
	return c.Cut(seqno, s)
}

// Cut applies a Close, however few transactions have followed the phase's beginning: for a caller that has another reason, which everyone can check. The
// error is coco.ErrInvalid if it is another phase.
func (c *Ceremony) Cut(seqno uint64, s *Close) error {
	if s.Phase != c.phase || c.phase >= Done {
		return c.refuse("the phase %s cannot be closed now", s.Phase)
	}
	waiting := c.Waiting()
	dealing := c.phase == Committing || c.phase == Revealing
	for _, n := range waiting {
		actor := c.session.Receivers
		if dealing {
			actor = c.session.Dealers()
		}
		c.faults = append(c.faults, Fault{c.phase, actor[n-1], Silent})
	}
	if c.phase == Registering || c.phase == Confirming {
		c.phase = Failed // each receiver must have a share
		return nil
	}
	c.next(seqno)
	return nil
}

// next begins the next phase, if there are dealers enough for it.
func (c *Ceremony) next(seqno uint64) {
	enough := true
	switch c.phase {
	case Committing:
		committed := 0
		for _, d := range c.dealers {
			if d.key != nil {
				committed++
			}
		}
		enough = committed >= c.session.needed()
	case Revealing:
		enough = len(c.revealed) >= c.session.needed()
	case Judging:
		enough = c.combine()
	}
	if !enough {
		c.phase = Failed
		return
	}
	c.phase++
	c.began = seqno
}

// part is a dealer whose dealing is part of the key, and its weight.
type part struct {
	dealer uint32
	weight group.Scalar
}

// parts returns which dealings make the key. All that are right make a new one. For a resharing it is the first ones, as many as the old threshold,
// weighted so that their constants, which are old shares, give the old private key. It returns nil if there are too few.
func (c *Ceremony) parts() []part {
	var qualified []uint32
	for _, n := range c.revealed {
		if !c.dealer(n).disqualified {
			qualified = append(qualified, n)
		}
	}
	if len(qualified) < c.session.needed() {
		return nil
	}
	var parts []part
	if c.old == nil {
		for _, n := range qualified {
			parts = append(parts, part{n, ristretto.At(1)})
		}
		return parts
	}
	at := make([]group.Scalar, c.session.needed())
	for i := range at {
		at[i] = ristretto.At(qualified[i])
	}
	for i := range at {
		parts = append(parts, part{qualified[i], polynomial.LagrangeBase(uint(i), at, ristretto.Group.NewScalar())})
	}
	return parts
}

// combine makes the key, and says whether there is one.
func (c *Ceremony) combine() bool {
	parts := c.parts()
	if parts == nil {
		return false
	}
	sum := make([]group.Element, c.session.Threshold)
	for i := range sum {
		sum[i] = ristretto.Group.Identity()
		for _, p := range parts {
			sum[i] = ristretto.Group.NewElement().Add(sum[i], ristretto.Group.NewElement().Mul(c.dealer(p.dealer).commitment[i], p.weight))
		}
	}
	key, err := tdh2.NewKey(ristretto.Encoded(sum), uint32(len(c.receivers)))
	if err != nil || c.old != nil && key.Public() != c.old.Public() {
		return false
	}
	c.key = key
	return true
}
