package statedb

import (
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	gethstate "github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"
	"pgregory.net/rapid"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// stateRun drives our state and go-ethereum's by the same random operations.
type stateRun struct {
	t     *rapid.T
	rules params.Rules
	ours  *DB
	geth  *gethstate.StateDB
	snaps [][2]int // in this transaction: ours, geth's
	addrs []common.Address
	slots []common.Hash
}

func (r *stateRun) address() common.Address { return rapid.SampledFrom(r.addrs).Draw(r.t, "address") }
func (r *stateRun) slot() common.Hash       { return rapid.SampledFrom(r.slots).Draw(r.t, "slot") }

// both applies one operation to both states.
func (r *stateRun) both(f func(s vm.StateDB)) { f(r.ours); f(r.geth) }

func (r *stateRun) step() {
	a := r.address()
	switch op := rapid.IntRange(0, 17).Draw(r.t, "op"); op {
	case 0, 1:
		v := uint256.NewInt(rapid.Uint64Range(0, 3).Draw(r.t, "amount"))
		r.both(func(s vm.StateDB) { s.AddBalance(a, v, 0) })
	case 2:
		v := uint256.NewInt(rapid.Uint64Range(0, 3).Draw(r.t, "amount"))
		if r.geth.GetBalance(a).Cmp(v) >= 0 {
			r.both(func(s vm.StateDB) { s.SubBalance(a, v, 0) })
		}
	case 3:
		v := rapid.Uint64Range(0, 2).Draw(r.t, "nonce")
		if r.rules.IsCancun {
			v = max(v, 1) // an account with storage can never be empty again
		}
		r.both(func(s vm.StateDB) { s.SetNonce(a, v, 0) })
	case 4:
		code := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(r.t, "code")
		// go-ethereum reverts a change of code correctly only if the code was read before, which
		// the EVM always does.
		r.both(func(s vm.StateDB) { s.GetCode(a); s.SetCode(a, code, 0) })
	case 5, 6, 7:
		k, v := r.slot(), common.BytesToHash([]byte{rapid.ByteRange(0, 2).Draw(r.t, "value")})
		if r.rules.IsCancun && r.geth.GetNonce(a) == 0 {
			return
		}
		r.both(func(s vm.StateDB) { s.SetState(a, k, v) })
	case 8:
		k, v := r.slot(), common.BytesToHash([]byte{rapid.ByteRange(0, 2).Draw(r.t, "value")})
		r.both(func(s vm.StateDB) { s.SetTransientState(a, k, v) })
	case 9:
		if !r.geth.Exist(a) {
			r.both(func(s vm.StateDB) { s.CreateAccount(a) })
		}
		if r.geth.GetNonce(a) == 0 && r.geth.GetCodeSize(a) == 0 {
			r.both(func(s vm.StateDB) { s.CreateContract(a); s.SetNonce(a, 1, 0) })
		}
	case 10:
		// From Cancun on only a contract of the same transaction can go.
		if !r.rules.IsCancun || r.geth.IsNewContract(a) {
			r.both(func(s vm.StateDB) { s.SelfDestruct(a) })
		}
	case 11:
		if !r.rules.IsEIP2929 {
			return // there are no access lists
		}
		r.both(func(s vm.StateDB) { s.AddAddressToAccessList(a) })
	case 12:
		k := r.slot()
		if !r.rules.IsEIP2929 {
			return
		}
		r.both(func(s vm.StateDB) { s.AddSlotToAccessList(a, k) })
	case 13:
		v := rapid.Uint64Range(0, 5).Draw(r.t, "refund")
		r.both(func(s vm.StateDB) { s.AddRefund(v) })
	case 14:
		if v := rapid.Uint64Range(0, 5).Draw(r.t, "refund"); v <= r.geth.GetRefund() {
			r.both(func(s vm.StateDB) { s.SubRefund(v) })
		}
	case 15:
		r.both(func(s vm.StateDB) { s.AddLog(&types.Log{Address: a}) })
	case 16:
		r.snaps = append(r.snaps, [2]int{r.ours.Snapshot(), r.geth.Snapshot()})
	case 17:
		if n := len(r.snaps); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(r.t, "snapshot")
			r.ours.RevertToSnapshot(r.snaps[i][0])
			r.geth.RevertToSnapshot(r.snaps[i][1])
			r.snaps = r.snaps[:i]
		}
	}
}

// observe returns all that the interface shows.
func (r *stateRun) observe(s vm.StateDB) string {
	out := fmt.Sprintln("refund", s.GetRefund())
	for _, a := range r.addrs {
		out += fmt.Sprintf("%x exist=%v empty=%v balance=%v nonce=%d hash=%x code=%x size=%d destructed=%v new=%v warm=%v\n",
			a[17:], s.Exist(a), s.Empty(a), s.GetBalance(a), s.GetNonce(a), s.GetCodeHash(a), s.GetCode(a), s.GetCodeSize(a),
			s.HasSelfDestructed(a), s.IsNewContract(a), s.AddressInAccessList(a))
		for _, k := range r.slots {
			v, base := s.GetStateAndCommittedState(a, k)
			ok1, ok2 := s.SlotInAccessList(a, k)
			out += fmt.Sprintf("  %x=%x/%x/%x transient=%x warm=%v,%v\n", k[31:], v[31:], base[31:], s.GetState(a, k).Bytes()[31:],
				s.GetTransientState(a, k).Bytes()[31:], ok1, ok2)
		}
	}
	return out
}

