package sealed

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/cocoframework/coco"
)

var update = flag.Bool("update", false, "write the test vector anew")

func testKey(t testing.TB, epoch uint64) *Key {
	t.Helper()
	k, err := Derive([]byte("the service's private key"), bytes.Repeat([]byte{7}, 32), epoch)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func request() Request {
	return Request{
		Method: "POST", Target: "/rpc?max_age=5", Header: []Field{{"Content-Type", "application/json"}, {"Authorization", "Bearer x"}},
		Body: []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`), Time: 1790000000000, For: coco.NodeID{3}, ID: bytes.Repeat([]byte{4}, IDSize),
	}
}

func reply() Reply {
	return Reply{Status: 200, Header: []Field{{"Content-Type", "application/json"}}, Body: []byte(`{"result":"0x1"}`), Node: coco.NodeID{3}}
}

func TestARequestAndItsReplyArrive(t *testing.T) {
	k := testKey(t, 5)
	for _, r := range []Request{request(), {Method: "GET", Target: "/"}, {Method: "PUT", Target: "/app/kv/a%2Fb", Body: bytes.Repeat([]byte{1}, 1<<20), Time: 1}} {
		b, answer, err := SealRequest(k.Announce(coco.NodeID{9}), r)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b)) > MaxMessage(int64(len(r.Body))) {
			t.Errorf("a body of %d bytes makes a message of %d, more than MaxMessage says", len(r.Body), len(b))
		}
		if epoch, err := Epoch(b); err != nil || epoch != 5 {
			t.Errorf("epoch %d, %v", epoch, err)
		}
		o, err := k.Open(b)
		if err != nil || !reflect.DeepEqual(o.Request, r) {
			t.Fatalf("%+v, %v", o, err)
		}
		out, err := o.Seal(reply())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := answer.Open(out); err != nil || !reflect.DeepEqual(got, reply()) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestNoPartOfWhatIsSaidIsSeen(t *testing.T) {
	k := testKey(t, 5)
	b, _, _ := SealRequest(k.Announce(coco.NodeID{9}), request())
	o, err := k.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := o.Seal(reply())
	for _, secret := range []string{"rpc", "Bearer", "eth_chainId", "result", "application/json"} {
		if bytes.Contains(b, []byte(secret)) || bytes.Contains(out, []byte(secret)) {
			t.Errorf("%q is in the clear", secret)
		}
	}
	again, _, _ := SealRequest(k.Announce(coco.NodeID{9}), request())
	if bytes.Equal(again, b) {
		t.Error("a request is encrypted to the same bytes twice")
	}
}

// Sizes of near lengths are the same, and the padding costs at most an eighth.
func TestSizesAreRounded(t *testing.T) {
	k := testKey(t, 1)
	size := func(body int) int {
		b, _, err := SealRequest(k.Announce(coco.NodeID{}), Request{Method: "GET", Target: "/", Body: make([]byte, body)})
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	if a, b := size(0), size(100); a != b {
		t.Errorf("bodies of 0 and 100 bytes make messages of %d and %d", a, b)
	}
	if a, b := size(10_000), size(10_100); a != b {
		t.Errorf("bodies of 10,000 and 10,100 bytes make messages of %d and %d", a, b)
	}
	for n := 1; n < 1<<16; n += 37 {
		if p := padded(n); p < n || p > n+n/8+1 || padded(p) != p {
			t.Fatalf("%d is padded to %d", n, p)
		}
	}
}

func TestWhatIsChangedDoesNotOpen(t *testing.T) {
	k, other := testKey(t, 5), testKey(t, 6)
	b, answer, err := SealRequest(k.Announce(coco.NodeID{9}), request())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(b); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("another epoch's key: %v", err)
	}
	for i := 0; i < len(b); i += max(1, len(b)/200) {
		changed := bytes.Clone(b)
		changed[i] ^= 1
		if _, err := k.Open(changed); err == nil || err.Error() != errRefused.Error() {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, len(b) / 2, len(b) - 1} {
		if _, err := k.Open(b[:n]); err == nil || err.Error() != errRefused.Error() {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err := k.Open(append(bytes.Clone(b), 0)); err == nil {
		t.Error("a byte behind the message is taken")
	}
	o, err := k.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.Seal(reply())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(out); i += max(1, len(out)/100) {
		changed := bytes.Clone(out)
		changed[i] ^= 1
		if _, err := answer.Open(changed); !errors.Is(err, coco.ErrVerify) {
			t.Fatalf("byte %d of the reply changed: %v", i, err)
		}
	}
	if _, err := answer.Open(out[:len(out)-1]); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a reply that is cut: %v", err)
	}
	// The reply to another request of the same client, by the same key.
	b2, answer2, _ := SealRequest(k.Announce(coco.NodeID{9}), request())
	o2, err := k.Open(b2)
	if err != nil {
		t.Fatal(err)
	}
	out2, _ := o2.Seal(reply())
	if _, err := answer.Open(out2); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a reply to another request: %v", err)
	}
	if _, err := answer2.Open(out2); err != nil {
		t.Error(err)
	}
	// A request is no reply and a reply no request.
	if _, err := answer.Open(b); err == nil {
		t.Error("a request is taken for a reply")
	}
	if _, err := k.Open(out); err == nil {
		t.Error("a reply is taken for a request")
	}
	// The parts of two messages.
	m1, _ := parse(b)
	m2, _ := parse(b2)
	m1.Box = m2.Box
	if mixed, err := encode(m1); err != nil {
		t.Fatal(err)
	} else if _, err := k.Open(mixed); err == nil {
		t.Error("one message's key opens another one's box")
	}
}

// The epoch of a message is bound to it: one that is said to be of another epoch does not open by either key.
func TestTheEpochIsBound(t *testing.T) {
	k := testKey(t, 5)
	b, _, _ := SealRequest(k.Announce(coco.NodeID{9}), request())
	other := k.Announce(coco.NodeID{9})
	other.Epoch = 6
	if wrong, _, err := SealRequest(other, request()); err != nil {
		t.Fatal(err)
	} else if _, err := k.Open(wrong); err == nil {
		t.Error("a message that was sealed for another epoch is opened")
	}
	m, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	m.Epoch = 6
	changed, _ := encode(m)
	for _, key := range []*Key{k, {Epoch: 6, private: k.private, public: k.public}} {
		if _, err := key.Open(changed); err == nil {
			t.Errorf("opened by %v", key)
		}
	}
}

func TestPaddingHasOneForm(t *testing.T) {
	text, err := plain(request())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unpad(text); err != nil {
		t.Fatal(err)
	}
	last := bytes.Clone(text)
	last[len(last)-1] = 1
	long := bytes.Clone(text)
	long[0] = 0xff
	for name, bad := range map[string][]byte{
		"more of it":        append(bytes.Clone(text), make([]byte, 256)...),
		"less of it":        text[:len(text)-1],
		"another byte":      last,
		"a length too long": long,
		"nothing":           nil,
	} {
		if _, err := unpad(bad); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestKeysFollowFromServiceAndEpoch(t *testing.T) {
	base := testKey(t, 5)
	for name, c := range map[string]struct {
		service, secret string
		epoch           uint64
		same            bool
	}{
		"the same":          {"s", "e", 1, true},
		"another service":   {"t", "e", 1, false},
		"another secret":    {"s", "f", 1, false},
		"another epoch":     {"s", "e", 2, false},
		"a moved boundary":  {"se", "", 1, false},
		"the other's whole": {"", "se", 1, false},
	} {
		a, err := Derive([]byte("s"), []byte("e"), 1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Derive([]byte(c.service), []byte(c.secret), c.epoch)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Equal(a.public, b.public); got != c.same {
			t.Errorf("%s: the same key %v", name, got)
		}
	}
	if text := base.String(); text != "sealed key of epoch 5" {
		t.Error(text)
	}
}

func TestWhatNoRequestMayHave(t *testing.T) {
	k := testKey(t, 5)
	for name, change := range map[string]func(*Request){
		"no method":            func(r *Request) { r.Method = "" },
		"a method in lower":    func(r *Request) { r.Method = "get" },
		"a method of two":      func(r *Request) { r.Method = "GET /x" },
		"a relative target":    func(r *Request) { r.Target = "rpc" },
		"a target with spaces": func(r *Request) { r.Target = "/a HTTP/1.1" },
		"a line in the target": func(r *Request) { r.Target = "/a\r\nX: y" },
		"a line in a value":    func(r *Request) { r.Header[0].Value = "a\r\nX: y" },
		"a name with a colon":  func(r *Request) { r.Header[0].Name = "A: b" },
		"no name":              func(r *Request) { r.Header[0].Name = "" },
		"an id and no node":    func(r *Request) { r.For = coco.NodeID{} },
		"a node and no id":     func(r *Request) { r.ID = nil },
		"a short id":           func(r *Request) { r.ID = r.ID[1:] },
		"too many lines":       func(r *Request) { r.Header = make([]Field, MaxFields+1) },
		"a header too long":    func(r *Request) { r.Header[0].Value = string(bytes.Repeat([]byte("x"), MaxHeader)) },
	} {
		r := request()
		change(&r)
		if _, _, err := SealRequest(k.Announce(coco.NodeID{}), r); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		// Another program's client may not look.
		b, _, err := sealRequest(k.Announce(coco.NodeID{}), r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Open(b); err == nil || err.Error() != errRefused.Error() {
			t.Errorf("%s is opened: %v", name, err)
		}
	}
}

func TestAnnouncementsHaveOneForm(t *testing.T) {
	a := testKey(t, 5).Announce(coco.NodeID{9})
	b, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeAnnouncement(b); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := DecodeAnnouncement(append(b, 0)); !errors.Is(err, coco.ErrCorrupt) {
		t.Error(err)
	}
	if bytes.Equal(EvidenceNonce(b, []byte("n")), EvidenceNonce(append(b, 'n'), nil)) {
		t.Error("an announcement and a nonce can be taken for others")
	}
}

// vector is testdata/vector.json, and in docs/formats.md in words.
type vector struct {
	Service, Secret   string
	Epoch             uint64
	Public            string
	Message           string
	Method, Target    string
	Nonce, ReplyBytes string
}

// A second implementation is held against these bytes. A message is encrypted with fresh randomness, so the vector is opened, and its reply sealed under a nonce.
func TestTheVectorOpens(t *testing.T) {
	const file = "testdata/vector.json"
	k := testKey(t, 5)
	if *update {
		b, _, err := SealRequest(k.Announce(coco.NodeID{9}), request())
		if err != nil {
			t.Fatal(err)
		}
		o, err := k.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		nonce := bytes.Repeat([]byte{0xab}, nonceSize)
		out, err := o.seal(reply(), nonce)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.MarshalIndent(vector{
			hex.EncodeToString([]byte("the service's private key")), hex.EncodeToString(bytes.Repeat([]byte{7}, 32)), 5, hex.EncodeToString(k.public), hex.EncodeToString(b),
			"POST", "/rpc?max_age=5", hex.EncodeToString(nonce), hex.EncodeToString(out),
		}, "", "  ")
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	bin := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key, err := Derive(bin(v.Service), bin(v.Secret), v.Epoch)
	if err != nil || hex.EncodeToString(key.public) != v.Public {
		t.Fatalf("the derived key is another one (%v)", err)
	}
	o, err := key.Open(bin(v.Message))
	if err != nil || !reflect.DeepEqual(o.Request, request()) {
		t.Fatalf("%+v, %v", o, err)
	}
	out, err := o.seal(reply(), bin(v.Nonce))
	if err != nil || hex.EncodeToString(out) != v.ReplyBytes {
		t.Errorf("the reply is sealed to other bytes (%v)", err)
	}
	if got, err := (&Answer{o.encap, o.secret}).Open(bin(v.ReplyBytes)); err != nil || !reflect.DeepEqual(got, reply()) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whatever comes, it is opened or refused by the one error, and what is read of it encodes to the same bytes.
func FuzzMessage(f *testing.F) {
	k := testKey(f, 5)
	b, answer, _ := SealRequest(k.Announce(coco.NodeID{9}), request())
	f.Add(b)
	o, _ := k.Open(b)
	out, _ := o.Seal(reply())
	f.Add(out)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parse(b); err == nil {
			if again, err := encode(m); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%x encodes to %x", b, again)
			}
		}
		if _, err := k.Open(b); err != nil && err.Error() != errRefused.Error() {
			t.Error(err)
		}
		if _, err := answer.Open(b); err != nil && !errors.Is(err, coco.ErrVerify) {
			t.Error(err)
		}
	})
}

// FuzzPlain is about what is inside: a decrypted text is read in one form only, whoever has encrypted it.
func FuzzPlain(f *testing.F) {
	text, _ := plain(request())
	f.Add(text)
	f.Add(make([]byte, leastPlain))
	f.Fuzz(func(t *testing.T, text []byte) {
		inner, err := unpad(text)
		if err != nil {
			return
		}
		var r Request
		if unmarshal(inner, &r) != nil || r.validate() != nil {
			return
		}
		if again, err := plain(r); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%x is read as what encodes to %x", text, again)
		}
	})
}

// BenchmarkAnswer is what a node does for a request and its reply of 1 KiB.
func BenchmarkAnswer(b *testing.B) {
	k := testKey(b, 5)
	r := request()
	r.Body = make([]byte, 1024)
	message, _, err := SealRequest(k.Announce(coco.NodeID{9}), r)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		o, err := k.Open(message)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := o.Seal(Reply{Status: 200, Body: r.Body}); err != nil {
			b.Fatal(err)
		}
	}
}
