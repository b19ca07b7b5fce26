package sessions

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/siwe"
	"github.com/cocoframework/coco/store"
)

const (
	start = uint64(1_800_000_000_000)
	page  = "https://app.example"
)

var (
	here    = Network{big.NewInt(20260101), coco.Digest{7}}
	private = must(crypto.HexToECDSA("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
	address = crypto.PubkeyToAddress(private.PublicKey)
	kim     = coco.Caller{Actor: coco.ActorID{1}, Name: "acme", Role: coco.Participant, User: "kim"}
	token   = strings.Repeat("ab", 32)
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func at(ms uint64) string { return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02T15:04:05.000Z") }

// asked is a message as a page makes it.
func asked(token string) *siwe.Message {
	id := sha256.Sum256(must(hex.DecodeString(token)))
	return &siwe.Message{
		Domain: "app.example", Address: address, URI: page + "/accounts", ChainID: "20260101", Nonce: hex.EncodeToString(id[:]), IssuedAt: at(start), Expires: at(start + 3_600_000),
		Resources: []string{"urn:coco:network:" + here.ID.String(), "urn:coco:session:laptop", "urn:coco:scope:read"},
	}
}

// named is a message for a session of a name.
func named(token, name string) *siwe.Message {
	m := asked(token)
	m.Resources[1] = "urn:coco:session:" + name
	return m
}

func signedBy(key *ecdsa.PrivateKey, text string) string {
	sig := must(crypto.Sign(siwe.Hash(text).Bytes(), key))
	sig[64] += 27
	return Credential(text, sig)
}

func signed(m *siwe.Message) string { return signedBy(private, m.Text()) }

// world is a state with its time, in which the address is kim's.
type world struct {
	t     *testing.T
	db    *store.Store
	scope *store.Scope
	now   uint64
	admit []string
	since uint64 // that members have agreed on the pages
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, db: store.New(), now: start, admit: []string{page}}
	w.scope = must(w.db.Scope("ethereum", rows.Tables()...))
	w.do(func(tx *store.Tx) error {
		return links.Link(tx, address, links.Holder{Actor: kim.Actor, User: kim.User, Since: tx.Seqno()}, 1)
	})
	return w
}

// do executes and commits fn as a transaction at the world's time; if it fails, nothing is there of it.
func (w *world) do(fn func(*store.Tx) error) error {
	w.t.Helper()
	set := w.db.Begin(1, w.now)
	part := set.Part(w.scope)
	tx := part.Begin()
	if err := fn(tx); err != nil {
		tx.Abort()
		return err
	}
	tx.Commit()
	part.End()
	ok(w.t, set.Install())
	w.db.Commit(set.Next() - 1)
	return nil
}

func (w *world) judge() *Judge {
	return &Judge{State: w.scope, Network: here, Now: func() time.Time { return time.UnixMilli(int64(w.now)) }, Elapsed: func() time.Duration { return 0 }, Origin: func(o string) (uint64, bool) { return w.since, slices.Contains(w.admit, o) }}
}

func (w *world) execute(c *Call, who coco.Caller) error {
	w.t.Helper()
	decoded, is, err := Decode(c.Payload())
	if !is || err != nil {
		w.t.Fatalf("%+v comes back as %v", c, err)
	}
	return w.do(func(tx *store.Tx) error { return decoded.Execute(tx, who, w.now) })
}

// signIn does what a node does with a signed message.
func (w *world) signIn(credential string) error {
	w.t.Helper()
	s, err := w.judge().Session(credential, page)
	if err != nil {
		return err
	}
	g := s.Scope.(*Grant)
	if !s.Until.IsZero() || !g.Allows("coco_signIn") || g.Allows("eth_call") || g.Allows("coco_sessions") {
		w.t.Errorf("a signed message is good for more than one sign-in: %+v", s)
	}
	return w.execute(&Call{SignIn: *g.SignIn}, coco.Caller{Actor: s.Actor, Name: "acme", Role: coco.Participant, User: s.User})
}

func TestASessionIsTheUsersOfTheAddressThatSignsIn(t *testing.T) {
	w := newWorld(t)
	if _, err := w.judge().Session(token, page); !errors.Is(err, coco.ErrDenied) {
		t.Fatalf("before the sign-in: %v", err)
	}
	if err := w.signIn(signed(asked(token))); err != nil {
		t.Fatal(err)
	}
	s, err := w.judge().Session(token, page)
	if err != nil || s.Actor != kim.Actor || s.User != "kim" || s.Until.UnixMilli() != int64(start+3_600_000) {
		t.Fatalf("%+v %v", s, err)
	}
	g := s.Scope.(*Grant)
	for method, may := range map[string]bool{
		"eth_call": true, "eth_subscribe": true, "coco_sessions": true, "coco_endSession": true, "eth_sendRawTransaction": false, "eth_sendRawTransactionSync": false,
		"coco_sendRawTransaction": false, "coco_linkAddress": false, "coco_linkMessage": false, "coco_unlinkAddress": false, "coco_setAccessPolicy": false, "coco_removeAccessPolicy": false, "coco_signIn": false,
	} {
		if g.Allows(method) != may {
			t.Errorf("a session for reading may %s: %t", method, !may)
		}
	}
	if err := g.Still(); err != nil {
		t.Error(err)
	}
	// A copy of the message, which whoever ends TLS before the node may have, makes nothing.
	if err := w.signIn(signed(asked(token))); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("the same message again: %v", err)
	}
	state := w.scope.Snapshot()
	defer state.Release()
	var ids []coco.Digest
	OfActor(state, kim.Actor, "", func(l Listed) bool {
		if ids = append(ids, l.ID); !l.Live(state, w.now) || l.Name != "laptop" || l.Origin != page {
			t.Errorf("listed as %+v", l)
		}
		return true
	})
	if id, _ := TokenID(token); len(ids) != 1 || ids[0] != id {
		t.Errorf("listed are %v", ids)
	}
	OfActor(state, coco.ActorID{2}, "", func(Listed) bool { t.Error("another organisation has sessions"); return true })
	OfActor(state, kim.Actor, "bob", func(Listed) bool { t.Error("another user has sessions"); return true })
}

func TestMessagesThatDoNotCountAreRefused(t *testing.T) {
	other := must(crypto.HexToECDSA("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"))
	id := "x"
	for name, change := range map[string]func(*siwe.Message){
		"another network":             func(m *siwe.Message) { m.Resources[0] = "urn:coco:network:" + coco.Digest{8}.String() },
		"no network":                  func(m *siwe.Message) { m.Resources = m.Resources[1:] },
		"no resources":                func(m *siwe.Message) { m.Resources = nil },
		"another chain":               func(m *siwe.Message) { m.ChainID = "1" },
		"another domain":              func(m *siwe.Message) { m.Domain, m.URI = "evil.example", "https://evil.example/" },
		"a domain that is not its":    func(m *siwe.Message) { m.Domain = "evil.example" },
		"a URI that begins like it":   func(m *siwe.Message) { m.URI = page + ".evil.example/" },
		"a URI of another page":       func(m *siwe.Message) { m.URI = "https://evil.example/" },
		"another scheme":              func(m *siwe.Message) { m.Scheme = "http" },
		"no name":                     func(m *siwe.Message) { m.Resources[1] = "urn:coco:session:" },
		"a name that no line can be":  func(m *siwe.Message) { m.Resources[1] = "urn:coco:session:a/b" },
		"no scope":                    func(m *siwe.Message) { m.Resources = m.Resources[:2] },
		"an unknown scope":            func(m *siwe.Message) { m.Resources[2] = "urn:coco:scope:all" },
		"a scope twice":               func(m *siwe.Message) { m.Resources = append(m.Resources, m.Resources[2]) },
		"the scope of linking":        func(m *siwe.Message) { m.Resources[2] = "urn:coco:scope:coco_linkAddress" },
		"something else beside scope": func(m *siwe.Message) { m.Resources = append(m.Resources, "urn:other:scope:read") },
		"too much scope": func(m *siwe.Message) {
			for i := range maxScope {
				m.Resources = append(m.Resources, "urn:coco:scope:eth_x"+string(rune('a'+i)))
			}
		},
		"no end":                  func(m *siwe.Message) { m.Expires = "" },
		"an end in the past":      func(m *siwe.Message) { m.Expires = at(start) },
		"an end in a year":        func(m *siwe.Message) { m.Expires = at(start + MaxLife + 1) },
		"a message of long ago":   func(m *siwe.Message) { m.IssuedAt = at(start - MaxAge) },
		"a message of tomorrow":   func(m *siwe.Message) { m.IssuedAt = at(start + MaxAhead + 1) },
		"not yet":                 func(m *siwe.Message) { m.NotBefore = at(start + MaxAhead + 1) },
		"a request id":            func(m *siwe.Message) { m.RequestID = &id },
		"a nonce of another kind": func(m *siwe.Message) { m.Nonce = strings.Repeat("a", 62) },
		"a nonce in capitals":     func(m *siwe.Message) { m.Nonce = strings.ToUpper(m.Nonce) },
		"another address":         func(m *siwe.Message) { m.Address = crypto.PubkeyToAddress(other.PublicKey) },
	} {
		w := newWorld(t)
		w.admit = append(w.admit, "http://app.example")
		m := asked(token)
		change(m)
		if err := w.signIn(signed(m)); !errors.Is(err, coco.ErrInvalid) && !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t)
	good := signed(asked(token))
	raw := must(base64.RawURLEncoding.DecodeString(good))
	for name, credential := range map[string]string{
		"nothing":             "",
		"no message":          base64.RawURLEncoding.EncodeToString(raw[:65]),
		"a changed text":      base64.RawURLEncoding.EncodeToString(append(slices.Clone(raw[:len(raw)-4]), "send"...)),
		"a short token":       token[2:],
		"a token in capitals": strings.ToUpper(token),
		"padding":             base64.URLEncoding.EncodeToString(append(raw, "\n- urn:x:y"...)),
		"of nobody":           signedBy(other, strings.Replace(asked(token).Text(), address.Hex(), crypto.PubkeyToAddress(other.PublicKey).Hex(), 1)),
	} {
		if err := w.signIn(credential); !errors.Is(err, coco.ErrInvalid) && !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.admit = nil
	if err := w.signIn(good); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a page that members have not agreed on: %v", err)
	}
	w.admit = []string{page, "https://other.example"}
	if _, err := w.judge().Session(good, "https://other.example"); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("by another page that may ask: %v", err)
	}
	ok(t, w.do(func(tx *store.Tx) error {
		return links.Link(tx, address, links.Holder{Actor: kim.Actor, Since: tx.Seqno()}, 2)
	}))
	if err := w.signIn(good); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("for an organisation itself: %v", err)
	}
}