func (r *stateRun) compare(when string) {
	if ours, geth := r.observe(r.ours), r.observe(r.geth); ours != geth {
		r.t.Fatalf("%s:\nours:\n%s\ngo-ethereum's:\n%s", when, ours, geth)
	}
}

func (r *stateRun) transaction(index int) {
	hash := common.BytesToHash([]byte{1, byte(index)})
	dest := r.address()
	list := types.AccessList{{Address: r.address(), StorageKeys: []common.Hash{r.slot()}}}
	precompiles := []common.Address{common.BytesToAddress([]byte{1}), precompile3}
	r.both(func(s vm.StateDB) {
		s.SetTxContext(hash, index, 0)
		s.Prepare(r.rules, r.addrs[1], r.addrs[2], &dest, precompiles, list)
	})
	r.snaps = nil
	for range rapid.IntRange(0, 25).Draw(r.t, "steps") {
		r.step()
		r.compare("after a step")
	}
	r.both(func(s vm.StateDB) { s.Finalise(r.rules) })
	ours, geth := r.ours.TakeLogs(), r.geth.GetLogs(hash, 0, common.Hash{}, 0)
	if len(ours) != len(geth) {
		r.t.Fatalf("%d logs, go-ethereum has %d", len(ours), len(geth))
	}
	for i := range ours {
		if *geth[i] = *ours[i]; ours[i].Index != geth[i].Index || ours[i].TxHash != hash || ours[i].TxIndex != uint(index) {
			r.t.Fatalf("log %d differs: %+v", i, ours[i])
		}
	}
	r.both(func(s vm.StateDB) { s.Prepare(r.rules, common.Address{}, common.Address{}, nil, nil, nil) })
	r.compare("after a transaction")
}

func TestStateBehavesAsGoEthereums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SampledFrom([]params.Rules{
			{},
			{IsEIP158: true},
			{IsEIP158: true, IsEIP2929: true},
			{IsEIP158: true, IsEIP2929: true, IsShanghai: true, IsCancun: true},
		}).Draw(t, "rules")
		r := &stateRun{t: t, rules: rules}
		for _, b := range []byte{1, 3, 10, 11, 12} {
			r.addrs = append(r.addrs, common.BytesToAddress([]byte{b}))
		}
		for _, b := range []byte{0, 1, 2} {
			r.slots = append(r.slots, common.BytesToHash([]byte{b}))
		}
		db := store.New()
		if err := db.Create(rows.Tables()...); err != nil {
			t.Fatal(err)
		}
		gethDB, root := gethstate.NewDatabaseForTesting(), types.EmptyRootHash
		r.ours = New(nil)
		for number := range rapid.IntRange(1, 4).Draw(t, "blocks") {
			var err error
			if r.geth, err = gethstate.New(root, gethDB); err != nil {
				t.Fatal(err)
			}
			set := db.Begin(1, 1)
			tx := set.Begin()
			if rapid.Bool().Draw(t, "cold") {
				r.ours = New(nil)
			}
			r.ours.Src, r.ours.Sink, r.ours.LogIndex = tx, tx, 0
			for i := range rapid.IntRange(1, 3).Draw(t, "transactions") {
				r.transaction(i)
			}
			tx.Commit()
			if err := set.Install(); err != nil {
				t.Fatal(err)
			}
			db.Commit(set.Next() - 1)
			if root, err = r.geth.Commit(rules, uint64(number)); err != nil {
				t.Fatal(err)
			}
			// What the tables hold must be the state, too.
			snapshot := db.Snapshot()
			cold := New(snapshot)
			if r.geth, err = gethstate.New(root, gethDB); err != nil {
				t.Fatal(err)
			}
			if ours, geth := r.observe(cold), r.observe(r.geth); ours != geth || cold.Corrupt != nil {
				t.Fatalf("tables (%v):\n%s\ngo-ethereum's:\n%s", cold.Corrupt, ours, geth)
			}
			snapshot.Release()
		}
	})
}

func TestDiscardedTransactionLeavesNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &stateRun{t: t, rules: params.Rules{IsEIP158: true, IsEIP2929: true, IsShanghai: true}}
		for _, b := range []byte{3, 10, 11, 12} {
			r.addrs = append(r.addrs, common.BytesToAddress([]byte{b}))
		}
		r.slots = []common.Hash{{}, {1}}
		r.ours = New(mapSource{})
		var err error
		if r.geth, err = gethstate.New(types.EmptyRootHash, gethstate.NewDatabaseForTesting()); err != nil {
			t.Fatal(err)
		}
		r.transaction(0)
		before := r.observe(r.ours)
		r.snaps = nil
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			r.step()
		}
		r.ours.Discard()
		r.ours.Prepare(r.rules, common.Address{}, common.Address{}, nil, nil, nil)
		if after := r.observe(r.ours); after != before || len(r.ours.logs) != 0 {
			t.Fatalf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

// mapSource is a source of given rows, by table and key.
type mapSource map[string][]byte

func (m mapSource) Get(table string, key []byte) ([]byte, bool) {
	v, ok := m[table+string(key)]
	return v, ok
}
