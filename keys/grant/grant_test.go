package grant

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
)

// world is a grant of an auditor, sealed to a committee of 2 of 3.
type world struct {
	of        Of
	committee *committee.Committee
	packages  []*committee.Package
	auditor   *keys.MemberKey
	sealing   *Sealing
	parts     map[uint32][]byte
}

func newWorld(t testing.TB, a keys.Algorithm) *world {
	t.Helper()
	auditor, err := keys.NewMemberKey(a)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{of: Of{Network: coco.Digest{7}, Grant: 3, Committee: 5, Key: 2, To: auditor.Public()}, auditor: auditor, parts: map[uint32][]byte{}}
	if w.committee, w.packages, err = committee.Deal([]coco.ActorID{{1}, {2}, {3}}, 2); err != nil {
		t.Fatal(err)
	}
	if w.sealing, err = New(w.committee, w.of); err != nil {
		t.Fatal(err)
	}
	for i, p := range w.packages {
		if w.parts[uint32(i+1)], err = w.sealing.Part(w.committee, w.of, p); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// only returns the parts of some seats.
func (w *world) only(seats ...uint32) map[uint32][]byte {
	out := map[uint32][]byte{}
	for _, s := range seats {
		out[s] = w.parts[s]
	}
	return out
}

// toCombine is the committee as the auditor knows it: without the seats' own keys.
func (w *world) toCombine(t testing.TB) *committee.Committee {
	t.Helper()
	c, err := committee.ToCombine(w.committee.Key().Commitment(), []coco.ActorID{{1}, {2}, {3}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnyThresholdOfPartsGivesTheAuditorItsEpochs(t *testing.T) {
	for _, a := range []keys.Algorithm{keys.XWing, keys.X25519} {
		w := newWorld(t, a)
		if err := w.sealing.Check(w.committee, w.of); err != nil {
			t.Fatal(err)
		}
		encoded, err := w.sealing.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(encoded)
		if err != nil {
			t.Fatal(err)
		}
		secret := keys.Secret{9}
		box, err := keys.GrantEpoch(w.of.Network, 4, secret, s.Public)
		if err != nil || CheckBox(w.of, 4, box) != nil {
			t.Fatalf("a box: %v, %v", err, CheckBox(w.of, 4, box))
		}
		for _, seats := range [][]uint32{{1, 2}, {1, 3}, {2, 3}, {1, 2, 3}} {
			private, faults, err := s.Open(w.toCombine(t), w.of, w.auditor, w.only(seats...))
			if err != nil || len(faults) > 0 {
				t.Fatalf("%s, seats %v: %v, %v", a, seats, faults, err)
			}
			got, err := private.OpenGrant(w.of.Network, 4, box)
			if err != nil {
				t.Fatal(err)
			}
			salt, err := got.Salt(1, 2)
			want, _ := batch.ReadingOf(4, secret).Keys(4).Salt(1, 2)
			if err != nil || salt != want {
				t.Errorf("what reads the epoch is something else (%v)", err)
			}
			if _, err := private.OpenGrant(w.of.Network, 5, box); !errors.Is(err, coco.ErrVerify) {
				t.Errorf("another epoch's box: %v", err)
			}
		}
		for _, seats := range [][]uint32{{}, {1}, {2}, {3}} {
			if _, _, err := s.Open(w.toCombine(t), w.of, w.auditor, w.only(seats...)); !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("seats %v: %v, expected coco.ErrInvalid", seats, err)
			}
		}
		for seat, part := range w.parts {
			if err := CheckPart(w.of, part); err != nil {
				t.Errorf("seat %d: %v", seat, err)
			}
		}
	}
}

func TestAWrongPartIsNamedAndTheOthersCount(t *testing.T) {
	w := newWorld(t, keys.XWing)
	other := newWorld(t, keys.XWing)
	stranger, err := keys.NewMemberKey(keys.XWing)
	if err != nil {
		t.Fatal(err)
	}
	made := func(of Of, p *committee.Package, s *Sealing, c *committee.Committee) []byte {
		box, err := s.Part(c, of, p)
		if err != nil {
			t.Fatal(err)
		}
		return box
	}
	toOther := w.of
	toOther.To = stranger.Public()
	ofStranger, err := New(w.committee, toOther)
	if err != nil {
		t.Fatal(err)
	}
	// junk is what a seat encrypts that holds another secret: its proof is wrong.
	junk, err := keys.SealTo(w.of.To, w.sealing.info(w.of, 1), make([]byte, partSize))
	if err != nil {
		t.Fatal(err)
	}
	for name, box := range map[string][]byte{
		"another seat's":           w.parts[2],
		"another sealing's":        other.parts[1],
		"for another key":          made(toOther, w.packages[0], ofStranger, w.committee),
		"altered":                  append([]byte{w.parts[1][0] ^ 1}, w.parts[1][1:]...),
		"shorter":                  w.parts[1][1:],
		"empty":                    {},
		"without a right proof":    junk,
		"of a share of a shorter":  mustSeal(t, w, 1, make([]byte, partSize-1)),
		"of the identity and zero": mustSeal(t, w, 1, slices.Repeat([]byte{0xff}, partSize)),
	} {
		parts := w.only(1, 2, 3)
		parts[1] = box
		_, faults, err := w.sealing.Open(w.toCombine(t), w.of, w.auditor, parts)
		var wrong *committee.PartError
		if err != nil || len(faults) != 1 || !errors.As(faults[0], &wrong) || wrong.Seat != 1 || wrong.Actor != (coco.ActorID{1}) {
			t.Errorf("%s: faults %v, %v", name, faults, err)
		}
		parts = w.only(1, 2)
		parts[1] = box
		if _, faults, err := w.sealing.Open(w.toCombine(t), w.of, w.auditor, parts); !errors.Is(err, coco.ErrInvalid) || len(faults) != 1 {
			t.Errorf("%s and one other: faults %v, %v", name, faults, err)
		}
	}
}

func mustSeal(t *testing.T, w *world, seat uint32, plain []byte) []byte {
	t.Helper()
	box, err := keys.SealTo(w.of.To, w.sealing.info(w.of, seat), plain)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestASealingIsOfOneGrant(t *testing.T) {
	w := newWorld(t, keys.XWing)
	stranger, err := keys.NewMemberKey(keys.X25519)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Of){
		"network":   func(o *Of) { o.Network[0] ^= 1 },
		"grant":     func(o *Of) { o.Grant++ },
		"committee": func(o *Of) { o.Committee++ },
		"key":       func(o *Of) { o.Key++ },
		"auditor":   func(o *Of) { o.To = stranger.Public() },
	} {
		of := w.of
		change(&of)
		if err := w.sealing.Check(w.committee, of); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("another %s: %v, expected coco.ErrVerify", name, err)
		}
		if _, err := w.sealing.Part(w.committee, of, w.packages[0]); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("a part for another %s: %v, expected coco.ErrVerify", name, err)
		}
		if _, _, err := w.sealing.Open(w.toCombine(t), of, w.auditor, w.parts); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("opened as another %s: %v", name, err)
		}
	}
	if _, _, err := w.sealing.Open(w.toCombine(t), w.of, stranger, w.parts); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("another auditor's key: %v", err)
	}
	bad := *w.sealing
	bad.Public = stranger.Public()
	if err := bad.Check(w.committee, w.of); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a key of another size: %v", err)
	}
	other := newWorld(t, keys.XWing)
	bad.Public = other.sealing.Public
	if _, _, err := bad.Open(w.toCombine(t), w.of, w.auditor, w.parts); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a sealing with another key: %v", err)
	}
	if _, err := New(w.toCombine(t), w.of); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("sealed to a committee whose keys are not known: %v", err)
	}
	for _, n := range []int{0, BoxSize - 1, BoxSize + 1} {
		if err := CheckBox(w.of, 1, make([]byte, n)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("a box of %d bytes: %v", n, err)
		}
	}
	if err := CheckPart(w.of, append(slices.Clone(w.parts[1]), 0)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a part that is too long: %v", err)
	}
	if err := CheckPart(Of{}, w.parts[1]); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a part for no key: %v", err)
	}
}

func FuzzSealing(f *testing.F) {
	w := newWorld(f, keys.XWing)
	b, err := w.sealing.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("error %v, expected coco.ErrCorrupt", err)
			}
			return
		}
		again, err := s.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("what parses is written as something else: %v", err)
		}
		if s.Check(w.committee, w.of) == nil && !bytes.Equal(s.Sealed.Ciphertext.U[:], w.sealing.Sealed.Ciphertext.U[:]) {
			t.Fatal("another ciphertext passes")
		}
		_, _, _ = s.Open(w.committee, w.of, w.auditor, w.parts)
	})
}

// FuzzPart: whatever a seat encrypts to the auditor, it is a part of that seat that is right, or one that is named.
func FuzzPart(f *testing.F) {
	w := newWorld(f, keys.X25519)
	f.Add(make([]byte, partSize))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		box, err := keys.SealTo(w.of.To, w.sealing.info(w.of, 1), plain)
		if err != nil {
			t.Fatal(err)
		}
		parts := w.only(2, 3)
		parts[1] = box
		if _, faults, err := w.sealing.Open(w.committee, w.of, w.auditor, parts); err != nil || len(faults) != 1 {
			t.Fatalf("faults %v, %v", faults, err)
		}
	})
}
