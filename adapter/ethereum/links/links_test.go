package links

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
)

// memory is a transaction over rows in memory.
type memory map[string][]byte

func (m memory) Get(_ string, key []byte) ([]byte, bool) { v, ok := m[string(key)]; return v, ok }
func (m memory) Put(_ string, key, value []byte)         { m[string(key)] = bytes.Clone(value) }
func (m memory) Delete(_ string, key []byte)             { delete(m, string(key)) }

func (m memory) Range(_ string, from, to []byte, fn func(key, value []byte) bool) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if key >= string(from) && (to == nil || key < string(to)) && !fn([]byte(key), m[key]) {
			return
		}
	}
}

func address(n byte) common.Address { return common.Address{19: n} }

func TestAddressBelongsToOneHolder(t *testing.T) {
	m := memory{}
	acme, globex := coco.ActorID{0xff, 31: 0xff}, coco.ActorID{2}
	link := func(n byte, actor coco.ActorID, user string, issued uint64) {
		t.Helper()
		if err := Link(m, address(n), Holder{actor, user, issued}, issued); err != nil {
			t.Fatal(err)
		}
	}
	link(1, acme, "", 1)
	link(3, acme, "kim", 2)
	link(2, acme, "kim", 3)
	link(4, globex, "kim", 4)
	if got, want := Addresses(m, acme, "kim"), []common.Address{address(3), address(2)}; !slices.Equal(got, want) {
		t.Errorf("addresses of kim: %v, want %v, in the order in which they were linked", got, want)
	}
	link(3, globex, "", 5)
	if got, want := Addresses(m, acme, "kim"), []common.Address{address(2)}; !slices.Equal(got, want) {
		t.Errorf("after another one's claim: %v, want %v", got, want)
	}
	h, ok := Of(m, address(3))
	if !ok || h != (Holder{globex, "", 5}) {
		t.Errorf("holder %v, %v", h, ok)
	}
	if !h.Is(globex, "") || h.Is(globex, "kim") || h.Is(acme, "") {
		t.Error("an address of the organisation itself is none of its users', and none of another organisation's")
	}
	if h, _ := Of(m, address(2)); !h.Is(acme, "") || !h.Is(acme, "kim") || h.Is(acme, "lee") {
		t.Error("a user's address is the organisation's, and none of another user's")
	}
	var all []Linked
	OfActor(m, acme, func(l Linked) bool { all = append(all, l); return true })
	if want := []Linked{{address(1), Holder{acme, "", 1}}, {address(2), Holder{acme, "kim", 3}}}; !reflect.DeepEqual(all, want) {
		t.Errorf("links of acme: %v, want %v", all, want)
	}
	if err := Unlink(m, address(2), 6); err != nil {
		t.Fatal(err)
	}
	if _, ok := Of(m, address(2)); ok || Addresses(m, acme, "kim") != nil {
		t.Error("an unlinked address has a holder")
	}
	if r, err := Read(m, address(2)); err != nil || r.Linked || r.Issued != 6 {
		t.Errorf("row of an unlinked address: %+v, %v: its statement's time must stay", r, err)
	}
}

func TestHolderHasBoundedAddresses(t *testing.T) {
	m := memory{}
	for n := range byte(MaxAddresses) {
		if err := Link(m, address(n), Holder{User: "kim"}, 1); err != nil {
			t.Fatal(err)
		}
	}
	before := maps.Clone(m)
	if err := Link(m, address(MaxAddresses), Holder{User: "kim"}, 1); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("one more: %v", err)
	}
	if !reflect.DeepEqual(m, before) {
		t.Error("a refused link has changed rows")
	}
	if err := Link(m, address(0), Holder{User: "kim", Since: 2}, 2); err != nil {
		t.Errorf("again one that is there: %v", err)
	}
	if err := Link(m, address(1), Holder{User: strings.Repeat("k", coco.MaxUser+1)}, 2); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("user too long: %v", err)
	}
}

// Random links against a map and a list.
func TestLinksAgreeWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := memory{}
		holders := map[common.Address]Holder{}
		var order []common.Address
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			a := address(rapid.Byte().Draw(t, "address") % 8)
			if rapid.Bool().Draw(t, "link") {
				h := Holder{coco.ActorID{rapid.Byte().Draw(t, "actor") % 3}, []string{"", "k", "kim"}[rapid.IntRange(0, 2).Draw(t, "user")], 1}
				if holders[a].Actor != h.Actor || holders[a].User != h.User || holders[a].Since == 0 {
					order = append(slices.DeleteFunc(order, func(o common.Address) bool { return o == a }), a)
				}
				holders[a] = h
				if err := Link(m, a, h, 1); err != nil {
					t.Fatal(err)
				}
			} else {
				order = slices.DeleteFunc(order, func(o common.Address) bool { return o == a })
				delete(holders, a)
				if err := Unlink(m, a, 1); err != nil {
					t.Fatal(err)
				}
			}
			for actor := range byte(3) {
				for _, user := range []string{"", "k", "kim"} {
					var want []common.Address
					for _, a := range order {
						if h := holders[a]; h.Actor == (coco.ActorID{actor}) && h.User == user {
							want = append(want, a)
						}
					}
					if got := Addresses(m, coco.ActorID{actor}, user); !slices.Equal(got, want) {
						t.Fatalf("addresses of %d %q: %v, want %v", actor, user, got, want)
					}
				}
			}
			for n := range byte(8) {
				got, ok := Of(m, address(n))
				if want, linked := holders[address(n)]; ok != linked || got != want {
					t.Fatalf("holder of %d: %v %v, want %v %v", n, got, ok, want, linked)
				}
			}
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add((&Row{Issued: 7}).Encode())
	f.Add((&Row{Holder{coco.ActorID{1}, "kim", 3}, true, 7}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeRow(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Errorf("%x decodes to %+v, which encodes to %x", b, r, r.Encode())
		}
	})
}