// Members remove a page and add it again: sessions that its pages have do not count again, nor what users have signed for them, and users sign in anew.
func TestNoSessionComesBackWithItsPage(t *testing.T) {
	w := newWorld(t)
	ok(t, w.signIn(signed(asked(token))))
	late := asked(strings.Repeat("cd", 32))
	w.now, w.since = start+2*MaxAhead, start+2*MaxAhead // by two votes
	if _, err := w.judge().Session(token, page); !errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), "sign in anew") {
		t.Errorf("a session of before: %v", err)
	}
	if err := w.signIn(signed(late)); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a message of before: %v", err)
	}
	w.now++
	late.IssuedAt, late.Expires = at(w.now-MaxAhead), at(w.now+3_600_000) // by a clock that is late
	ok(t, w.signIn(signed(late)))
	s, err := w.judge().Session(strings.Repeat("cd", 32), page)
	if err != nil || s.From.UnixMilli() != int64(w.now) {
		t.Errorf("a session of afterwards: %+v %v", s, err)
	}
	// The leader executes what a node has judged before the vote.
	early := signed(named(strings.Repeat("ef", 32), "phone"))
	if _, err := w.judge().Session(early, page); err == nil {
		t.Fatal("a message of before")
	}
	w.since -= 2 * MaxAge
	s, err = w.judge().Session(early, page)
	ok(t, err)
	w.since = w.now
	ok(t, w.execute(&Call{SignIn: *s.Scope.(*Grant).SignIn}, kim))
	if _, err := w.judge().Session(strings.Repeat("ef", 32), page); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a session that was judged before the vote: %v", err)
	}
}

