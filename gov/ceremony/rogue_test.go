package ceremony_test

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/store"
)

// rogue is another program in the place of a party, written after the documented forms of the statements: what it proves is right, and what it deals is not.
type rogue struct {
	session coco.Digest
	opening group.Scalar // of the receiver's ephemeral key
	commit  *dkg.Commit
	reveal  *dkg.Reveal
}

func newRogue() *rogue { return new(rogue) }

// of forgets what was said in another session.
func (r *rogue) of(session coco.Digest) {
	if r.session != session {
		*r = rogue{session: session}
	}
}

func statementContext(name string, session coco.Digest, numbers ...uint32) ristretto.Context {
	b := slices.Clone(session[:])
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return ristretto.Context{Name: name, Digest: sha256.Sum256(b)}
}

// follows calls fn with the ceremony that runs.
func (l *liars) follows(fn func(*ceremony.Running)) {
	l.Read(func(r store.Reader) {
		c, err := l.read.Running(r)
		if err != nil {
			l.t.Fatal(err)
		}
		fn(c)
	})
}

// statements returns the keys that receivers have registered, and the dealers' own, by their numbers.
func (l *liars) statements() (receivers, dealers map[uint32]ristretto.Point, revealed []uint32) {
	receivers, dealers = map[uint32]ristretto.Point{}, map[uint32]ristretto.Point{}
	for _, raw := range l.spoken() {
		_, s, err := dkg.Parse(raw)
		if err != nil {
			l.t.Fatal(err)
		}
		switch s := s.(type) {
		case *dkg.Register:
			receivers[s.Receiver] = s.Key
		case *dkg.Commit:
			dealers[s.Dealer] = s.Key
		case *dkg.Reveal:
			revealed = append(revealed, s.Dealer)
		}
	}
	return receivers, dealers, revealed
}

// deals makes a dealing, and alters it before it is bound by a hash. Another one is not of the share of the old key that the liar has.
func (l *liars) deals(number uint32, another bool, alter func(*dkg.Reveal)) {
	r := l.rogue
	if r.commit != nil {
		return
	}
	receivers, _, _ := l.statements()
	random := func() group.Scalar { return ristretto.Group.RandomNonZeroScalar(rand.Reader) }
	var coefficients []group.Scalar
	l.follows(func(c *ceremony.Running) {
		for range c.Session.Threshold {
			coefficients = append(coefficients, random())
		}
		if p, ok := l.machines[l.liar].Kept().Packages[number]; ok && c.Session.Old != nil && !another {
			coefficients[0] = l.scalar(p.Share.Value)
		}
	})
	r.reveal = &dkg.Reveal{Dealer: number}
	for _, a := range coefficients {
		r.reveal.Commitment = append(r.reveal.Commitment, ristretto.Encode(ristretto.Group.NewElement().MulGen(a)))
	}
	dealt, sealing := polynomial.New(coefficients), random()
	for i := range uint32(len(receivers)) {
		to, err := receivers[i+1].Element()
		if err != nil {
			l.t.Fatal(err)
		}
		box := dkg.Box(ristretto.SecretOf(dealt.Evaluate(ristretto.At(i + 1))))
		shared := ristretto.Encode(ristretto.Group.NewElement().Mul(to, sealing))
		info := append([]byte("coco dkg box v1\x00"), r.session[:]...)
		info = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(info, number), i+1)
		pad, err := hkdf.Key(sha256.New, shared[:], nil, string(info), len(box))
		if err != nil {
			l.t.Fatal(err)
		}
		for k := range box {
			box[k] ^= pad[k]
		}
		r.reveal.Boxes = append(r.reveal.Boxes, box)
	}
	alter(r.reveal)
	b, err := canon.Marshal(r.reveal)
	if err != nil {
		l.t.Fatal(err)
	}
	r.commit = &dkg.Commit{
		Dealer: number, Key: ristretto.Encode(ristretto.Group.NewElement().MulGen(sealing)),
		Proof:   statementContext("coco dkg dealer v1", r.session, number).Possession(sealing),
		Dealing: sha256.Sum256(slices.Concat([]byte("coco dkg dealing v1\x00"), r.session[:], b)),
	}
}

