package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

var update = flag.Bool("update", false, "write the golden files")

type member struct {
	actor coco.ActorID
	key   *MemberKey
}

// members have keys for both algorithms, in turn.
func members(t testing.TB, n int) ([]member, []Recipient) {
	t.Helper()
	ms, rs := make([]member, n), make([]Recipient, n)
	for i := range n {
		key, err := NewMemberKey([]Algorithm{X25519, XWing}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		ms[i] = member{sha256.Sum256([]byte{byte(i)}), key}
		rs[i] = Recipient{ms[i].actor, key.Public()}
	}
	return ms, rs
}

func open(t testing.TB, e *SealedEpoch, ms []member) []Share {
	t.Helper()
	shares := make([]Share, len(ms))
	for i, m := range ms {
		var err error
		if shares[i], err = e.OpenShare(m.actor, m.key); err != nil {
			t.Fatal(err)
		}
	}
	return shares
}

func TestAnyThresholdOfMembersGetsTheSecretBackAndFewerDoNot(t *testing.T) {
	for _, c := range []struct{ n, threshold int }{{1, 1}, {2, 1}, {2, 2}, {3, 2}, {4, 4}, {5, 3}} {
		t.Run(fmt.Sprintf("%d of %d", c.threshold, c.n), func(t *testing.T) {
			ms, rs := members(t, c.n)
			secret, e, err := NewEpoch(7, rs, c.threshold)
			if err != nil {
				t.Fatal(err)
			}
			shares := open(t, e, ms)
			for set := range 1 << c.n {
				var some []Share
				for i := range c.n {
					if set>>i&1 == 1 {
						some = append(some, shares[i])
					}
				}
				got, _, err := Combine(e, some)
				if len(some) < c.threshold {
					if !errors.Is(err, coco.ErrInvalid) {
						t.Fatalf("%d shares: error %v, expected coco.ErrInvalid", len(some), err)
					}
					// One share given again must not count for two.
					if len(some) > 0 {
						if _, _, err := Combine(e, append(some, some[0], some[0], some[0])); !errors.Is(err, coco.ErrInvalid) {
							t.Fatalf("repeated shares: error %v, expected coco.ErrInvalid", err)
						}
					}
					continue
				}
				if err != nil || !got.Equal(secret) {
					t.Fatalf("%d shares: not the secret, error %v", len(some), err)
				}
			}
		})
	}
}

func TestEveryEpochHasAnotherSecret(t *testing.T) {
	_, rs := members(t, 1)
	a, _, err1 := NewEpoch(1, rs, 1)
	b, _, err2 := NewEpoch(1, rs, 1)
	if err1 != nil || err2 != nil || a.Equal(b) || a.Equal(Secret{}) {
		t.Fatalf("two epochs share a secret, or it is zero (%v, %v)", err1, err2)
	}
}

func TestAWrongShareNamesItsSender(t *testing.T) {
	ms, rs := members(t, 3)
	secret, e, err := NewEpoch(1, rs, 2)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := NewEpoch(1, rs, 2)
	if err != nil {
		t.Fatal(err)
	}
	shares := open(t, e, ms)
	for name, wrong := range map[string]Share{
		"one bit":        {1, ms[1].actor, flip(shares[1].Value)},
		"someone else's": {1, ms[1].actor, shares[0].Value},
		"another deal":   {1, ms[1].actor, open(t, other, ms)[1].Value},
		"another epoch":  {2, ms[1].actor, shares[1].Value},
		"no scalar":      {1, ms[1].actor, Secret(bytes.Repeat([]byte{0xff}, 32))},
		"zero":           {1, ms[1].actor, Secret{}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, with := range [][]Share{{shares[0], wrong, shares[2]}, {shares[0], wrong}} {
				got, faults, err := Combine(e, with)
				if enough := len(with) > 2; enough && (err != nil || !got.Equal(secret)) || !enough && !errors.Is(err, coco.ErrInvalid) {
					t.Errorf("2 are needed, %d are right: error %v", len(with)-1, err)
				}
				var fault *ShareError
				if len(faults) != 1 || !errors.As(faults[0], &fault) || fault.Actor != ms[1].actor || !errors.Is(fault, coco.ErrVerify) {
					t.Errorf("faults %v, expected a ShareError that names actor %s", faults, ms[1].actor.Short())
				}
			}
		})
	}
	stranger := Share{1, coco.ActorID{9}, shares[0].Value}
	if err := e.Verify(stranger); !errors.Is(err, coco.ErrVerify) {
		t.Fatalf("a stranger's share: error %v, expected coco.ErrVerify", err)
	}
}