func TestASessionEndsInEachWay(t *testing.T) {
	id, _ := TokenID(token)
	for name, end := range map[string]func(*world){
		"by its time": func(w *world) { w.now = start + 3_600_000 },
		"by its user": func(w *world) { ok(t, w.execute(&Call{SignIn: SignIn{ID: id}, End: true}, kim)) },
		"by the organisation": func(w *world) {
			ok(t, w.execute(&Call{SignIn: SignIn{ID: id}, End: true}, coco.Caller{Actor: kim.Actor, Name: "acme"}))
		},
		"by a vote on its page": func(w *world) { w.admit = nil },
		"by an unlinking":       func(w *world) { ok(t, w.do(func(tx *store.Tx) error { return links.Unlink(tx, address, w.now) })) },
		"by another link": func(w *world) {
			ok(t, w.do(func(tx *store.Tx) error {
				return links.Link(tx, address, links.Holder{Actor: kim.Actor, User: "bob", Since: tx.Seqno()}, w.now)
			}))
		},
		"by an unlinking, though it is linked to the same user again": func(w *world) {
			ok(t, w.do(func(tx *store.Tx) error { return links.Unlink(tx, address, w.now) }))
			ok(t, w.do(func(tx *store.Tx) error {
				return links.Link(tx, address, links.Holder{Actor: kim.Actor, User: kim.User, Since: tx.Seqno()}, w.now+1)
			}))
		},
	} {
		w := newWorld(t)
		ok(t, w.signIn(signed(asked(token))))
		s := must(w.judge().Session(token, page))
		end(w)
		if _, err := w.judge().Session(token, page); !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Scope.(*Grant).Still(); !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s, on a connection: %v", name, err)
		}
		if err := w.signIn(signed(asked(token))); err == nil {
			t.Errorf("%s: the message begins it again", name)
		}
	}
	w := newWorld(t)
	ok(t, w.signIn(signed(asked(token))))
	for _, who := range []coco.Caller{{Actor: kim.Actor, User: "bob"}, {Actor: coco.ActorID{2}}, {Actor: coco.ActorID{2}, User: "kim"}} {
		if err := w.execute(&Call{SignIn: SignIn{ID: id}, End: true}, who); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("%+v ends another's session: %v", who, err)
		}
	}
	if err := w.execute(&Call{SignIn: SignIn{ID: coco.Digest{1}}, End: true}, kim); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("ending none: %v", err)
	}
	w.admit = append(w.admit, "https://other.example", "")
	if _, err := w.judge().Session(token, "https://other.example"); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("asked by another page: %v", err)
	}
	if _, err := w.judge().Session(token, ""); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("asked by no page: %v", err)
	}
}