func (l *liars) scalar(s keys.Secret) group.Scalar {
	l.t.Helper()
	v, err := ristretto.ParseScalar(s[:])
	if err != nil {
		l.t.Fatal(err)
	}
	return v
}

// dealing lies with a dealing that is altered.
func dealing(name string, code dkg.Code, another bool, alter func(*dkg.Reveal)) lie {
	return lie{step: dkg.Revealing.String(), name: name, code: code, old: another, say: func(l *liars, s dkg.Statement) []dkg.Statement {
		l.follows(func(c *ceremony.Running) { l.rogue.of(c.Ceremony.Digest()) })
		switch s := s.(type) {
		case *dkg.Commit:
			l.deals(s.Dealer, another, alter)
			return []dkg.Statement{l.rogue.commit}
		case *dkg.Reveal:
			return []dkg.Statement{l.rogue.reveal}
		}
		return []dkg.Statement{s}
	}}
}

// rogueLies are those that need another program.
func rogueLies() []lie {
	return []lie{
		dealing("a longer commitment", dkg.BadDealing, false, func(r *dkg.Reveal) { r.Commitment = append(r.Commitment, r.Commitment[0]) }),
		dealing("no commitment", dkg.BadDealing, false, func(r *dkg.Reveal) { r.Commitment = nil }),
		dealing("too few boxes", dkg.BadDealing, false, func(r *dkg.Reveal) { r.Boxes = r.Boxes[:2] }),
		dealing("a wrong box", dkg.WrongBox, false, func(r *dkg.Reveal) { r.Boxes[0][3] ^= 4; r.Boxes[1][3] ^= 4; r.Boxes[2][3] ^= 4 }),
		dealing("another constant than its old share", dkg.BadDealing, true, func(*dkg.Reveal) {}),
		{step: dkg.Judging.String(), name: "an unfounded dispute", code: dkg.Unfounded, say: func(l *liars, s dkg.Statement) []dkg.Statement {
			l.follows(func(c *ceremony.Running) { l.rogue.of(c.Ceremony.Digest()) })
			switch s := s.(type) {
			case *dkg.Register:
				if l.rogue.opening == nil {
					l.rogue.opening = ristretto.Group.RandomNonZeroScalar(rand.Reader)
				}
				return []dkg.Statement{&dkg.Register{
					Receiver: s.Receiver, Key: ristretto.Encode(ristretto.Group.NewElement().MulGen(l.rogue.opening)),
					Proof: statementContext("coco dkg receiver v1", l.rogue.session, s.Receiver).Possession(l.rogue.opening),
				}}
			case *dkg.Verdict:
				return []dkg.Statement{l.disputes(s.Receiver)}
			}
			return []dkg.Statement{s}
		}},
	}
}

// disputes disputes the box of every dealer, with proofs that are right.
func (l *liars) disputes(receiver uint32) dkg.Statement {
	receivers, dealers, revealed := l.statements()
	own, err := receivers[receiver].Element()
	if err != nil {
		l.t.Fatal(err)
	}
	v := &dkg.Verdict{Receiver: receiver}
	slices.Sort(revealed)
	for _, d := range revealed {
		key, err := dealers[d].Element()
		if err != nil {
			l.t.Fatal(err)
		}
		shared := ristretto.Group.NewElement().Mul(key, l.rogue.opening)
		v.Disputes = append(v.Disputes, dkg.Dispute{
			Dealer: d, Shared: ristretto.Encode(shared),
			Proof: statementContext("coco dkg dispute v1", l.rogue.session, d, receiver).Equality(l.rogue.opening,
				ristretto.Pair{Base: ristretto.Group.Generator(), Power: own}, ristretto.Pair{Base: key, Power: shared}),
		})
	}
	return v
}
