package genesis

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// Whatever a file holds is refused by its kind, or makes settings that a network takes or refuses.
func FuzzGenesis(f *testing.F) {
	f.Add([]byte(`{"config":{"chainId":77,` + upToLondon + `,"terminalTotalDifficulty":0,"shanghaiTime":0},"gasLimit":"0x1c9c380","difficulty":"0x0","alloc":{"00000000000000000000000000000000000000aa":{"balance":"0x10","storage":{"0x01":"0x02"}}}}`))
	f.Add([]byte(`{"config":{"chainId":1},"gasLimit":"0x1","difficulty":"0x0","alloc":{"aa":{"balance":"-1"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		g, err := archive.ParseGenesis("g", text)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		g.ToBlock()
		section, err := Section(g, 1000, false)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		page, err := TextOf(section)
		if err != nil {
			t.Fatal(err)
		}
		complete, err := settings.CompleteNew(page)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		s, err := settings.Parse(complete)
		if err != nil {
			t.Fatal(err)
		}
		for addr, a := range g.Alloc {
			if s.Alloc[addr].Balance.Cmp(a.Balance) != 0 || s.Alloc[addr].Nonce != a.Nonce || !bytes.Equal(s.Alloc[addr].Code, a.Code) {
				t.Fatalf("account %v is %+v, expected %+v", addr, s.Alloc[addr], a)
			}
		}
	})
}

// A dump is taken only as a whole: what comes out has the root that it begins with.
func FuzzDump(f *testing.F) {
	f.Add([]byte(`{"root":"0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"}`))
	f.Add([]byte(`{"root":"0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"}` + "\n" + `{"balance":"1","nonce":1,"code":"0x60","storage":{"0x01":"2"},"address":"0x00000000000000000000000000000000000000aa"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ReadDump("d", bytes.NewReader(text))
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) && !errors.Is(err, coco.ErrVerify) {
				t.Fatal(err)
			}
			return
		}
		if root, err := rootOf(d.Alloc); err != nil || root != d.Root {
			t.Fatalf("root %v, expected %v (%v)", root, d.Root, err)
		}
	})
}
