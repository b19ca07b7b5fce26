package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"os"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
)

// memory is a folder in memory.
type memory map[string]*bytes.Buffer

func (m memory) Create(name string) (io.WriteCloser, error) {
	m[name] = new(bytes.Buffer)
	return nopCloser{m[name]}, nil
}

func (m memory) Open(name string) (io.ReadCloser, error) {
	if m[name] == nil {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(m[name].Bytes())), nil
}

func (m memory) Remove() error  { clear(m); return nil }
func (m memory) String() string { return "memory" }

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// written is an archive of three blocks without transactions.
func written(t *testing.T) memory {
	t.Helper()
	config := *params.MergedTestChainConfig
	g := &core.Genesis{Config: &config, Difficulty: new(big.Int), GasLimit: 30_000_000, BaseFee: big.NewInt(1), Alloc: types.GenesisAlloc{}}
	dir := memory{}
	w, err := Create(dir, "", g, Own, true)
	if err != nil {
		t.Fatal(err)
	}
	parent := g.ToBlock().Hash()
	for n := range uint64(3) {
		b := types.NewBlockWithHeader(&types.Header{Number: new(big.Int).SetUint64(n + 1), ParentHash: parent, Difficulty: new(big.Int)})
		if err := w.Add(&Item{Block: b, Receipts: types.Receipts{}, Writes: &Writes{Number: n + 1, Transactions: []State{{}}}}); err != nil {
			t.Fatal(err)
		}
		parent = b.Hash()
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// change changes a file, and the manifest so that it agrees.
func (m memory) change(t *testing.T, name string, change func([]byte) []byte, manifest func(*Manifest)) {
	t.Helper()
	var says Manifest
	if err := json.Unmarshal(m[ManifestFile].Bytes(), &says); err != nil {
		t.Fatal(err)
	}
	if name != "" {
		m[name] = bytes.NewBuffer(change(bytes.Clone(m[name].Bytes())))
		sum := sha256.Sum256(m[name].Bytes())
		says.Files[name] = File{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(m[name].Len())}
	}
	if manifest != nil {
		manifest(&says)
	}
	text, err := json.Marshal(&says)
	if err != nil {
		t.Fatal(err)
	}
	m[ManifestFile] = bytes.NewBuffer(text)
}

func count(t *testing.T, dir memory) (blocks int, err error) {
	t.Helper()
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for ; ; blocks++ {
		if _, err := r.Next(); err != nil {
			return blocks, err
		}
	}
}

// Whoever makes an archive makes its manifest, too: a reader that took a shorter file for the end of the chain would call blocks right that nothing has looked at.
func TestAnArchiveEndsWithItsChainAlone(t *testing.T) {
	dir := written(t)
	if n, err := count(t, dir); n != 3 || err != io.EOF {
		t.Fatalf("%d blocks, %v", n, err)
	}
	lines := func(keep int, more string) func([]byte) []byte {
		return func(b []byte) []byte {
			return append(bytes.Join(bytes.SplitAfter(b, []byte("\n"))[:keep], nil), more...)
		}
	}
	for name, tc := range map[string]struct {
		file     string
		change   func([]byte) []byte
		manifest func(*Manifest)
	}{
		"fewer receipts":           {ReceiptsFile, func(b []byte) []byte { return b[:2] }, nil},
		"no receipts":              {ReceiptsFile, func([]byte) []byte { return nil }, nil},
		"more receipts":            {ReceiptsFile, func(b []byte) []byte { return append(b, 0xc0) }, nil},
		"fewer lines":              {WritesFile, lines(2, ""), nil},
		"half a line":              {WritesFile, lines(2, `{"number":3,`), nil},
		"an empty line":            {WritesFile, lines(2, "\n"), nil},
		"more lines":               {WritesFile, lines(3, "{}\n"), nil},
		"no blocks":                {ChainFile, func([]byte) []byte { return nil }, nil},
		"fewer blocks than said":   {"", nil, func(m *Manifest) { m.Last++ }},
		"another block at the end": {"", nil, func(m *Manifest) { m.LastHash = common.Hash{1} }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := written(t)
			dir.change(t, tc.file, tc.change, tc.manifest)
			if n, err := count(t, dir); !errors.Is(err, coco.ErrInvalid) || errors.Is(err, io.EOF) {
				t.Errorf("%d blocks, then %v", n, err)
			}
		})
	}
}
