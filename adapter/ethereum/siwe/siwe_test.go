package siwe

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
)

// The examples of ERC-4361, and what else the grammar has.
const example = `example.com wants you to sign in with your Ethereum account:
0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2

I accept the ExampleOrg Terms of Service: https://example.com/tos

URI: https://example.com/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: 2021-09-30T16:25:24Z
Resources:
- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/
- https://example.com/my-web2-claim.json`

var good = []string{
	example,
	strings.Replace(example, "example.com ", "example.com:3388 ", 1),
	"https://" + example,
	strings.Replace(example, "I accept the ExampleOrg Terms of Service: https://example.com/tos\n", "", 1),   // no statement
	strings.Replace(example, "I accept the ExampleOrg Terms of Service: https://example.com/tos\n", "\n", 1), // an empty one
	strings.Replace(example, "Resources:", "Expiration Time: 2021-09-30t16:25:24.5+02:00\nNot Before: 2021-09-30T16:25:24z\nRequest ID: a%20b:@!\nResources:", 1),
	strings.Replace(example, "Resources:", "Request ID: \nResources:", 1),
	example[:strings.Index(example, "\n- ipfs")],
	example[:strings.Index(example, "\nResources:")],
	strings.Replace(example, "example.com ", "user:x@[2001:db8::1]:8443 ", 1),
	strings.Replace(example, "URI: https://example.com/login", "URI: urn:coco:x?a=b#c/d?e", 1),
}

func TestMessagesOfTheGrammarAreReadAndWrittenAsTheyAre(t *testing.T) {
	for _, text := range good {
		m, err := Parse(text)
		if err != nil {
			t.Errorf("%s\n%v", text, err)
		} else if m.Text() != text {
			t.Errorf("%s\nis written as\n%s", text, m.Text())
		}
	}
	m, err := Parse(good[5])
	if err != nil || Time(m.Expires) != 1633011924500 || Time(m.NotBefore) != 1633019124000 || *m.RequestID != "a%20b:@!" || len(m.Resources) != 2 {
		t.Errorf("%+v %v", m, err)
	}
}

func TestWhatIsBesideTheGrammarIsRefused(t *testing.T) {
	for _, c := range [][2]string{
		{"example.com wants", "example.com  wants"},
		{"example.com wants", "wants"},
		{"example.com wants", "example.com/x wants"},
		{"example.com wants", "a@b@example.com wants"},
		{"example.com wants", "example.com:80x wants"},
		{"example.com wants", "[::1%25eth0] wants"},
		{"example.com wants", "1https://example.com wants"},
		{"account:\n", "account: \n"},
		{"account:\n", "account:\r\n"},
		{"Cc2\n\n", "Cc2\n"},
		{"0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"},
		{"0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "C02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"},
		{"I accept", "I  accept\nand more"},
		{"I accept", "Ich erkl\u00e4re"},
		{"I accept", "I \"accept\""},
		{"tos\n\n", "tos\n\n\n"},
		{"URI: https", "URI:https"},
		{"URI: https://example.com/login", "URI: /login"},
		{"URI: https://example.com/login", "URI: https://example.com/lo gin"},
		{"URI: https://example.com/login", "URI: https://example.com/%4"},
		{"URI: https://example.com/login", "URI: https://example.com/#a#b"},
		{"Version: 1", "Version: 2"},
		{"Version: 1\n", "Version: 1\nVersion: 1\n"},
		{"Chain ID: 1", "Chain ID: 0x1"},
		{"Chain ID: 1", "Chain ID: "},
		{"Chain ID: 1", "chain id: 1"},
		{"Nonce: 32891756", "Nonce: 3289175"},
		{"Nonce: 32891756", "Nonce: 32891756-"},
		{"2021-09-30T16:25:24Z", "2021-09-30 16:25:24Z"},
		{"2021-09-30T16:25:24Z", "2021-09-31T16:25:24Z"},
		{"2021-09-30T16:25:24Z", "2021-09-30T16:25:24"},
		{"2021-09-30T16:25:24Z", "2021-09-30T16:25:24,5Z"},
		{"2021-09-30T16:25:24Z", "2021-09-30T16:25:24Z "},
		{"Resources:", "Not Before: 2021-09-30T16:25:24Z\nExpiration Time: 2021-09-30T16:25:24Z\nResources:"},
		{"Resources:", "Request ID: a b\nResources:"},
		{"Resources:", "Resources: "},
		{"- ipfs", "-ipfs"},
		{"claim.json", "claim.json\n"},
		{"claim.json", "claim.json\nResources:"},
	} {
		text := strings.Replace(example, c[0], c[1], 1)
		if text == example {
			t.Fatalf("%q is not in the example", c[0])
		}
		if m, err := Parse(text); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%q for %q is read as %+v, %v", c[1], c[0], m, err)
		}
	}
	if _, err := Parse(example + strings.Repeat("\n- urn:a:b", MaxBytes/10)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a message without bounds: %v", err)
	}
	if _, err := Parse(""); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("nothing: %v", err)
	}
}

func TestASignatureIsOfOneTextAndHasOneForm(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := crypto.Sign(Hash(example).Bytes(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Signer(example, sig); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("v of 0 or 1: %v", err)
	}
	sig[64] += 27
	who, err := Signer(example, sig)
	if err != nil || who != crypto.PubkeyToAddress(key.PublicKey) {
		t.Fatalf("%v %v", who, err)
	}
	if other, err := Signer(example+" ", sig); err == nil && other == who {
		t.Error("the signature counts for another text")
	}
	// The other one of the two s of a signature.
	s := math.U256Bytes(crypto.S256().Params().N)
	borrow := 0
	for i := 31; i >= 0; i-- {
		d := int(s[i]) - int(sig[32+i]) - borrow
		if borrow = 0; d < 0 {
			d, borrow = d+256, 1
		}
		sig[32+i] = byte(d)
	}
	sig[64] = 27 + 28 - sig[64]
	if _, err := Signer(example, sig); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("the upper s: %v", err)
	}
}

// Whatever is read is written as it was.
func FuzzParse(f *testing.F) {
	for _, text := range good {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := Parse(text); err == nil && m.Text() != text {
			t.Errorf("%q is written as %q", text, m.Text())
		}
	})
}