// The leader judges by its own state and time what the node has judged by its.
func TestAnExecutedSignInIsJudgedAgain(t *testing.T) {
	read := func() SignIn { return *must(here.Read(signed(asked(token)))) }
	for name, c := range map[string]struct {
		who    coco.Caller
		change func(*world)
	}{
		"time went on":              {kim, func(w *world) { w.now += MaxAge }},
		"the link is gone":          {kim, func(w *world) { ok(t, w.do(func(tx *store.Tx) error { return links.Unlink(tx, address, w.now) })) }},
		"another user asks":         {coco.Caller{Actor: kim.Actor, User: "bob"}, func(*world) {}},
		"another organisation asks": {coco.Caller{Actor: coco.ActorID{2}, User: "kim"}, func(*world) {}},
	} {
		w := newWorld(t)
		c.change(w)
		if err := w.execute(&Call{SignIn: read()}, c.who); !errors.Is(err, coco.ErrInvalid) && !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]func(*SignIn){
		"name":   func(s *SignIn) { s.Name = "a\nb" },
		"scope":  func(s *SignIn) { s.Scope = Scope{"all"} },
		"origin": func(s *SignIn) { s.Origin = strings.Repeat("x", maxOrigin+1) },
	} {
		s := read()
		c(&s)
		if _, is, err := Decode((&Call{SignIn: s}).Payload()); !is || !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("a %s that no message has: %v", name, err)
		}
	}
}

