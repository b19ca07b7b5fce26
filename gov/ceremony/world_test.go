package ceremony_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/store"
)

// world is a network whose nodes speak in ceremonies, in one process.
type world struct {
	*govtest.Network
	t       testing.TB
	first   table.NodeRecord
	book    *ceremony.Book // the leader's
	memory  map[coco.NodeID]*enclave
	secrets map[uint64]keys.Secret // of epochs
	archive *keys.Secret           // of the committee in force; nil if nobody knows it
}

// enclave is what a node keeps to itself.
type enclave struct {
	session  coco.Digest
	parties  []*party
	packages map[uint32]*committee.Package // of the committee in force
}

type party struct {
	*dkg.Party
	receiver uint32
	holds    *committee.Package
	confirm  *dkg.Confirm
}

func newWorld(t testing.TB) *world { return newWorldOf(t, govtest.New(t)) }

func newWorldOf(t testing.TB, n *govtest.Network) *world {
	w := &world{Network: n, t: t, book: new(ceremony.Book), memory: map[coco.NodeID]*enclave{}, secrets: map[uint64]keys.Secret{}}
	w.first = n.Genesis()
	w.secrets = n.Secrets
	w.memory[w.first.ID] = &enclave{}
	return w
}

// join admits a node of a member, in the place of an earlier one at the same address if there is one.
func (w *world) join(member int, address string) table.NodeRecord {
	w.t.Helper()
	rec := w.Node(w.Members[member], address)
	w.Admit(rec)
	w.memory[rec.ID] = &enclave{}
	return rec
}

func (w *world) need() (out *ceremony.Needed) {
	w.t.Helper()
	w.Read(func(r store.Reader) {
		var err error
		if out, err = ceremony.Need(r); err != nil {
			w.t.Fatal(err)
		}
	})
	return out
}

func (w *world) newest() (out table.CommitteeRecord) {
	w.t.Helper()
	w.Read(func(r store.Reader) {
		var err error
		if out, _, err = table.NewestCommittee(r); err != nil {
			w.t.Fatal(err)
		}
	})
	return out
}

func (w *world) ceremony() (out table.CeremonyRecord) {
	w.t.Helper()
	w.Read(func(r store.Reader) {
		var err error
		if out, _, err = table.NewestCeremony(r); err != nil {
			w.t.Fatal(err)
		}
	})
	return out
}

