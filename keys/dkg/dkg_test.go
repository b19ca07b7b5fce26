package dkg

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cloudflare/circl/group"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// world plays a ceremony: its parties, and the ledger that their statements go through.
type world struct {
	t       testing.TB
	c       *Ceremony
	parties []*Party
	seqno   uint64
	// change may replace a statement, or drop it by returning nil.
	change func(Statement) Statement
	log    [][]byte               // what the ledger holds
	own    map[uint32]keys.Secret // the private parts of the seats' keys
}

func actors(from, n int) []coco.ActorID {
	out := make([]coco.ActorID, n)
	for i := range out {
		out[i] = sha256.Sum256([]byte{byte(from + i)})
	}
	slices.SortFunc(out, func(a, b coco.ActorID) int { return slices.Compare(a[:], b[:]) })
	return out
}

func session(n, threshold int) Session {
	return Session{Network: coco.Digest{7}, Version: 1, Attempt: 1, Receivers: actors(0, n), Threshold: uint32(threshold), Window: 10}
}

// begin begins a ceremony in which each actor has one party. Old shares are by actor.
func begin(t testing.TB, s Session, old map[coco.ActorID]tdh2.Share) *world {
	t.Helper()
	c, err := Begin(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, c: c, seqno: 1, own: map[uint32]keys.Secret{}}
	all := slices.Clone(s.Receivers)
	for _, a := range s.Dealers() {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	for _, a := range all {
		receiver, dealer := uint32(slices.Index(s.Receivers, a)+1), uint32(slices.Index(s.Dealers(), a)+1)
		share, has := old[a]
		if s.Old != nil && !has {
			dealer = 0 // its share is lost
		}
		if receiver == 0 && dealer == 0 {
			continue
		}
		p, err := NewParty(c, receiver, dealer, &share)
		if err != nil {
			t.Fatal(err)
		}
		w.parties = append(w.parties, p)
	}
	return w
}

// say brings a statement through the ledger.
func (w *world) say(s Statement) error {
	w.t.Helper()
	b, err := Marshal(w.c.Digest(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	session, s, err := Parse(b)
	if err != nil || session != w.c.Digest() {
		w.t.Fatalf("a statement read back: %v", err)
	}
	w.seqno++
	w.log = append(w.log, b)
	return w.c.Apply(w.seqno, s)
}

// run plays until nothing is left to say. Phases in which somebody is silent are closed.
func (w *world) run() {
	w.t.Helper()
	for {
		spoken := false
		for _, p := range w.parties {
			s := p.Owes(w.c)
			if phase, _ := w.c.Phase(); phase == Confirming && p.receiver != 0 && w.c.Sealed(p.receiver) == nil {
				if share, err := p.Share(w.c); err == nil {
					decryption, encryption, err := committee.NewDecryption()
					if err != nil {
						w.t.Fatal(err)
					}
					w.own[p.receiver] = decryption
					s = &Confirm{Receiver: p.receiver, Encryption: encryption, Sealed: share.Value[:]} // in the clear: this is a test
				}
			}
			if s != nil && w.change != nil {
				s = w.change(s)
			}
			if s == nil {
				continue
			}
			if err := w.say(s); err == nil {
				spoken = true
			} else if !errors.Is(err, coco.ErrInvalid) {
				w.t.Fatal(err)
			}
		}
		phase, closable := w.c.Phase()
		if phase >= Done {
			return
		}
		if !spoken {
			w.seqno = max(w.seqno, closable)
			if err := w.say(&Close{Phase: phase}); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// done runs a ceremony to its key and returns the key, and the shares by actor.
func (w *world) done() (*tdh2.Key, map[coco.ActorID]tdh2.Share) {
	w.t.Helper()
	w.run()
	if phase, _ := w.c.Phase(); phase != Done {
		w.t.Fatalf("the ceremony is %s, faults %v", phase, w.c.Faults())
	}
	shares := map[coco.ActorID]tdh2.Share{}
	for i, a := range w.c.Session().Receivers {
		share := tdh2.Share{Holder: uint32(i + 1), Value: keys.Secret(w.c.Sealed(uint32(i + 1)))}
		if err := w.c.Key().Check(share); err != nil {
			w.t.Fatal(err)
		}
		shares[a] = share
	}
	w.replayed()
	return w.c.Key(), shares
}

// replayed applies the ledger's statements again, as an audit does: the result must be the same.
func (w *world) replayed() {
	w.t.Helper()
	c, err := Begin(w.c.Session(), 1)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, b := range w.log {
		_, s, err := Parse(b)
		if err != nil {
			w.t.Fatal(err)
		}
		seqno := uint64(i + 2)
		if _, ok := s.(*Close); ok {
			_, closable := c.Phase()
			seqno = max(seqno, closable)
		}
		_ = c.Apply(seqno, s) // refused ones are in the ledger, too
	}
	if fmt.Sprint(c.Faults()) != fmt.Sprint(w.c.Faults()) || !slices.Equal(c.Key().Commitment(), w.c.Key().Commitment()) {
		w.t.Fatal("the ledger's statements give another key or other faults when they are applied again")
	}
}

// opens checks that shares open what is encrypted to a key, threshold of them and not fewer.
func opens(t testing.TB, k *tdh2.Key, shares []tdh2.Share) {
	t.Helper()
	secret, c, err := k.Encapsulate([]byte("l"))
	if err != nil {
		t.Fatal(err)
	}
	var partials []tdh2.Partial
	for _, s := range shares {
		p, err := k.Decrypt(s, &c, []byte("l"))
		if err != nil {
			t.Fatal(err)
		}
		partials = append(partials, p)
	}
	for from := 0; from+k.Threshold() <= len(partials); from++ {
		got, faults, err := k.Combine(&c, []byte("l"), partials[from:from+k.Threshold()])
		if err != nil || len(faults) > 0 || !got.Equal(secret) {
			t.Fatalf("shares %d to %d open something else: %v %v", from+1, from+k.Threshold(), faults, err)
		}
		if _, _, err := k.Combine(&c, []byte("l"), partials[from:from+k.Threshold()-1]); !errors.Is(err, coco.ErrInvalid) {
			t.Fatalf("fewer shares than the threshold: error %v, expected coco.ErrInvalid", err)
		}
	}
}

func list(shares map[coco.ActorID]tdh2.Share) []tdh2.Share {
	var out []tdh2.Share
	for _, s := range shares {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b tdh2.Share) int { return int(a.Holder) - int(b.Holder) })
	return out
}

func TestACeremonyGivesEachReceiverAShareOfOneKey(t *testing.T) {
	for _, c := range []struct{ n, threshold int }{{1, 1}, {2, 1}, {3, 2}, {4, 4}, {7, 4}} {
		t.Run(fmt.Sprintf("%d of %d", c.threshold, c.n), func(t *testing.T) {
			w := begin(t, session(c.n, c.threshold), nil)
			key, shares := w.done()
			if len(w.c.Faults()) > 0 || key.Threshold() != c.threshold {
				t.Fatalf("faults %v of honest parties, threshold %d", w.c.Faults(), key.Threshold())
			}
			opens(t, key, list(shares))
			members, err := w.c.Committee()
			if err != nil {
				t.Fatal(err)
			}
			secret, sealed, err := members.Seal([]byte("l"))
			if err != nil {
				t.Fatal(err)
			}
			var parts []committee.Part
			for _, s := range list(shares) {
				part, err := members.Open(&committee.Package{Share: s, Decryption: w.own[s.Holder]}, sealed, []byte("l"))
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, part)
			}
			if got, _, err := members.Combine(sealed, []byte("l"), parts); err != nil || !got.Equal(secret) {
				t.Fatalf("the committee opens another secret: %v", err)
			}
		})
	}
}

func TestAWrongDealerIsNamedAndItsDealingIsNoPartOfTheKey(t *testing.T) {
	second := func(change func(p *Party, r *Reveal)) func(*world) {
		return func(w *world) {
			p, once := w.parties[1], false
			w.change = func(s Statement) Statement {
				if c, ok := s.(*Commit); ok && c.Dealer == 2 && !once {
					once = true
					change(p, p.reveal)
					c.Dealing = p.reveal.digest(p.session)
				}
				return s
			}
		}
	}
	extra := ristretto.Encode(ristretto.Group.NewElement().MulGen(ristretto.At(5)))
	for name, c := range map[string]struct {
		lie  func(*world)
		code Code
	}{
		"a wrong box":         {second(func(_ *Party, r *Reveal) { r.Boxes[2][0] ^= 1 }), WrongBox},
		"a box of no scalar":  {second(func(_ *Party, r *Reveal) { r.Boxes[2][31] ^= 0xff }), WrongBox},
		"exchanged boxes":     {second(func(_ *Party, r *Reveal) { r.Boxes[0], r.Boxes[1] = r.Boxes[1], r.Boxes[0] }), WrongBox},
		"a longer commitment": {second(func(_ *Party, r *Reveal) { r.Commitment = append(r.Commitment, extra) }), BadDealing},
		"a shorter one":       {second(func(_ *Party, r *Reveal) { r.Commitment = r.Commitment[:1] }), BadDealing},
		"an empty one":        {second(func(_ *Party, r *Reveal) { r.Commitment = nil }), BadDealing},
		"the identity":        {second(func(_ *Party, r *Reveal) { r.Commitment[1] = ristretto.Point{} }), BadDealing},
		"another constant":    {second(func(_ *Party, r *Reveal) { r.Commitment[0] = extra }), WrongBox},
		"too few boxes":       {second(func(_ *Party, r *Reveal) { r.Boxes = r.Boxes[:3] }), BadDealing},
		"too many boxes":      {second(func(_ *Party, r *Reveal) { r.Boxes = append(r.Boxes, Box{}) }), BadDealing},
		"silence": {func(w *world) {
			w.change = func(s Statement) Statement {
				if r, ok := s.(*Reveal); ok && r.Dealer == 2 {
					return nil
				}
				return s
			}
		}, Silent},
		"no commitment": {func(w *world) {
			w.change = func(s Statement) Statement {
				if r, ok := s.(*Commit); ok && r.Dealer == 2 {
					return nil
				}
				return s
			}
		}, Silent},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, session(4, 2), nil)
			c.lie(w)
			key, shares := w.done()
			faults := w.c.Faults()
			if len(faults) != 1 || faults[0].Actor != w.c.Session().Receivers[1] || faults[0].Code != c.code {
				t.Fatalf("faults %v, expected one of the second dealer: %s", faults, c.code)
			}
			for _, p := range w.c.parts() {
				if p.dealer == 2 {
					t.Fatal("the wrong dealing is part of the key")
				}
			}
			opens(t, key, list(shares))
		})
	}
}

// Whoever disputes right boxes is named, once, and the dealers are not.
func TestNobodyIsDisqualifiedByAnUnfoundedDispute(t *testing.T) {
	w := begin(t, session(3, 2), nil)
	w.change = func(s Statement) Statement {
		if v, ok := s.(*Verdict); ok && v.Receiver == 1 {
			p, all := w.parties[0], &Verdict{Receiver: 1}
			for _, dealer := range []uint32{2, 3} {
				d := w.c.dealer(dealer)
				shared := ristretto.Group.NewElement().Mul(d.key, p.opening)
				all.Disputes = append(all.Disputes, Dispute{
					Dealer: dealer, Shared: ristretto.Encode(shared),
					Proof: context(contextDispute, p.session, dealer, 1).Equality(p.opening,
						ristretto.Pair{Base: ristretto.Group.Generator(), Power: w.c.receiver(1).key}, ristretto.Pair{Base: d.key, Power: shared}),
				})
			}
			return all
		}
		return s
	}
	key, shares := w.done()
	if f := w.c.Faults(); len(f) != 1 || f[0].Actor != w.c.Session().Receivers[0] || f[0].Code != Unfounded {
		t.Fatalf("faults %v, expected an unfounded dispute of the first receiver", f)
	}
	if len(w.c.parts()) != 3 {
		t.Fatalf("parts %v, expected all three dealers", w.c.parts())
	}
	opens(t, key, list(shares))
}

// A dispute must show the key of that box: one with another key, another party's or another session's proof changes nothing.
func TestADisputeIsOfOneBoxOfOneSession(t *testing.T) {
	wrong := func(s Session) (*world, *Verdict) {
		w := begin(t, s, nil)
		w.change = func(s Statement) Statement {
			switch s := s.(type) {
			case *Commit:
				if p := w.parties[1]; s.Dealer == 2 {
					p.reveal.Boxes[0][0] ^= 1
					s.Dealing = p.reveal.digest(p.session)
				}
			case *Verdict:
				return nil
			}
			return s
		}
		for phase, _ := w.c.Phase(); phase < Judging; phase, _ = w.c.Phase() {
			for _, p := range w.parties {
				if s := p.Owes(w.c); s != nil && w.change(s) != nil {
					if err := w.say(s); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		return w, w.parties[0].Owes(w.c).(*Verdict)
	}
	s := session(3, 2)
	w, verdict := wrong(s)
	s.Attempt = 2
	_, other := wrong(s)
	if len(verdict.Disputes) != 1 || len(other.Disputes) != 1 {
		t.Fatalf("disputes %v and %v, expected one each", verdict.Disputes, other.Disputes)
	}
	d := verdict.Disputes[0]
	// Parties that use a key again: the statement is the same, and only the session differs.
	replayed := d
	shared, err := d.Shared.Element()
	if err != nil {
		t.Fatal(err)
	}
	replayed.Proof = context(contextDispute, s.Digest(), 2, 1).Equality(w.parties[0].opening,
		ristretto.Pair{Base: ristretto.Group.Generator(), Power: w.c.receiver(1).key}, ristretto.Pair{Base: w.c.dealer(2).key, Power: shared})
	for name, v := range map[string]*Verdict{
		"another session's, of the same keys": {Receiver: 1, Disputes: []Dispute{replayed}},
		"another session's":                   {Receiver: 1, Disputes: other.Disputes},
		"another receiver's":                  {Receiver: 3, Disputes: verdict.Disputes},
		"of another dealer":                   {Receiver: 1, Disputes: []Dispute{{Dealer: 3, Shared: d.Shared, Proof: d.Proof}}},
		"of dealer 0":                         {Receiver: 1, Disputes: []Dispute{{Dealer: 0, Shared: d.Shared, Proof: d.Proof}}},
		"of dealer 4":                         {Receiver: 1, Disputes: []Dispute{{Dealer: 4, Shared: d.Shared, Proof: d.Proof}}},
		"another key":                         {Receiver: 1, Disputes: []Dispute{{Dealer: 2, Shared: ristretto.Encode(ristretto.Group.Generator()), Proof: d.Proof}}},
		"the identity":                        {Receiver: 1, Disputes: []Dispute{{Dealer: 2, Proof: d.Proof}}},
		"the same twice":                      {Receiver: 1, Disputes: []Dispute{d, d}},
		"of receiver 0":                       {Receiver: 0},
		"of an alien receiver":                {Receiver: 4},
	} {
		if err := w.say(v); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	if len(w.c.Faults()) > 0 {
		t.Fatalf("faults %v of verdicts that were refused", w.c.Faults())
	}
	if err := w.say(verdict); err != nil || len(w.c.Faults()) != 1 {
		t.Fatalf("the right one: %v, faults %v", err, w.c.Faults())
	}
}

func TestAStatementIsOfItsPartyAndPhase(t *testing.T) {
	w := begin(t, session(3, 2), nil)
	other := begin(t, func() Session { s := session(3, 2); s.Network = coco.Digest{8}; return s }(), nil)
	mine, alien := w.parties[0].Owes(w.c).(*Register), other.parties[0].Owes(other.c).(*Register)
	moved := *mine
	moved.Receiver = 2
	for name, s := range map[string]Statement{
		"another network's": alien,
		"another party's":   &moved,
		"of receiver 0":     &Register{Key: mine.Key, Proof: mine.Proof},
		"of receiver 4":     &Register{Receiver: 4, Key: mine.Key, Proof: mine.Proof},
		"the identity":      &Register{Receiver: 1, Proof: mine.Proof},
		"too early":         &Commit{Dealer: 1, Key: mine.Key, Proof: mine.Proof},
		"much too early":    &Confirm{Receiver: 1, Sealed: []byte{1}},
		"an early end":      &Close{Phase: Registering},
		"another end":       &Close{Phase: Committing},
	} {
		if err := w.say(s); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	if err := w.say(mine); err != nil {
		t.Fatal(err)
	}
	if err := w.say(mine); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("the same again: error %v, expected coco.ErrInvalid", err)
	}
}

// A dealer that speaks twice could choose its dealing once it knows those of others, which would bias the key (Gennaro, Jarecki, Krawczyk, Rabin).
func TestADealerCommitsAndRevealsOnce(t *testing.T) {
	w := begin(t, session(3, 2), nil)
	var first *Commit
	for phase, _ := w.c.Phase(); phase < Revealing; phase, _ = w.c.Phase() {
		for i, p := range w.parties {
			s := p.Owes(w.c)
			if s == nil {
				continue
			}
			if err := w.say(s); err != nil {
				t.Fatal(err)
			}
			if c, ok := s.(*Commit); ok && i == 0 {
				first = c
				changed := *c
				changed.Dealing[0] ^= 1
				if err := w.say(&changed); !errors.Is(err, coco.ErrInvalid) {
					t.Fatalf("another commitment of dealer 1: error %v, expected coco.ErrInvalid", err)
				}
			}
		}
	}
	if err := w.say(first); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a commitment that comes too late: error %v, expected coco.ErrInvalid", err)
	}
	reveal := w.parties[0].Owes(w.c)
	for i, want := range []error{nil, coco.ErrInvalid} {
		if err := w.say(reveal); !errors.Is(err, want) {
			t.Errorf("the dealing, for the %d. time: error %v", i+1, err)
		}
	}
	if f := w.c.Faults(); len(f) > 0 {
		t.Errorf("faults %v", f)
	}
	w.done()
}

// A dealer that copies what another one committed to and dealt would cancel or double it.
func TestADealingIsNotCopied(t *testing.T) {
	w := begin(t, session(3, 2), nil)
	var first *Commit
	w.change = func(s Statement) Statement {
		switch s := s.(type) {
		case *Commit:
			if s.Dealer == 1 {
				first = s
			}
			if s.Dealer == 2 {
				return &Commit{Dealer: 2, Key: s.Key, Proof: s.Proof, Dealing: first.Dealing}
			}
		case *Reveal:
			if s.Dealer == 2 {
				copied := *w.parties[0].reveal
				copied.Dealer = 2
				return &copied
			}
		}
		return s
	}
	w.done()
	if f := w.c.Faults(); len(f) != 1 || f[0].Actor != w.c.Session().Receivers[1] || f[0].Code != Silent {
		t.Fatalf("faults %v, expected the second dealer's silence", f)
	}
}

// Without every receiver's share a key would belong to fewer than was voted.
func TestACeremonyThatLacksAReceiverFailsAndNamesIt(t *testing.T) {
	for phase, drop := range map[Phase]func(Statement) bool{
		Registering: func(s Statement) bool { r, ok := s.(*Register); return ok && r.Receiver == 3 },
		Confirming:  func(s Statement) bool { r, ok := s.(*Confirm); return ok && r.Receiver == 3 },
	} {
		w := begin(t, session(3, 2), nil)
		w.change = func(s Statement) Statement {
			if drop(s) {
				return nil
			}
			return s
		}
		w.run()
		last, _ := w.c.Phase()
		if f := w.c.Faults(); last != Failed || len(f) != 1 || f[0] != (Fault{phase, w.c.Session().Receivers[2], Silent}) {
			t.Errorf("%s, faults %v; expected that it failed for the third receiver's silence while %s", last, f, phase)
		}
	}
}

// With too few right dealers, a dishonest one could know the whole key.
func TestACeremonyWithTooFewRightDealersFails(t *testing.T) {
	w := begin(t, session(3, 2), nil)
	w.change = func(s Statement) Statement {
		if r, ok := s.(*Reveal); ok && r.Dealer != 3 {
			return nil
		}
		return s
	}
	w.run()
	if phase, _ := w.c.Phase(); phase != Failed || w.c.Key() != nil {
		t.Fatalf("%s with a key: %v", phase, w.c.Key() != nil)
	}
}

func reshare(w *world, key *tdh2.Key, n, threshold, from int) Session {
	s := w.c.Session()
	return Session{
		Network: s.Network, Version: s.Version, Attempt: s.Attempt + 1, Receivers: actors(from, n), Threshold: uint32(threshold), Window: 10,
		Old: &Old{Holders: s.Receivers, Commitment: key.Commitment()},
	}
}

func TestAResharingKeepsThePublicKeyAndChangesEveryShare(t *testing.T) {
	first := begin(t, session(4, 2), nil)
	key, shares := first.done()
	secret, ciphertext, err := key.Encapsulate([]byte("l"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ n, threshold, from, lost int }{
		"a refresh":                       {4, 2, 0, 0},
		"one joins":                       {5, 3, 0, 0},
		"others":                          {3, 3, 10, 0},
		"as many are left as are needed":  {4, 2, 0, 2},
		"a threshold of one":              {2, 1, 0, 0},
		"some join and two have left for": {3, 2, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			left := map[coco.ActorID]tdh2.Share{}
			for _, a := range first.c.Session().Receivers[c.lost:] {
				left[a] = shares[a]
			}
			w := begin(t, reshare(first, key, c.n, c.threshold, c.from), left)
			again, fresh := w.done()
			if again.Public() != key.Public() || again.Threshold() != c.threshold || int(again.Holders()) != c.n {
				t.Fatalf("another key: %x, threshold %d, %d holders", again.Public(), again.Threshold(), again.Holders())
			}
			opens(t, again, list(fresh))
			// What was encrypted before is opened by new shares.
			var partials []tdh2.Partial
			for _, s := range list(fresh) {
				p, err := again.Decrypt(s, &ciphertext, []byte("l"))
				if err != nil {
					t.Fatal(err)
				}
				partials = append(partials, p)
			}
			if got, _, err := again.Combine(&ciphertext, []byte("l"), partials); err != nil || !got.Equal(secret) {
				t.Fatalf("what was encrypted before: %v", err)
			}
			// Old and new shares do not mix: an old one is of no holder of the new key.
			for _, old := range list(shares) {
				for holder := range again.Holders() {
					if err := again.Check(tdh2.Share{Holder: holder + 1, Value: old.Value}); err == nil {
						t.Fatalf("the old share %d is one of the new key", old.Holder)
					}
				}
			}
		})
	}
}

func TestADealerOfAResharingDealsItsOldShare(t *testing.T) {
	first := begin(t, session(3, 2), nil)
	key, shares := first.done()
	w := begin(t, reshare(first, key, 3, 2, 0), shares)
	once := false
	w.change = func(s Statement) Statement {
		if c, ok := s.(*Commit); ok && c.Dealer == 1 && !once {
			once = true
			p := w.parties[0]
			p.constant, p.commit = ristretto.At(42), nil // a share of its own choice
			return p.commits(w.c)
		}
		return s
	}
	again, fresh := w.done()
	if f := w.c.Faults(); len(f) != 1 || f[0].Actor != w.c.Session().Old.Holders[0] || f[0].Code != BadDealing {
		t.Fatalf("faults %v, expected a bad dealing of the first dealer", f)
	}
	if again.Public() != key.Public() {
		t.Fatal("the public key is another one")
	}
	opens(t, again, list(fresh))
	// A party that holds another share is refused before it deals.
	if _, err := NewParty(w.c, 1, 1, &tdh2.Share{Holder: 1, Value: shares[first.c.Session().Receivers[1]].Value}); !errors.Is(err, coco.ErrInvalid) {
		t.Fatalf("another's share: error %v, expected coco.ErrInvalid", err)
	}
}

// A resharing that half of the committee finished leaves the old key as it was.
func TestAResharingThatFailsLeavesTheOldKey(t *testing.T) {
	first := begin(t, session(3, 2), nil)
	key, shares := first.done()
	w := begin(t, reshare(first, key, 3, 2, 0), shares)
	w.change = func(s Statement) Statement {
		if c, ok := s.(*Confirm); ok && c.Receiver > 1 {
			return nil
		}
		return s
	}
	w.run()
	if phase, _ := w.c.Phase(); phase != Failed {
		t.Fatalf("the resharing is %s", phase)
	}
	opens(t, key, list(shares))
	// One new share and one old one open nothing.
	renewed := tdh2.Share{Holder: 1, Value: keys.Secret(w.c.Sealed(1))}
	if err := key.Check(renewed); !errors.Is(err, coco.ErrInvalid) {
		t.Fatalf("a new share under the old key: error %v, expected coco.ErrInvalid", err)
	}
}

func TestASessionThatCannotBeIsRefused(t *testing.T) {
	w := begin(t, session(3, 2), nil)
	key, _ := w.done()
	for name, change := range map[string]func(*Session){
		"no receivers":                 func(s *Session) { s.Receivers = nil },
		"a receiver twice":             func(s *Session) { s.Receivers[1] = s.Receivers[0] },
		"no order":                     func(s *Session) { s.Receivers[0], s.Receivers[1] = s.Receivers[1], s.Receivers[0] },
		"a threshold of 0":             func(s *Session) { s.Threshold = 0 },
		"a threshold of 4":             func(s *Session) { s.Threshold = 4 },
		"too many receivers":           func(s *Session) { s.Receivers = make([]coco.ActorID, keys.MaxMembers+1) },
		"an endless window":            func(s *Session) { s.Window = 1 << 63 },
		"an old key without holders":   func(s *Session) { s.Old = &Old{Commitment: key.Commitment()} },
		"an old holder twice":          func(s *Session) { s.Old = &Old{[]coco.ActorID{{1}, {1}}, key.Commitment()} },
		"an old key of too few":        func(s *Session) { s.Old = &Old{actors(0, 1), key.Commitment()} },
		"an old key without a point":   func(s *Session) { s.Old = &Old{actors(0, 3), nil} },
		"an old key with the identity": func(s *Session) { s.Old = &Old{actors(0, 3), make([]ristretto.Point, 2)} },
	} {
		s := session(3, 2)
		change(&s)
		if _, err := Begin(s, 1); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	if a, b := session(3, 2), session(3, 3); a.Digest() == b.Digest() {
		t.Error("two sessions have one digest")
	}
}

func TestNoPartyPrints(t *testing.T) {
	w := begin(t, session(1, 1), nil)
	for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(f, w.parties[0]); got != "[party of a key generation]" {
			t.Errorf("%s prints %q", f, got)
		}
	}
}

// Whatever Parse reads, Marshal writes again, and Apply does not panic over it.
func FuzzStatements(f *testing.F) {
	w := begin(f, session(3, 2), nil)
	w.run()
	for _, b := range w.log {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		session, s, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Marshal(session, s)
		if err != nil || string(again) != string(b) {
			t.Fatalf("%x is written as %x (%v)", b, again, err)
		}
		for stop := range w.log {
			c, _ := Begin(w.c.Session(), 1)
			for i, b := range w.log[:stop] {
				_, s, _ := Parse(b)
				_ = c.Apply(uint64(i+2), s)
			}
			_ = c.Apply(1000, s)
			if stop > 4 {
				break // a phase each is enough: the statements are slow to check
			}
		}
	})
}

func BenchmarkCeremony(b *testing.B) {
	for _, c := range []struct{ n, threshold int }{{3, 2}, {10, 6}, {50, 26}} {
		b.Run(fmt.Sprintf("new_%d_of_%d", c.threshold, c.n), func(b *testing.B) {
			for b.Loop() {
				w := begin(b, session(c.n, c.threshold), nil)
				w.run()
			}
		})
		b.Run(fmt.Sprintf("reshare_%d_of_%d", c.threshold, c.n), func(b *testing.B) {
			first := begin(b, session(c.n, c.threshold), nil)
			key, shares := first.done()
			for b.Loop() {
				w := begin(b, reshare(first, key, c.n, c.threshold, 0), shares)
				w.run()
			}
		})
	}
}

// Old shares from another set of dealers give other new shares of the same key, and the two do not mix. So the ledger's order decides whose dealings count: those of the first
// dealers that revealed right ones, as many as are needed. Later ones are right, and no part of the key.
func TestTheFirstDealersInTheLedgersOrderShareAKeyAnew(t *testing.T) {
	first := begin(t, session(4, 2), nil)
	key, shares := first.done()
	w := begin(t, reshare(first, key, 4, 2, 0), shares)
	revealed := 0
	w.change = func(s Statement) Statement {
		r, ok := s.(*Reveal)
		switch {
		case !ok:
		case r.Dealer <= 2 && revealed < 2:
			return nil // these two wait for the others
		default:
			revealed++
		}
		return s
	}
	again, _ := w.done()
	parts := w.c.parts()
	if len(parts) != 2 || parts[0].dealer != 3 || parts[1].dealer != 4 || len(w.c.revealed) != 4 {
		t.Fatalf("%d dealings of %d make the key: %+v, expected those of dealers 3 and 4, who revealed first", len(parts), len(w.c.revealed), parts)
	}
	sum := ristretto.Group.Identity()
	for _, p := range parts {
		sum = ristretto.Group.NewElement().Add(sum, ristretto.Group.NewElement().Mul(w.c.dealer(p.dealer).commitment[1], p.weight))
	}
	if want := ristretto.Encoded([]group.Element{sum})[0]; again.Commitment()[1] != want {
		t.Error("another dealing is part of the key")
	}
}