// A page that is opened again signs in by the name that it had: the session replaces that one, and keeps nobody out however often that is.
func TestASignInReplacesTheSessionOfItsName(t *testing.T) {
	w := newWorld(t)
	message := func(i int, name string, issued uint64) *siwe.Message {
		m := asked(strings.Repeat("0", 60) + hex.EncodeToString([]byte{3, byte(i)}))
		m.Resources[1], m.IssuedAt = "urn:coco:session:"+name, at(issued)
		return m
	}
	session := func(i int) error {
		_, err := w.judge().Session(strings.Repeat("0", 60)+hex.EncodeToString([]byte{3, byte(i)}), page)
		return err
	}
	ok(t, w.signIn(signed(message(0, "phone", start))))
	for i := 1; i <= 2*MaxSessions; i++ {
		w.now++
		ok(t, w.signIn(signed(message(i, "laptop", w.now))))
		if err := session(i - 1); i > 1 && !errors.Is(err, coco.ErrDenied) {
			t.Fatalf("the session before: %v", err)
		}
	}
	ok(t, session(0))
	ok(t, session(2*MaxSessions))
	state := w.scope.Snapshot()
	n := 0
	OfActor(state, kim.Actor, kim.User, func(Listed) bool { n++; return true })
	if state.Release(); n != 2 {
		t.Errorf("%d sessions, expected those of two names", n)
	}
	// A message that was used before, or signed before, does not take the place back, nor after the session has ended.
	for range 2 {
		for _, i := range []int{1, 2*MaxSessions - 1, 2 * MaxSessions} {
			if err := w.signIn(signed(message(i, "laptop", start+uint64(i)))); !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("message %d again: %v", i, err)
			}
		}
		if err := w.signIn(signed(message(200, "laptop", w.now))); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("a message of the same time: %v", err)
		}
		id, _ := TokenID(strings.Repeat("0", 60) + hex.EncodeToString([]byte{3, 2 * MaxSessions}))
		ok(t, w.execute(&Call{SignIn: SignIn{ID: id}, End: true}, kim))
	}
	w.now++
	ok(t, w.signIn(signed(message(201, "laptop", w.now))))
	// Another page's session of that name is another one.
	w.admit = append(w.admit, "https://other.example")
	m := message(202, "laptop", w.now)
	m.Domain, m.URI = "other.example", "https://other.example/"
	s, err := w.judge().Session(signed(m), "https://other.example")
	ok(t, err)
	ok(t, w.execute(&Call{SignIn: *s.Scope.(*Grant).SignIn}, kim))
	ok(t, session(201))
}