func (w *world) begin(acting ...coco.NodeID) table.CeremonyRecord {
	w.t.Helper()
	var rec table.CeremonyRecord
	if err := w.Transact(func(tx *store.Tx) (err error) { rec, err = w.book.Begin(tx, acting); return err }); err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func (w *world) speak(from coco.NodeID, raw []byte) error {
	return w.Transact(func(tx *store.Tx) error { return w.book.Speak(tx, from, raw) })
}

func (w *world) close() error { return w.Transact(w.book.Close) }

func (w *world) closable() (is bool) {
	w.t.Helper()
	w.Read(func(r store.Reader) {
		var err error
		if is, err = w.book.Closable(r, w.Store.Committed()+1, w.Ms()); err != nil {
			w.t.Fatal(err)
		}
	})
	return is
}

// running calls fn with the ceremony that is under way, as a follower's book knows it.
func (w *world) running(fn func(*ceremony.Running)) {
	w.t.Helper()
	w.Read(func(r store.Reader) {
		c, err := new(ceremony.Book).Running(r)
		if err != nil {
			w.t.Fatal(err)
		}
		fn(c)
	})
}

// say is a statement and the node that makes it.
type say struct {
	from coco.NodeID
	s    dkg.Statement
	raw  []byte
}

// owed returns what the nodes that are up have to say.
func (w *world) owed(up func(coco.NodeID) bool) (out []say) {
	w.t.Helper()
	w.running(func(c *ceremony.Running) {
		for id, e := range w.memory {
			if !up(id) {
				continue
			}
			e.take(w, c, id)
			for _, p := range e.parties {
				s := p.Owes(c.Ceremony)
				if phase, _ := c.Ceremony.Phase(); s == nil && phase == dkg.Confirming && p.receiver != 0 && c.Ceremony.Sealed(p.receiver) == nil {
					s = p.confirms(w, c)
				}
				if s == nil {
					continue
				}
				raw, err := dkg.Marshal(c.Ceremony.Digest(), s)
				if err != nil {
					w.t.Fatal(err)
				}
				out = append(out, say{id, s, raw})
			}
		}
	})
	slices.SortFunc(out, func(a, b say) int { return bytes.Compare(a.raw, b.raw) })
	return out
}

func (e *enclave) take(w *world, c *ceremony.Running, id coco.NodeID) {
	if e.session == c.Ceremony.Digest() {
		return
	}
	e.session, e.parties = c.Ceremony.Digest(), nil
	add := func(receiver, dealer uint32, old *committee.Package) {
		p := &party{receiver: receiver}
		var err error
		if old == nil {
			p.Party, err = dkg.NewParty(c.Ceremony, receiver, dealer, nil)
		} else {
			p.Party, err = dkg.NewParty(c.Ceremony, receiver, dealer, &old.Share)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		e.parties = append(e.parties, p)
	}
	for i, acting := range c.Acting {
		if acting == id && c.Session.Old == nil {
			add(uint32(i+1), uint32(i+1), nil)
		} else if acting == id {
			add(uint32(i+1), 0, nil)
		}
	}
	for i, dealing := range c.Dealing {
		if p := e.packages[uint32(i+1)]; dealing == id && p != nil {
			add(0, uint32(i+1), p)
		}
	}
}

func (p *party) confirms(w *world, c *ceremony.Running) dkg.Statement {
	if p.confirm != nil {
		return p.confirm
	}
	share, err := p.Share(c.Ceremony)
	if err != nil {
		w.t.Fatal(err)
	}
	decryption, encryption, err := committee.NewDecryption()
	if err != nil {
		w.t.Fatal(err)
	}
	p.holds = &committee.Package{Share: share, Decryption: decryption}
	digest := c.Ceremony.Digest()
	m, _ := w.Load().Member(c.Session.Receivers[p.receiver-1])
	sealed, err := committee.SealPackage(p.holds, m.EncryptionKey, committee.Place{Of: digest[:], Seat: p.receiver, Actor: m.Actor()})
	if err != nil {
		w.t.Fatal(err)
	}
	p.confirm = &dkg.Confirm{Receiver: p.receiver, Encryption: encryption, Sealed: sealed}
	return p.confirm
}

func all(coco.NodeID) bool { return true }

// talk has the nodes that are up say all that they owe, and phases end that end without more of them.
func (w *world) talk(up func(coco.NodeID) bool) {
	w.t.Helper()
	for w.ceremony().State == table.CeremonyRuns {
		list := w.owed(up)
		if len(list) == 0 {
			if !w.closable() {
				return
			}
			if err := w.close(); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, x := range list {
			if err := w.speak(x.from, x.raw); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// install brings the committee of a ceremony that is done into force, and announces an epoch. The archive before is known to the leader if the seats that are held open it.
func (w *world) install() {
	w.t.Helper()
	past := archive.Past{Earlier: w.opened()}
	if past.Earlier == nil {
		past.Epochs = w.secrets
	}
	err := w.Transact(func(tx *store.Tx) error {
		secret, err := w.book.Install(tx, past)
		if err != nil {
			return err
		}
		w.archive = &secret
		return w.announce(tx)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	rec := w.newest()
	for id, e := range w.memory {
		e.packages = map[uint32]*committee.Package{}
		for _, p := range e.parties {
			if p.holds != nil && rec.Seats[p.receiver-1].Actor == w.ownerOf(id) {
				e.packages[p.receiver] = p.holds
			}
		}
		e.parties = nil
	}
}

func (w *world) ownerOf(id coco.NodeID) (owner coco.ActorID) {
	w.Read(func(r store.Reader) {
		rec, err := table.Node(r, id)
		if err != nil {
			w.t.Fatal(err)
		}
		owner = rec.Owner
	})
	return owner
}

func (w *world) announce(tx *store.Tx) error {
	secret, e, err := ceremony.Announce(tx)
	if err == nil {
		w.secrets[e.Epoch] = secret
	}
	return err
}

// opened opens the archive of the committee in force with the packages in memory; nil if there are too few.
func (w *world) opened() *keys.Secret {
	w.t.Helper()
	rec := w.newest()
	if rec.Number == 0 {
		return nil
	}
	var packages []*committee.Package
	for id, e := range w.memory {
		if w.States()[id] == table.Trusted {
			for _, p := range e.packages {
				packages = append(packages, p)
			}
		}
	}
	return w.combine(rec, packages)
}

func (w *world) combine(rec table.CommitteeRecord, packages []*committee.Package) *keys.Secret {
	w.t.Helper()
	c, err := rec.Committee()
	if err != nil {
		w.t.Fatal(err)
	}
	a, of, err := rec.ParseArchive(w.Audience())
	if err != nil {
		w.t.Fatal(err)
	}
	var parts []committee.Part
	for _, p := range packages {
		if err := c.Holds(p); err != nil {
			w.t.Fatal(err)
		}
		part, err := a.Part(c, of, p)
		if err != nil {
			w.t.Fatal(err)
		}
		parts = append(parts, part)
	}
	secret, faults, err := a.Combine(c, of, parts)
	if len(faults) > 0 {
		w.t.Fatal(faults)
	}
	if err != nil {
		if !errors.Is(err, coco.ErrInvalid) || len(packages) >= rec.Threshold() {
			w.t.Fatal(err)
		}
		return nil
	}
	return &secret
}

// run runs a ceremony from its beginning to its end.
func (w *world) run() table.CommitteeRecord {
	w.t.Helper()
	w.begin()
	w.talk(all)
	w.install()
	return w.newest()
}

// recovered opens every epoch with the packages that members open with their own keys, from the tables alone.
func (w *world) recovered(by ...*govtest.Org) map[uint64]keys.Secret {
	w.t.Helper()
	out := map[uint64]keys.Secret{}
	rec := w.newest()
	var packages []*committee.Package
	for i, s := range rec.Seats {
		for _, m := range by {
			if m.Actor() != s.Actor {
				continue
			}
			p, err := committee.OpenPackage(s.Package, m.Encryption, rec.Place(w.Audience(), uint32(i+1)))
			if err != nil {
				w.t.Fatal(err)
			}
			packages = append(packages, p)
		}
	}
	secret := w.combine(rec, packages)
	if secret == nil {
		return nil
	}
	w.Read(func(r store.Reader) {
		epochs, err := table.Epochs(r)
		if err != nil {
			w.t.Fatal(err)
		}
		for has := true; has; {
			a, of, err := rec.ParseArchive(w.Audience())
			if err != nil {
				w.t.Fatal(err)
			}
			private, err := a.Unlock(*secret, of)
			if err != nil {
				w.t.Fatal(err)
			}
			carried, err := private.Carried()
			if err != nil {
				w.t.Fatal(err)
			}
			for epoch, s := range carried {
				out[epoch] = s
			}
			for _, e := range epochs {
				if sealed, err := archive.ParseEpoch(e.Sealed); err == nil && sealed.Committee == rec.Number {
					if out[e.Epoch], err = private.Epoch(sealed); err != nil {
						w.t.Fatal(err)
					}
				}
			}
			var earlier keys.Secret
			if earlier, has, err = private.Earlier(); err != nil {
				w.t.Fatal(err)
			}
			if has {
				secret = &earlier
				if rec, err = table.Committee(r, rec.Number-1); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	})
	return out
}

// same checks that members open exactly the epochs whose secrets the network had.
func (w *world) same(opened map[uint64]keys.Secret) {
	w.t.Helper()
	if len(opened) != len(w.secrets) {
		w.t.Errorf("members open %d epochs, expected %d", len(opened), len(w.secrets))
	}
	for epoch, secret := range w.secrets {
		if got, ok := opened[epoch]; !ok || !got.Equal(secret) {
			w.t.Errorf("epoch %d: opened %t, or as another one", epoch, ok)
		}
	}
}

func (w *world) pass(d time.Duration) { w.Now = w.Now.Add(d) }

// restart replaces a node by another one at the same address.
func (w *world) restart(old table.NodeRecord) table.NodeRecord {
	w.t.Helper()
	for i, m := range w.Members {
		if m.Actor() == old.Owner {
			delete(w.memory, old.ID)
			return w.join(i, old.Address)
		}
	}
	w.t.Fatal("no member owns the node")
	return old
}
