package linking

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
)

var (
	now     = time.UnixMilli(1_800_000_000_000)
	here    = owncall.Network{ChainID: big.NewInt(20260101), ID: coco.Digest{7}}
	private = must(crypto.HexToECDSA("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
	address = crypto.PubkeyToAddress(private.PublicKey)
	acme    = coco.Caller{Actor: coco.ActorID{1}, Name: "acme", Role: coco.Member}
	kim     = coco.Caller{Actor: coco.ActorID{1}, Name: "acme", Role: coco.Participant, User: "kim"}
	globex  = coco.Caller{Actor: coco.ActorID{2}, Name: "globex", Role: coco.Participant}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func sign(s Statement, of owncall.Network) []byte {
	sig := must(crypto.Sign(s.Hash(of).Bytes(), private))
	sig[64] += 27
	return sig
}

// What is signed is what wallets sign: go-ethereum's own hash of the typed data is the same.
func TestStatementIsTypedData(t *testing.T) {
	s := New(address, kim, now)
	text := must(json.Marshal(s.TypedData(here)))
	var data apitypes.TypedData
	if err := json.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	hash, _, err := apitypes.TypedDataAndHash(data)
	if err != nil || !bytes.Equal(hash, s.Hash(here).Bytes()) {
		t.Errorf("%x, %v, expected %v of\n%s", hash, err, s.Hash(here), text)
	}
	var back struct{ Message Statement }
	if err := json.Unmarshal(text, &back); err != nil || back.Message != s {
		t.Errorf("%+v came back, %v", back.Message, err)
	}
	var other Statement
	if err := json.Unmarshal([]byte(`{"account":"0x0000000000000000000000000000000000000001","actor":"0x01"}`), &other); err == nil {
		t.Error("an actor of one byte is read")
	}
	// The vector of docs/formats.md.
	const vector = "0x295b6ef738b721b1fd93d72ec5afdb5a0d5be71fc9e4498f55bbdfa15b57a59f"
	if got := s.Hash(here).Hex(); got != vector {
		t.Errorf("the hash of the vector is %s, expected %s", got, vector)
	}
}

func TestStatementsThatDoNotCountAreRefused(t *testing.T) {
	good := New(address, kim, now)
	if err := good.Check(here, sign(good, here), kim, now); err != nil {
		t.Fatal(err)
	}
	if err := good.Check(here, sign(good, here), acme, now); err != nil {
		t.Errorf("an organisation links for its user: %v", err)
	}
	change := func(fn func(*Statement)) Statement {
		s := good
		fn(&s)
		return s
	}
	signed := func(s Statement, of owncall.Network) func() (Statement, []byte) {
		return func() (Statement, []byte) { return s, sign(s, of) }
	}
	otherChain, otherNetwork := owncall.Network{ChainID: big.NewInt(1), ID: here.ID}, owncall.Network{ChainID: here.ChainID, ID: coco.Digest{8}}
	for _, c := range []struct {
		what   string
		make   func() (Statement, []byte)
		caller coco.Caller
		kind   error
		want   string
	}{
		{"another chain id", signed(good, otherChain), kim, coco.ErrInvalid, "not that of"},
		{"another network", signed(good, otherNetwork), kim, coco.ErrInvalid, "not that of"},
		{"another organisation's caller", signed(good, here), globex, coco.ErrDenied, "the caller is of \"globex\""},
		{"another organisation of that name", signed(good, here), coco.Caller{Actor: globex.Actor, Name: acme.Name}, coco.ErrDenied, "is for the organisation"},
		{"another user", signed(change(func(s *Statement) { s.User = "lee" }), here), kim, coco.ErrDenied, "another user"},
		{"the organisation's own, by a user", signed(change(func(s *Statement) { s.User = "" }), here), kim, coco.ErrDenied, "another user"},
		{"another name", signed(change(func(s *Statement) { s.Organisation = "globex" }), here), kim, coco.ErrDenied, "is for the organisation"},
		{"changed after signing", func() (Statement, []byte) { return change(func(s *Statement) { s.Expires++ }), sign(good, here) }, kim, coco.ErrInvalid, "not that of"},
		{"another address", func() (Statement, []byte) {
			return change(func(s *Statement) { s.Address = common.Address{1} }), sign(good, here)
		}, kim, coco.ErrInvalid, "not that of"},
		{"no signature", func() (Statement, []byte) { return good, nil }, kim, coco.ErrInvalid, "expected 65"},
		{"recovery id of 0", func() (Statement, []byte) {
			sig := sign(good, here)
			sig[64] -= 27
			return good, sig
		}, kim, coco.ErrInvalid, "27 or 28"},
		{"a second signature made of the first", func() (Statement, []byte) {
			sig := sign(good, here)
			s := new(big.Int).SetBytes(sig[32:64])
			new(big.Int).Sub(crypto.S256().Params().N, s).FillBytes(sig[32:64])
			sig[64] = 27 + 28 - sig[64]
			return good, sig
		}, kim, coco.ErrInvalid, "not that of"},
		{"expired", signed(New(address, kim, now.Add(-10*time.Minute)), here), kim, coco.ErrInvalid, "expired"},
		{"from the future", signed(New(address, kim, now.Add(61*time.Second)), here), kim, coco.ErrInvalid, "after the ledger's time"},
		{"good for too long", signed(change(func(s *Statement) { s.Expires = s.Issued + MaxLife + 1 }), here), kim, coco.ErrInvalid, "longer than 24h"},
		{"user with a line feed", signed(change(func(s *Statement) { s.User = "k\nm" }), here), acme, coco.ErrInvalid, "control characters"},
		{"name too long", signed(change(func(s *Statement) { s.Organisation = strings.Repeat("a", 257) }), here), kim, coco.ErrInvalid, "at most 256"},
	} {
		s, sig := c.make()
		if err := s.Check(here, sig, c.caller, now); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %v with %q", c.what, err, c.kind, c.want)
		}
	}
}

// transaction is one over rows in memory.
type transaction struct {
	rows  map[string][]byte
	seqno uint64
	claim []byte
}

func (x *transaction) Get(_ string, key []byte) ([]byte, bool) {
	v, ok := x.rows[string(key)]
	return v, ok
}

func (x *transaction) Put(_ string, key, value []byte) { x.rows[string(key)] = bytes.Clone(value) }
func (x *transaction) Delete(_ string, key []byte)     { delete(x.rows, string(key)) }
func (x *transaction) Seqno() uint64                   { return x.seqno }
func (x *transaction) Claim(b []byte)                  { x.claim = b }

func TestLinksFollowTheNewestStatement(t *testing.T) {
	x := &transaction{rows: map[string][]byte{}, seqno: 10}
	at := func(d time.Duration) uint64 { return uint64(now.Add(d).UnixMilli()) }
	run := func(c *Call, by coco.Caller, ms uint64) error {
		t.Helper()
		back, is, err := Decode(c.Payload())
		if !is || err != nil || !reflect.DeepEqual(back, c) {
			t.Fatalf("%+v came back, %v", back, err)
		}
		x.seqno++
		return back.Execute(x, by, ms)
	}
	first := New(address, kim, now)
	if err := run(&Call{Statement: first}, kim, at(0)); err != nil {
		t.Fatal(err)
	}
	if h, ok := links.Of(x, address); !ok || h.User != "kim" || h.Since != 11 {
		t.Errorf("holder %+v", h)
	}
	if c, ok := DecodeClaim(x.claim); !ok || c.Kind != KindLink || c.Address != address || c.Actor != kim.Actor || c.User != "kim" || c.Issued != first.Issued {
		t.Errorf("claim %+v", c)
	}
	if err := run(&Call{Statement: first}, kim, at(time.Second)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "not newer") {
		t.Errorf("the same statement again: %v", err)
	}
	other := New(address, globex, now.Add(time.Minute))
	if err := run(&Call{Statement: other}, globex, at(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if h, _ := links.Of(x, address); h.Actor != globex.Actor || len(links.Addresses(x, kim.Actor, "kim")) != 0 {
		t.Errorf("another one's claim leaves %+v", h)
	}
	unlink := &Call{Unlink: true, Statement: Statement{Address: address}}
	for _, by := range []coco.Caller{kim, acme} {
		if err := run(unlink, by, at(2*time.Minute)); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("%s unlinks what is not its own: %v", by.Name, err)
		}
	}
	if err := run(unlink, globex, at(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if c, ok := DecodeClaim(x.claim); !ok || c.Kind != KindUnlink || c.Actor != globex.Actor {
		t.Errorf("claim %+v", c)
	}
	late := New(address, globex, now.Add(90*time.Second)) // signed before it was unlinked, and not used
	if err := run(&Call{Statement: late}, globex, at(3*time.Minute)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "not newer") {
		t.Errorf("a statement from before the address was unlinked: %v", err)
	}
	if err := run(&Call{Statement: other}, globex, at(30*time.Minute)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("one that has expired on its way: %v", err)
	}
	if _, ok := links.Of(x, address); ok {
		t.Error("the address has a holder")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add((&Call{Statement: New(address, kim, now)}).Payload())
	f.Add((&Call{Unlink: true}).Payload())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, is, err := Decode(b); is && err == nil && !bytes.Equal(c.Payload(), b) {
			t.Errorf("%x decodes to %+v, which encodes to %x", b, c, c.Payload())
		}
	})
}

func TestWalletSignsAndPrintsNothing(t *testing.T) {
	const key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
	w, err := ParseWallet([]byte("0x" + key + "\n"))
	if err != nil || w.Address() != address {
		t.Fatalf("%v, %v", w.Address(), err)
	}
	s, of, err := ParseTypedData(must(json.Marshal(new(New(address, kim, now)).TypedData(here))))
	if err != nil || s != New(address, kim, now) || of.ID != here.ID || of.ChainID.Cmp(here.ChainID) != 0 {
		t.Errorf("%+v %+v %v came back", s, of, err)
	}
	if err := s.Check(here, must(w.Sign(s, of)), kim, now); err != nil {
		t.Error(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, w); got != "wallet" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if text := must(json.Marshal(w)); string(text) != `"wallet"` {
		t.Errorf("JSON %s", text)
	}
	if _, err := ParseWallet([]byte(key + "00")); !errors.Is(err, coco.ErrInvalid) || strings.Contains(err.Error(), key) {
		t.Errorf("%v", err)
	}
}
