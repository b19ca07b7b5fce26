package action

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
)

const certificatePEM = `-----BEGIN CERTIFICATE-----
MIIBozCCAUmgAwIBAgIBATAKBggqhkjOPQQDAjA4MRowGAYDVQQKExFCYW5rIG9m
IEFuY2hvcmFnZTEaMBgGA1UEAxMRQmFuayBvZiBBbmNob3JhZ2UwIBcNMjAwMTAx
MDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMDgxGjAYBgNVBAoTEUJhbmsgb2YgQW5j
aG9yYWdlMRowGAYDVQQDExFCYW5rIG9mIEFuY2hvcmFnZTBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABHQLB8Vc3BEBhfFmBWKHWb3INpH1k12mhsY0V+BJMX+nHVbH
n7xhUaoPYi+GVZtaSAiB233inm02ck55q4IkGsujQjBAMA4GA1UdDwEB/wQEAwIC
hDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBQWQEvFcW8c6D3gcyWS0S1lg0Qx
ODAKBggqhkjOPQQDAgNIADBFAiEAnFb8lQHIYTeTKCdO/rmSBY4uqPR/EAIHu2nk
gmM+060CIBflpU13zG+1tLK0KZJjkMAGt1XudsYU874OrdSstu/i
-----END CERTIFICATE-----
`

// all has an action of each kind.
func all(t testing.TB) string {
	t.Helper()
	key, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys.MarshalPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	cert := "'''\n" + certificatePEM + "'''"
	return `
[[actions]]
kind = "add-member"
name = "Bank of Anchorage"
weight = 3
certificate = ` + cert + `
certificates = [` + cert + `]
encryption_key = '''` + string(public) + `'''
[[actions]]
kind = "remove-member"
actor = "Bank of Anchorage"
force = "I accept that nobody can change this any more"
[[actions]]
kind = "add_participant"
name = "Quayside"
certificate = ` + cert + `
[[actions]]
kind = "remove-participant"
actor = "Quayside"
[[actions]]
kind = "add-certificate"
actor = "Quayside"
certificate = ` + cert + `
[[actions]]
kind = "remove-certificate"
actor = "Quayside"
certificate = ` + cert + `
[[actions]]
kind = "add-node"
owner = "Quayside"
address = "node.quayside.example:7000"
[[actions]]
kind = "remove-node"
node = "` + strings.Repeat("ab", 32) + `"
[[actions]]
kind = "add-code"
measurement = "snp:00"
note = "release 2"
[[actions]]
kind = "remove-code"
measurement = "snp:00"
[[actions]]
kind = "set-tee"
platform = "snp"
tee_policy = { minimum_security_version = 7 }
debug = true
[[actions]]
kind = "set-tee"
platform = "snp"
remove = true
[[actions]]
kind = "set-policy"
policy = "add-node"
expression = "votes.yes > 1"
[[actions]]
kind = "remove-policy"
policy = "add_code"
[[actions]]
kind = "set"
setting = "limits.queue"
value = 100
[[actions]]
kind = "set"
setting = "adapters.kv.x"
value = { list = [1, 2.5, "x"], on = true }
[[actions]]
kind = "upgrade"
measurement = "snp:01"
note = "release 3"
replaces = "snp:00"
[[actions]]
kind = "rotate"
[[actions]]
kind = "refresh"
[[actions]]
kind = "open-network"
service = "` + coco.Digest{7}.String() + `"
[[actions]]
kind = "grant-epochs"
name = "Audit Partners"
certificate = ` + cert + `
encryption_key = '''` + string(public) + `'''
epochs = "3-5"

[[actions]]
kind = "add-issuer"
name = "acme-login"
actor = "Bank of Anchorage"
issuer = { url = "https://login.acme.example/realms/acme", audience = "coco", claims = { org = "acme" }, clock_skew_seconds = 30 }
certificates = [` + cert + `]

[[actions]]
kind = "remove-issuer"
name = "acme-login"

[[actions]]
kind = "revoke-access"
name = "acme-login"
user = "kim"
remove = true

[[actions]]
kind = "add-origin"
name = "https://app.example"

[[actions]]
kind = "remove-origin"
name = "https://app.example"
`
}