func TestAUserHasSoManySessions(t *testing.T) {
	w := newWorld(t)
	tokens := make([]string, MaxSessions+1)
	for i := range tokens {
		tokens[i] = strings.Repeat("0", 60) + hex.EncodeToString([]byte{1, byte(i)})
	}
	for i, x := range tokens[:MaxSessions] {
		ok(t, w.signIn(signed(named(x, fmt.Sprintf("device-%d", i)))))
	}
	last := func() error {
		m := asked(tokens[MaxSessions])
		m.IssuedAt, m.Expires = at(w.now), at(w.now+3_600_000)
		return w.signIn(signed(m))
	}
	if err := last(); !errors.Is(err, coco.ErrInvalid) {
		t.Fatalf("one more: %v", err)
	}
	// One that was ended keeps its place as long as its message could be sent again.
	id, _ := TokenID(tokens[0])
	ok(t, w.execute(&Call{SignIn: SignIn{ID: id}, End: true}, kim))
	if err := last(); !errors.Is(err, coco.ErrInvalid) {
		t.Fatalf("in place of one that has just ended: %v", err)
	}
	w.now += MaxAge
	if err := last(); err != nil {
		t.Fatal(err)
	}
	state := w.scope.Snapshot()
	defer state.Release()
	if _, found, err := Read(state, id); found || err != nil {
		t.Errorf("the row of a session of which nothing can come is there: %v", err)
	}
	n := 0
	OfActor(state, kim.Actor, kim.User, func(Listed) bool { n++; return true })
	if n != MaxSessions {
		t.Errorf("%d sessions, expected %d", n, MaxSessions)
	}
}

func TestSessionsOfALinkThatHasEndedKeepNobodyOut(t *testing.T) {
	w := newWorld(t)
	for i := range MaxSessions {
		ok(t, w.signIn(signed(named(strings.Repeat("0", 60)+hex.EncodeToString([]byte{1, byte(i)}), fmt.Sprintf("device-%d", i)))))
	}
	ok(t, w.do(func(tx *store.Tx) error { return links.Unlink(tx, address, w.now) }))
	ok(t, w.do(func(tx *store.Tx) error {
		return links.Link(tx, address, links.Holder{Actor: kim.Actor, User: kim.User, Since: tx.Seqno()}, w.now+1)
	}))
	next := func() error {
		m := asked(strings.Repeat("0", 60) + "02ff")
		m.IssuedAt, m.Expires = at(w.now), at(w.now+3_600_000)
		return w.signIn(signed(m))
	}
	if err := next(); !errors.Is(err, coco.ErrInvalid) {
		t.Fatalf("while their messages could be sent again: %v", err)
	}
	w.now += MaxAge
	if err := next(); err != nil {
		t.Fatal(err)
	}
	state := w.scope.Snapshot()
	defer state.Release()
	n := 0
	OfActor(state, kim.Actor, kim.User, func(Listed) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d rows of sessions, expected 1", n)
	}
}

func TestRowsAndClaimsComeBack(t *testing.T) {
	r := Row{Address: address, Actor: kim.Actor, User: "kim", Linked: 3, Name: "laptop", Origin: page, Scope: Scope{"read"}, Issued: 1, Began: 2, Until: 3, Ended: true}
	// The vector of docs/formats.md.
	const vector = "f86094f39fd6e51aad88f6f4ce6ab8827279cfffb92266a00100000000000000000000000000000000000000000000000000000000000000836b696d03866c6170746f709368747470733a2f2f6170702e6578616d706c65c5847265616401020301"
	if got := hex.EncodeToString(r.Encode()); got != vector {
		t.Errorf("a row is %s", got)
	}
	back, err := DecodeRow(r.Encode())
	if err != nil || string(back.Encode()) != string(r.Encode()) {
		t.Errorf("%+v %v", back, err)
	}
	if _, err := DecodeRow(append(r.Encode(), 0)); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("a longer row: %v", err)
	}
	id := coco.Digest{5}
	c, ok := DecodeClaim(claim(KindBegin, id, &r))
	if want := (Claim{KindBegin, id, address, kim.Actor, "kim"}); !ok || c != want {
		t.Errorf("%+v", c)
	}
	if _, ok := DecodeClaim(claim("link", id, &r)); ok {
		t.Error("a claim of another kind is one of a session")
	}
	if got, ok := IDOf(sessionKey(id)); !ok || got != id {
		t.Errorf("%v", got)
	}
	if _, ok := IDOf(holderKey(kim.Actor, "")); ok {
		t.Error("a holder's row is a session's")
	}
}