func flip(s Secret) Secret {
	s[0] ^= 1
	return s
}

func TestAShareOpensForItsMemberInItsPlaceOnly(t *testing.T) {
	ms, rs := members(t, 3)
	_, e, err := NewEpoch(4, rs, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.OpenShare(ms[0].actor, ms[1].key); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("another member's key: error %v, expected coco.ErrInvalid", err)
	}
	if _, err := e.OpenShare(coco.ActorID{1, 2}, ms[1].key); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("an unknown actor: error %v, expected coco.ErrNotFound", err)
	}
	tamper := map[string]func(*SealedEpoch){
		"epoch": func(e *SealedEpoch) { e.Epoch++ },
		"actor": func(e *SealedEpoch) {
			// The actor takes the place of another one, whose share it cannot have.
			e.Shares[2].Key, e.Shares[2].Box = e.Shares[0].Key, e.Shares[0].Box
		},
		"position":   func(e *SealedEpoch) { e.Shares = e.Shares[1:] },
		"commitment": func(e *SealedEpoch) { e.Commitment[1] = e.Commitment[0] },
		"threshold":  func(e *SealedEpoch) { e.Commitment = e.Commitment[:1] },
		"box":        func(e *SealedEpoch) { e.Shares[2].Box = bytes.Clone(e.Shares[2].Box); e.Shares[2].Box[60] ^= 1 },
	}
	for name, change := range tamper {
		b, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		altered, err := ParseSealedEpoch(b)
		if err != nil {
			t.Fatal(err)
		}
		change(altered)
		last := altered.Shares[len(altered.Shares)-1]
		var key *MemberKey
		for _, m := range ms {
			if bytes.Equal(m.key.Public(), last.Key) {
				key = m.key
			}
		}
		var fault *ShareError
		if _, err := altered.OpenShare(last.Actor, key); !errors.As(err, &fault) || fault.Actor != last.Actor {
			t.Errorf("altered %s: error %v, expected a ShareError", name, err)
		}
	}
}

func TestADealerWhoSealsAWrongShareIsFound(t *testing.T) {
	ms, rs := members(t, 2)
	_, e, err := NewEpoch(1, rs, 2)
	if err != nil {
		t.Fatal(err)
	}
	victim := e.Shares[0]
	wrong := make([]byte, scalarSize)
	wrong[0] = 1
	info := shareInfo(1, 0, victim.Actor, e.commitmentDigest())
	if e.Shares[0].Box, err = SealTo(victim.Key, info, wrong); err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		_, err := e.OpenShare(m.actor, m.key)
		if wronged := m.actor == victim.Actor; wronged != errors.Is(err, coco.ErrVerify) {
			t.Errorf("actor %s: error %v", m.actor.Short(), err)
		}
	}
}

