package seats

import (
	"maps"

	"github.com/cocoframework/coco/keys/committee"
)

// Kept are the packages that a node keeps sealed to its machine and code, where the constitution allows that its network goes on by itself after all
// nodes have stopped (package resume).
type Kept struct {
	Committee uint64                       `cbor:"1,keyasint"` // its number; 0 if there are none
	Packages  map[uint32]committee.Package `cbor:"2,keyasint"` // by the seats
}

// Kept returns a copy of the packages that the node has of the committee in force.
func (m *Machine) Kept() Kept {
	k := Kept{Committee: m.held.committee, Packages: map[uint32]committee.Package{}}
	for seat, p := range m.held.of {
		k.Packages[seat] = *p
	}
	return k
}

// Restore gives the machine what it has returned in an earlier life. It counts if the committee is in force still; otherwise it is wiped.
func (m *Machine) Restore(k Kept) {
	m.restored = packages{committee: k.Committee, of: map[uint32]*committee.Package{}}
	for seat, p := range maps.All(k.Packages) {
		m.restored.of[seat] = &p
	}
}

// adopt has the machine hold what was restored, once it knows the committee in force.
func (m *Machine) adopt(s State) {
	if m.restored.committee == 0 || s.Newest == nil {
		return
	}
	if m.held.committee == 0 && s.Newest.Number == m.restored.committee {
		m.held, m.restored = m.restored, packages{}
		return
	}
	m.restored.wipe()
}