func TestEveryKindIsReadFromTOMLAndCBOR(t *testing.T) {
	actions, err := Parse([]byte(all(t)))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Kind]bool{}
	for _, a := range actions {
		seen[a.Kind] = true
		raw, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(raw)
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Errorf("%v came back as %v (%v)", a, again, err)
		}
		if s := a.String(); !strings.Contains(s, " ") && a.Kind != Rotate && a.Kind != Refresh {
			t.Errorf("%q is no sentence", s)
		}
	}
	for _, k := range Kinds() {
		if !seen[k] {
			t.Errorf("no %s", k)
		}
	}
	text, err := Format(actions)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil || !reflect.DeepEqual(actions, again) {
		t.Errorf("%v came back from\n%s", err, text)
	}
	if v := actions[15].Args.Value; v != `{"list":[1,2.5,"x"],"on":true}` {
		t.Errorf("value %s", v)
	}
	if p := actions[12].Args.Policy; p != "add_node" {
		t.Errorf("policy %s", p)
	}
	if f := actions[8].Facts(); f["kind"] != "add_code" || f["measurement"] != "snp:00" || f["note"] != "release 2" || len(f) != 3 {
		t.Errorf("facts %v", f)
	}
}

func TestWrongActionsAreRefusedByName(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "at least one [[actions]]"},
		{`x = 1`, "x: unknown field (line 1)"},
		{"[[actions]]\nkind = 'add-cod'", `action 1: invalid: unknown kind of action "add-cod": expected one of add-member`},
		{"[[actions]]\nkind = 'add-code'", "action 1: invalid: add-code: measurement is missing"},
		{"[[actions]]\nkind = 'add-code'\nmeasurement = 'snp:00'\nactor = 'x'", "add-code: it does not take actor"},
		{"[[actions]]\nkind = 'add-code'\nmeasurment = 'snp:00'", "actions.measurment: unknown field (line 3)"},
		{"[[actions]]\nkind = 'add-code'\nmeasurement = 7", "line 3"},
		{"[[actions]]\nkind = 'add-node'\nowner = 'x'", "add-node: expected owner and address, or the id of a node"},
		{"[[actions]]\nkind = 'add-node'\nowner = 'x'\naddress = 'y:1'\nnode = 'ab'", "or the id of a node"},
		{"[[actions]]\nkind = 'add-node'\nnode = 'ab'", "64 hexadecimal digits"},
		{"[[actions]]\nkind = 'add-participant'\nname = 'x'\ncertificate = 'y'", "expected a PEM block"},
		{"[[actions]]\nkind = 'add-participant'\nname = 'x'\ncertificate = '''" + certificatePEM + certificatePEM + "'''", "found more after it"},
		{"[[actions]]\nkind = 'add-participant'\nname = 'x'\ncertificates = ['y']", "certificates[0]"},
		{"[[actions]]\nkind = 'add-member'\nname = 'x'\nencryption_key = 'y'", "encryption_key"},
		{"[[actions]]\nkind = 'set-policy'\npolicy = 'all'\nexpression = 'true'", `policy "all"`},
		{"[[actions]]\nkind = 'set-tee'\nplatform = 'snp'\nremove = true\ndebug = true", "remove stands alone"},
		{"[[actions]]\nkind = 'set'\nsetting = 'limits.queue'", "value is missing"},
		{"[[actions]]\nkind = 'set'\nsetting = 'x'\nvalue = 2026-01-01", "a date or time"},
		{"[[actions]]\nkind = 'set'\nsetting = 'x'\nvalue = 'y'\nnote = 'z'", "does not take note"},
		{"[[actions]]\nkind = 'remove-member'\nactor = '" + strings.Repeat("x", 5000) + "'", "expected at most 4096"},
		{"[[actions]]\nkind = 'add-code'\nmeasurement = 'snp:00'\n[[actions]]\nkind = 'remove-code'", "action 2"},
		{"[[actions]]\nkind = 'add-issuer'\nname = 'x'\nactor = 'y'\ncertificates = ['''" + certificatePEM + "''']\nissuer = { url = 'http://a.example', audience = 'coco' }", "issuer.url: expected https://"},
		{"[[actions]]\nkind = 'add-issuer'\nname = 'x'\nactor = 'y'\ncertificates = ['''" + certificatePEM + "''']\nissuer = { url = 'https://a.example', audience = 'coco', algorithms = ['HS256'] }", "issuer.algorithms: expected some of ES256"},
		{"[[actions]]\nkind = 'add-issuer'\nname = 'x'\nactor = 'y'\ncertificates = ['''" + certificatePEM + "''']\nissuer = { audience = 'coco' }", "issuer.url: missing"},
		{"[[actions]]\nkind = 'add-issuer'\nname = 'x'\nactor = 'y'\nissuer = { url = 'https://a.example', audience = 'coco' }", "certificates is missing"},
		{"[[actions]]\nkind = 'revoke-access'\nname = 'x'", "expected a user, a token, before, or a user and before"},
		{"[[actions]]\nkind = 'revoke-access'\nname = 'x'\nuser = 'a'\ntoken = 'b'", "expected a user, a token, before, or a user and before"},
		{"[[actions]]\nkind = 'revoke-access'\nuser = 'a'", "expected an issuer (name) or an organisation (actor), and not both"},
		{"[[actions]]\nkind = 'revoke-access'\nname = 'x'\nactor = 'y'\nuser = 'a'", "expected an issuer (name) or an organisation (actor), and not both"},
		{"[[actions]]\nkind = 'revoke-access'\nactor = 'y'\ntoken = 'b'", "expected the issuer (name) of the token"},
		{"[[actions]]\nkind = 'revoke-access'\nname = 'x'\nbefore = 5\nremove = true", "remove goes with a user or a token alone"},
		{"[[actions]]\nkind = 'add-origin'\nname = 'http://app.example'", "expected an origin such as https://app.example"},
		{strings.Repeat(" ", maxTOML+1), "at most"},
	} {
		if _, err := Parse([]byte(c.text)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: error %v, expected %q", c.text, err, c.want)
		}
	}
}