func TestNewEpochRefusesWhatCannotBeShared(t *testing.T) {
	_, rs := members(t, 2)
	for name, c := range map[string]struct {
		rs        []Recipient
		threshold int
	}{
		"nobody":             {nil, 1},
		"threshold 0":        {rs, 0},
		"threshold too high": {rs, 3},
		"an actor twice":     {[]Recipient{rs[0], rs[0]}, 1},
		"a short key":        {[]Recipient{{rs[0].Actor, rs[0].Key[:31]}}, 1},
		"a weak key":         {[]Recipient{{rs[0].Actor, make([]byte, 32)}}, 1},
		"too many":           {make([]Recipient, MaxMembers+1), 1},
	} {
		if _, _, err := NewEpoch(1, c.rs, c.threshold); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
}

// TestTheFormatsStay opens an epoch that an earlier build sealed.
func TestTheFormatsStay(t *testing.T) {
	type golden struct {
		Keys   []string `json:"keys"`   // PEM
		Epoch  string   `json:"epoch"`  // hexadecimal
		Shares []string `json:"shares"` // hexadecimal
		Secret string   `json:"secret"` // hexadecimal
	}
	file := filepath.Join("testdata", "epoch.json")
	if *update {
		ms, rs := members(t, 3)
		secret, e, err := NewEpoch(5, rs, 2)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		g := golden{Epoch: hex.EncodeToString(b), Secret: hex.EncodeToString(secret[:])}
		for i, s := range open(t, e, ms) {
			text, err := ms[i].key.PEM()
			if err != nil {
				t.Fatal(err)
			}
			b, err := canon.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			g.Keys, g.Shares = append(g.Keys, string(text)), append(g.Shares, hex.EncodeToString(b))
		}
		text, err := json.MarshalIndent(g, "", "\t")
		if err != nil {
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
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(g.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseSealedEpoch(b)
	if err != nil {
		t.Fatal(err)
	}
	if e.Epoch != 5 || e.Threshold() != 2 || len(e.Shares) != 3 {
		t.Fatalf("epoch %d, %d of %d; expected 5, 2 of 3", e.Epoch, e.Threshold(), len(e.Shares))
	}
	var shares []Share
	for i := range g.Keys {
		key, err := ParseMemberKey([]byte(g.Keys[i]))
		if err != nil {
			t.Fatal(err)
		}
		share, err := e.OpenShare(sha256.Sum256([]byte{byte(i)}), key)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := canon.Marshal(share); err != nil || hex.EncodeToString(b) != g.Shares[i] {
			t.Errorf("share %d encodes to %x (%v), expected %s", i, b, err, g.Shares[i])
		}
		shares = append(shares, share)
	}
	secret, _, err := Combine(e, shares[1:])
	if err != nil || hex.EncodeToString(secret[:]) != g.Secret {
		t.Errorf("secret %x (%v), expected %s", secret[:], err, g.Secret)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	ms, rs := members(t, 1)
	secret, e, err := NewEpoch(1, rs, 1)
	if err != nil {
		t.Fatal(err)
	}
	share := open(t, e, ms)[0]
	private, err := ms[0].key.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	values := []any{
		secret, &secret, share, &share, ms[0].key, SecretBytes(secret[:]),
		[]Secret{secret},
		map[string]any{"k": secret},
		struct{ K SecretBytes }{secret[:]},
		[]*MemberKey{ms[0].key},
	}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%08b"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
	}
	printed := out.String()
	for name, b := range map[string][]byte{"secret": secret[:], "share": share.Value[:], "private key": private} {
		for _, form := range []string{
			string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
			strings.Trim(fmt.Sprint(b), "[]"), strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ","),
		} {
			if strings.Contains(printed, form) {
				t.Errorf("the %s is printed", name)
			}
		}
	}
	if !strings.Contains(printed, redacted) {
		t.Error("nothing says that something was left out")
	}
}

func TestMemberKeysKeepTheirPEM(t *testing.T) {
	key, err := GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseMemberKey(text)
	if err != nil || !bytes.Equal(again.Public(), key.Public()) {
		t.Fatalf("another key came back: %v", err)
	}
	public, err := MarshalPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParsePublicKey(public); err != nil || !bytes.Equal(got, key.Public()) {
		t.Fatalf("another public key came back: %x, %v", got, err)
	}
	// Made by: openssl genpkey -algorithm x25519; openssl pkey -pubout.
	const theirs = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE KEY-----\n"
	key, err = ParseMemberKey([]byte(theirs))
	if err != nil {
		t.Fatal(err)
	}
	// The key pair of Alice in RFC 7748, section 6.1.
	const alice = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
	if got := hex.EncodeToString(key.Public()); got != alice {
		t.Errorf("public key %s, expected %s", got, alice)
	}
	for name, text := range map[string]string{
		"nothing":        "",
		"no PEM":         "hello",
		"a public key":   string(public),
		"two blocks":     theirs + theirs,
		"broken":         "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n",
		"an Ed25519 one": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE KEY-----\n",
	} {
		if _, err := ParseMemberKey([]byte(text)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	signs := "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE KEY-----\n"
	if _, err := ParseMemberKey([]byte(signs)); err == nil || !strings.Contains(err.Error(), "found an Ed25519 key, which signs: name the member's encryption key") {
		t.Errorf("a key that signs: error %v, expected what it is and what to name", err)
	}
	for name, text := range map[string]string{"nothing": "", "a private key": theirs, "two blocks": string(public) + string(public)} {
		if _, err := ParsePublicKey([]byte(text)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s as a public key: error %v, expected coco.ErrInvalid", name, err)
		}
	}
}

func FuzzParseSealedEpoch(f *testing.F) {
	_, rs := members(f, 3)
	_, e, err := NewEpoch(1, rs, 2)
	if err != nil {
		f.Fatal(err)
	}
	b, err := e.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseSealedEpoch(b)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("error %v, expected coco.ErrCorrupt", err)
			}
			return
		}
		if again, err := e.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x (%v)", b, again, err)
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	_, rs := members(f, 1)
	text, err := MarshalPublicKey(rs[0].Key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParsePublicKey(text)
		if err != nil {
			return
		}
		again, err := MarshalPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := ParsePublicKey(again); err != nil || !bytes.Equal(same, key) {
			t.Fatalf("%x came back as %x (%v)", key, same, err)
		}
	})
}