// Whatever is read has one form.
func FuzzRead(f *testing.F) {
	text := asked(token).Text()
	f.Add([]byte(text), make([]byte, 65))
	good := must(base64.RawURLEncoding.DecodeString(signed(asked(token))))
	f.Add(good[65:], good[:65])
	f.Fuzz(func(t *testing.T, text, signature []byte) {
		credential := Credential(string(text), signature)
		s, err := here.Read(credential)
		if err != nil {
			if s != nil {
				t.Error("a refused message asks for something")
			}
			return
		}
		if len(signature) != 65 || s.Scope.check() != nil || checkName(s.Name) != nil || !strings.Contains(string(text), here.ID.String()) || s.Address != address {
			t.Errorf("%q is read as %+v", text, s)
		}
	})
}

// Whatever stands in a body: what is left of it calls nothing that the session may not.
func FuzzFilter(f *testing.F) {
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[]}`,
		`[{"jsonrpc":"2.0","id":1,"method":"eth_call"},{"id":"a","method":"eth_sendRawTransaction","params":["0x00"]}]`,
		`{"method":"eth_call","Method":"eth_sendRawTransaction","METHOD":"coco_linkAddress"}`,
		`{"\u006dethod":"eth_\u0073endRawTransaction"} {"method":"eth_call"}`,
		`[[{"method":"eth_sendRawTransaction"}]]`, `null`, `[null,1,"x"]`, ` [ ] `,
	} {
		f.Add([]byte(body))
	}
	g := &Grant{Scope: Scope{ScopeRead}}
	f.Fuzz(func(t *testing.T, body []byte) {
		out := g.Filter(body, 1000)
		for _, m := range methodsOf(out) {
			if slices.Contains(sending, m) || slices.Contains(never, m) || m == methodSignIn {
				t.Errorf("%q is left of %q", out, body)
			}
		}
	})
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Who signs in is unknown before the signature is checked: however many messages come, a node checks as many as its users need.
func TestMessagesOfNobodyTakeABoundedTime(t *testing.T) {
	w := newWorld(t)
	j := w.judge()
	elapsed := time.Hour
	j.Elapsed = func() time.Duration { return elapsed }
	ok(t, w.signIn(signed(asked(token))))
	other := must(base64.RawURLEncoding.DecodeString(signed(asked(strings.Repeat("cd", 32)))))[:65]
	forged := Credential(asked(token).Text(), other)
	checked := func() (n int) {
		for range 3 * checksAtOnce {
			_, err := j.Session(forged, page)
			switch {
			case errors.Is(err, coco.ErrInvalid):
				n++
			case !errors.Is(err, coco.ErrBusy):
				t.Fatal(err)
			}
		}
		return n
	}
	if n := checked(); n != checksAtOnce {
		t.Errorf("%d signatures were checked at once, expected %d", n, checksAtOnce)
	}
	if _, err := j.Session(signed(named(strings.Repeat("ef", 32), "phone")), page); !errors.Is(err, coco.ErrBusy) {
		t.Errorf("a user meanwhile: %v", err)
	}
	if _, err := j.Session(token, page); err != nil {
		t.Errorf("a session that has begun: %v", err)
	}
	// What is not for this node costs no check.
	for _, c := range []string{strings.Replace(asked(token).Text(), here.ID.String(), strings.Repeat("0", 64), 1), strings.Replace(asked(token).Text(), "app.example", "evil.example", 2)} {
		if _, err := j.Session(Credential(c, other), page); errors.Is(err, coco.ErrBusy) || err == nil {
			t.Errorf("a message for another: %v", err)
		}
	}
	elapsed += 500 * time.Millisecond
	if n := checked(); n != checksPerSecond/2 {
		t.Errorf("%d signatures were checked half a second later, expected %d", n, checksPerSecond/2)
	}
	elapsed += time.Hour
	if n := checked(); n != checksAtOnce {
		t.Errorf("%d signatures were checked an hour later, expected %d", n, checksAtOnce)
	}
}