func TestOnlyOneEncodingIsAnAction(t *testing.T) {
	encode := func(v any) []byte {
		b, err := canon.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	args := map[string]any{"measurement": "snp:00"}
	if _, err := Decode(encode(map[int]any{1: "add_code", 2: args})); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"dashes":          encode(map[int]any{1: "add-code", 2: args}),
		"an unknown kind": encode(map[int]any{1: "add", 2: args}),
		"another field":   encode(map[int]any{1: "add_code", 2: args, 3: 1}),
		"an empty field":  encode(map[int]any{1: "add_code", 2: map[string]any{"measurement": "snp:00", "note": ""}}),
		"an unknown one":  encode(map[int]any{1: "add_code", 2: map[string]any{"measurement": "snp:00", "x": 1}}),
		"no arguments":    encode(map[int]any{1: "add_code"}),
		"more after it":   append(encode(map[int]any{1: "add_code", 2: args}), 0),
		"a value":         encode(map[int]any{1: "set", 2: map[string]any{"setting": "x", "value": "1.0"}}),
		"nothing":         nil,
	} {
		if _, err := Decode(b); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(all(f)))
	f.Add([]byte("[[actions]]\nkind = 'set'\nsetting = 'a.b'\nvalue = [1e30, {a = 1}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		actions, err := Parse(text)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatalf("error %v, expected coco.ErrInvalid", err)
			}
			return
		}
		page, err := Format(actions)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(page)
		if err != nil || !reflect.DeepEqual(actions, again) {
			t.Fatalf("%v came back from\n%s", err, page)
		}
	})
}

func FuzzDecode(f *testing.F) {
	actions, err := Parse([]byte(all(f)))
	if err != nil {
		f.Fatal(err)
	}
	for _, a := range actions {
		raw, err := a.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := Decode(raw)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatalf("error %v, expected coco.ErrInvalid", err)
			}
			return
		}
		again, err := a.Encode()
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%x came back as %x (%v)", raw, again, err)
		}
		_, _ = a.String(), a.Facts()
	})
}

// The sentence is read where people write it. What is signed does not contain it, so that it may be reworded.
func TestForceIsWrittenAsASentenceAndSignedAsABool(t *testing.T) {
	page := func(force string) string {
		return "[[actions]]\nkind = \"remove-policy\"\npolicy = \"add_code\"\nforce = \"" + force + "\"\n"
	}
	if _, err := Parse([]byte(page("yes"))); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "exactly the sentence") {
		t.Errorf("another sentence: %v", err)
	}
	actions, err := Parse([]byte(page(ForceSentence)))
	if err != nil || !actions[0].Args.Force {
		t.Fatalf("%+v, %v", actions, err)
	}
	if b, err := actions[0].Encode(); err != nil || strings.Contains(string(b), "accept") {
		t.Errorf("signed: %q, %v", b, err)
	}
	if text, err := Format(actions); err != nil || !strings.Contains(string(text), ForceSentence) {
		t.Errorf("written again: %s, %v", text, err)
	}
}
