package ledger_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
)

var update = flag.Bool("update", false, "write the recorded vectors anew: only after a deliberate change of a format")

// vector is a whole small ledger in the form of testdata/ledger.json, which docs/formats.md names for
// those who write a second implementation. Byte strings are in hexadecimal.
type vector struct {
	NodeKey  hexBytes      `json:"node_key"` // P-256 scalar; signatures are those of RFC 6979 (SHA-256)
	Node     coco.NodeID   `json:"node"`
	Epoch    uint64        `json:"epoch"`
	Secret   hexBytes      `json:"secret"`
	Entries  []vectorEntry `json:"entries"`
	Chunk    hexBytes      `json:"chunk"` // the file ledger_1-3
	Frontier hexBytes      `json:"frontier"`
}

type vectorEntry struct {
	View    uint64         `json:"view"`
	Index   uint64         `json:"index"`
	Kind    batch.Kind     `json:"kind"`
	Time    uint64         `json:"time,omitempty"`
	Records []vectorRecord `json:"records,omitempty"`
	Data    hexBytes       `json:"data"`
	Chain   coco.Digest    `json:"chain"`
	Root    coco.Digest    `json:"root"` // after the entry
}

type vectorRecord struct {
	Public  hexBytes    `json:"public"`
	Private hexBytes    `json:"private"`
	Claims  hexBytes    `json:"claims"`
	Salt    coco.Digest `json:"salt"`
	Leaf    coco.Digest `json:"leaf"`
}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }
func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// makeVector computes the vector with this package.
func makeVector(t *testing.T) vector {
	scalar := sha256.Sum256([]byte("coco test vector: node key"))
	secret := sha256.Sum256([]byte("coco test vector: epoch secret"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	v := vector{NodeKey: scalar[:], Node: sha256.Sum256(der), Epoch: 1, Secret: secret[:]}
	keys := batch.NewKeys(v.Epoch, secret)
	long := bytes.Repeat([]byte("0123456789"), 30)
	v.Entries = []vectorEntry{
		{View: 2, Index: 1, Kind: batch.KindBatch, Time: 1700000000000, Records: []vectorRecord{{Public: hexBytes("genesis")}}},
		{View: 3, Index: 2, Kind: batch.KindView},
		{View: 3, Index: 3, Kind: batch.KindBatch, Time: 1700000001000, Records: []vectorRecord{
			{Public: hexBytes("a"), Private: hexBytes("b"), Claims: hexBytes("c")}, {Private: long}, {Claims: long[:24]},
		}},
	}
	var tree merkle.Frontier
	var chain coco.Digest
	var entries []batch.Entry
	for i := range v.Entries {
		ve := &v.Entries[i]
		e := batch.Entry{View: ve.View, Index: ve.Index, Kind: ve.Kind}
		if e.Kind == batch.KindBatch {
			var recs []batch.Record
			for j := range ve.Records {
				r, seqno := &ve.Records[j], tree.Size()+1+uint64(j)
				recs = append(recs, batch.Record{Public: r.Public, Private: r.Private, Claims: r.Claims})
				var err error
				if r.Salt, err = keys.Salt(e.View, seqno); err != nil {
					t.Fatal(err)
				}
				r.Leaf = batch.Leaf(seqno, r.Salt, batch.WriteSetDigest(r.Public, r.Private), sha256.Sum256(r.Claims))
			}
			h := batch.Header{
				View: e.View, Index: e.Index, First: tree.Size() + 1, Node: v.Node, Time: ve.Time, Epoch: v.Epoch, Committed: e.Index - 1, Prev: chain,
			}
			if e.Data, err = batch.Seal(h, recs, &tree, keys, deterministic{key}); err != nil {
				t.Fatal(err)
			}
		}
		chain = e.Chain(chain)
		ve.Data, ve.Chain, ve.Root = e.Data, chain, tree.Root()
		entries = append(entries, e)
	}
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 1000})
	if err := l.Append(entries); err != nil {
		t.Fatal(err)
	}
	v.Chunk = disk.Data(dir + "/ledger_1-3")
	v.Frontier, _ = tree.MarshalBinary()
	return v
}

func TestFormatsEqualRecordedVector(t *testing.T) {
	const file = "testdata/ledger.json"
	got, err := json.MarshalIndent(makeVector(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the formats differ from %s, which other implementations rely on", file)
	}
}
