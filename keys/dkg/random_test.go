package dkg

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// Whatever fewer parties than a threshold do, no honest one is named, and a key that is made is opened by the honest ones' shares. A ceremony fails only if
// a receiver is silent, or if too few dealers are left.
func TestDishonestPartiesAreNamedAndHonestOnesAreNot(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(r, "n")
		threshold := rapid.IntRange(n/2+1, n).Draw(r, "threshold")
		w := begin(t, session(n, threshold), nil)
		bad := map[uint32]bool{}
		for range rapid.IntRange(0, min(threshold-1, n-threshold+1)).Draw(r, "dishonest") {
			bad[uint32(rapid.IntRange(1, n).Draw(r, "who"))] = true
		}
		silent := map[uint32]bool{} // as a receiver
		changed := map[uint32]bool{}
		w.change = func(s Statement) Statement {
			lie := func(number uint32) bool { return bad[number] && rapid.Bool().Draw(r, "lies") }
			switch s := s.(type) {
			case *Register:
				if lie(s.Receiver) && rapid.Bool().Draw(r, "registers not") {
					silent[s.Receiver] = true
				}
				if silent[s.Receiver] {
					return nil
				}
			case *Commit:
				p := w.parties[s.Dealer-1]
				if !changed[s.Dealer] && lie(s.Dealer) {
					changed[s.Dealer] = true
					switch rapid.IntRange(0, 3).Draw(r, "dealing") {
					case 0:
						p.reveal.Boxes[rapid.IntRange(0, n-1).Draw(r, "box")][3] ^= 4
					case 1:
						p.reveal.Commitment[rapid.IntRange(0, threshold-1).Draw(r, "point")] = ristretto.Encode(ristretto.Group.Generator())
					case 2:
						p.reveal.Commitment = p.reveal.Commitment[1:]
					case 3:
						return nil
					}
					s.Dealing = p.reveal.digest(p.session)
				}
			case *Reveal:
				if lie(s.Dealer) {
					return nil
				}
			case *Verdict:
				if lie(s.Receiver) {
					v := &Verdict{Receiver: s.Receiver}
					for _, d := range slices.Sorted(slices.Values(w.c.revealed)) { // it disputes every box
						shared := ristretto.Group.NewElement().Mul(w.c.dealer(d).key, w.parties[s.Receiver-1].opening)
						v.Disputes = append(v.Disputes, Dispute{
							Dealer: d, Shared: ristretto.Encode(shared),
							Proof: context(contextDispute, w.c.digest, d, s.Receiver).Equality(w.parties[s.Receiver-1].opening,
								ristretto.Pair{Base: ristretto.Group.Generator(), Power: w.c.receiver(s.Receiver).key},
								ristretto.Pair{Base: w.c.dealer(d).key, Power: shared}),
						})
					}
					return v
				}
			case *Confirm:
				if lie(s.Receiver) {
					silent[s.Receiver] = true
				}
				if silent[s.Receiver] {
					return nil
				}
			}
			return s
		}
		w.run()
		named := map[coco.ActorID]bool{}
		for _, f := range w.c.Faults() {
			named[f.Actor] = true
		}
		for i, a := range w.c.session.Receivers {
			if number := uint32(i + 1); named[a] && !bad[number] {
				r.Fatalf("the honest party %d is named: %v", number, w.c.Faults())
			}
		}
		phase, _ := w.c.Phase()
		if phase == Failed {
			if len(silent) == 0 && len(w.c.parts()) >= threshold {
				r.Fatalf("the ceremony failed although everybody spoke: %v", w.c.Faults())
			}
			return
		}
		var honest []tdh2.Share
		for i, p := range w.parties {
			if bad[uint32(i+1)] {
				continue
			}
			share, err := p.Share(w.c)
			if err != nil {
				r.Fatal(err)
			}
			honest = append(honest, share)
		}
		if len(honest) >= threshold {
			opens(t, w.c.Key(), honest)
		}
	})
}
