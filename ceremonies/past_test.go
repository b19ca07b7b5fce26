package ceremonies

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/store"
)

// earlier is a network of rules 1 and 2: epochs of format 1, each of which carries those that it names.
type earlier struct {
	govtest.Rows
	secrets map[uint64]keys.Secret
}

func newEarlier(t *testing.T, carries ...[]uint64) *earlier {
	t.Helper()
	e := &earlier{Rows: govtest.Rows{T: t, Store: store.New()}, secrets: map[uint64]keys.Secret{}}
	if _, err := e.Store.Scope("coco", table.All()...); err != nil {
		t.Fatal(err)
	}
	key, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	for i, carried := range carries {
		n := uint64(i + 1)
		secret, sealed, err := keys.NewEpoch(n, []keys.Recipient{{Actor: coco.ActorID{1}, Key: key.Public()}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		previous := map[uint64]keys.Secret{}
		for _, p := range carried {
			previous[p] = e.secrets[p]
		}
		if err := sealed.SealPrevious(secret, previous); err != nil {
			t.Fatal(err)
		}
		raw, err := sealed.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		e.secrets[n] = secret
		e.Write(table.EpochsTable, table.EpochKey(n), table.EpochRecord{Epoch: n, Since: n, Sealed: raw})
	}
	return e
}

// some are the secrets of epochs.
func (e *earlier) some(epochs ...uint64) map[uint64]keys.Secret {
	out := map[uint64]keys.Secret{}
	for _, n := range epochs {
		out[n] = e.secrets[n]
	}
	return out
}

// sevenEpochs has an epoch 4 that was announced and never used, so that 5 does not carry it, and an epoch 7 that carries nothing.
func sevenEpochs(t *testing.T) *earlier {
	return newEarlier(t, nil, []uint64{1}, []uint64{1, 2}, []uint64{2, 3}, []uint64{2, 3}, []uint64{4, 5}, nil)
}

func TestEpochsOfFormat1ComeBackThroughThoseThatAreCarried(t *testing.T) {
	e := sevenEpochs(t)
	r := e.Store.Snapshot()
	defer r.Release()
	for _, c := range []struct {
		carried []uint64
		number  uint64
		ok      bool
	}{
		{[]uint64{6}, 6, true},
		{[]uint64{6}, 5, true},
		{[]uint64{6}, 4, true},
		{[]uint64{6}, 3, true},
		{[]uint64{6}, 1, true},    // 6, 4, 2, 1
		{[]uint64{2, 6}, 1, true}, // the next later one
		{[]uint64{2, 6}, 4, true}, // not through one before it
		{[]uint64{5}, 4, false},   // 5 does not carry it
		{[]uint64{5}, 6, false},   // a later one
		{[]uint64{7}, 3, false},   // it carries nothing
		{[]uint64{5, 7}, 3, true}, // through 5
		{[]uint64{6, 7}, 2, true}, // through 6
		{nil, 1, false},
	} {
		secret, ok, err := fromCarried(r, c.number, e.some(c.carried...))
		switch want := e.secrets[c.number]; {
		case err != nil || ok != c.ok:
			t.Errorf("epoch %d from %v: %v, %v; expected %v", c.number, c.carried, ok, err, c.ok)
		case ok && !secret.Equal(want):
			t.Errorf("epoch %d from %v: another secret", c.number, c.carried)
		case !ok && secret != (keys.Secret{}):
			t.Errorf("epoch %d from %v: a secret of another epoch is returned", c.number, c.carried)
		}
	}
}

// What an archive carries is what a leader has put there. A secret that is not its epoch's opens nothing, and none is returned.
func TestACarriedSecretThatIsNoneOpensNothing(t *testing.T) {
	e := sevenEpochs(t)
	r := e.Store.Snapshot()
	defer r.Release()
	for name, carried := range map[string]map[uint64]keys.Secret{
		"another epoch's secret": {6: e.secrets[5]},
		"an epoch that is none":  {9: e.secrets[6]},
	} {
		secret, ok, err := fromCarried(r, 1, carried)
		if ok || err == nil || secret != (keys.Secret{}) {
			t.Errorf("%s: %v, %v, and a secret is returned: %v", name, ok, err, secret != (keys.Secret{}))
		}
	}
}

// A network that has come to rules 3 puts what its leader holds into the first archive. It gives the epochs before rules 3, through the archives of later committees.
func TestAnArchiveGivesTheEpochsBeforeRules3(t *testing.T) {
	e := sevenEpochs(t)
	c, _, err := committee.Deal([]coco.ActorID{{1}, {2}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	network := coco.Digest{9}
	var secret keys.Secret
	var newest table.CommitteeRecord
	for number := uint64(1); number <= 3; number++ {
		past := archive.Past{Earlier: &secret}
		if number == 1 {
			past = archive.Past{Epochs: e.some(6)}
		}
		a, s, err := archive.New(c, archive.Of{Network: network, Committee: number, Key: 1}, past)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := a.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		secret, newest = s, table.CommitteeRecord{Number: number, Version: 1, Archive: raw}
		e.Write(table.CommitteesTable, table.NumberKey(number), newest)
	}
	p := &past{state: e.Store.Snapshot, network: network, newest: &newest}
	opened, faults := p.open(secret, []uint64{1, 3, 4, 6})
	if got := slices.Sorted(maps.Keys(opened)); len(faults) > 0 || !slices.Equal(got, []uint64{1, 3, 4, 6}) {
		t.Errorf("opened %v: %v", got, faults)
	}
	for n, s := range opened {
		if want := e.secrets[n]; !s.Equal(want) {
			t.Errorf("epoch %d opens to another secret", n)
		}
	}
	opened, faults = p.open(secret, []uint64{2, 7, 8})
	if got := slices.Sorted(maps.Keys(opened)); !slices.Equal(got, []uint64{2}) || len(faults) != 2 {
		t.Errorf("opened %v: %v; expected epoch 2, and that neither 7, which nothing carries, nor 8, which is none, opens", got, faults)
	}
	if err, is := faults[7]; !is || err != nil || !errors.Is(faults[8], coco.ErrNotFound) {
		t.Errorf("faults %v, expected that the chain ends before epoch 7, and that there is no epoch 8", faults)
	}
	if _, faults := p.open(keys.Secret{1}, []uint64{1}); !errors.Is(faults[1], coco.ErrVerify) {
		t.Errorf("another secret than the archive's: %v", faults)
	}
}
