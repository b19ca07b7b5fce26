package seats

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/committee"
)

func TestASeatGivesItsPartForItsOwnCommitteeOnly(t *testing.T) {
	p := &committee.Package{}
	m := New(coco.NodeID{1})
	m.held = packages{committee: 3, of: map[uint32]*committee.Package{2: p}}
	given := 0
	part := func(got *committee.Package) ([]byte, error) {
		if given++; got != p {
			t.Error("another package")
		}
		return []byte{9}, nil
	}
	if box, err := m.Give(Granted{Committee: 3, Seat: 2, Part: part}); err != nil || len(box) != 1 || given != 1 {
		t.Errorf("%v, %v", box, err)
	}
	for name, g := range map[string]Granted{
		"another seat":      {Committee: 3, Seat: 1, Part: part},
		"an old committee":  {Committee: 2, Seat: 2, Part: part},
		"a later committee": {Committee: 4, Seat: 2, Part: part},
		"none":              {Part: part},
	} {
		if _, err := m.Give(g); !errors.Is(err, coco.ErrNotFound) || given != 1 {
			t.Errorf("%s: %v, expected coco.ErrNotFound", name, err)
		}
	}
	wrong := errors.New("the sealing is of another place")
	if _, err := m.Give(Granted{Committee: 3, Seat: 2, Part: func(*committee.Package) ([]byte, error) { return nil, wrong }}); !errors.Is(err, wrong) {
		t.Errorf("error %v", err)
	}
	m.held.wipe()
	if _, err := m.Give(Granted{Committee: 3, Seat: 2, Part: part}); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("after its package was wiped: %v", err)
	}
}
