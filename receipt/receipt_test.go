package receipt_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

var update = flag.Bool("update", false, "write the recorded receipt anew: only after a deliberate change of the format")

// testKey returns a key that is always the same. It signs as RFC 6979 says.
func testKey(t testing.TB, purpose string) deterministic {
	t.Helper()
	scalar := sha256.Sum256([]byte("coco test vector: " + purpose))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	if err != nil {
		t.Fatal(err)
	}
	return deterministic{key}
}

type deterministic struct{ *ecdsa.PrivateKey }

func (d deterministic) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.PrivateKey.Sign(nil, digest, opts)
}

func (d deterministic) id(t testing.TB) coco.NodeID {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(d.Public())
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(der)
}

var (
	notBefore = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2034, 1, 1, 0, 0, 0, 0, time.UTC)
)

func certificate(t testing.TB, name string, key crypto.PublicKey, parent *x509.Certificate, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name},
		NotBefore: notBefore, NotAfter: notAfter, BasicConstraintsValid: true,
	}
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent = template
	}
	der, err := x509.CreateCertificate(nil, template, parent, key, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// network is a batch of a network and what its receipts are made from.
type network struct {
	service *x509.Certificate
	node    *x509.Certificate
	commit  *x509.Certificate // of another node, which makes the receipts
	keys    *batch.Keys
	batch   *batch.Batch
	before  merkle.Frontier
	records []batch.Record
}

func newNetwork(t testing.TB, before, count int) *network {
	t.Helper()
	serviceKey, nodeKey := testKey(t, "service key"), testKey(t, "node key")
	n := &network{keys: batch.NewKeys(1, sha256.Sum256([]byte("coco test vector: epoch secret")))}
	n.service = certificate(t, "service", serviceKey.Public(), nil, serviceKey)
	n.node = certificate(t, "node", nodeKey.Public(), n.service, serviceKey)
	n.commit = certificate(t, "other node", testKey(t, "other node key").Public(), n.service, serviceKey)
	for i := range before {
		n.before.Append(coco.Digest{byte(i)})
	}
	for i := range count {
		n.records = append(n.records, batch.Record{Public: []byte{byte(i)}, Private: []byte("private"), Claims: []byte{9, byte(i)}[:i%3]})
	}
	tree := n.before
	h := batch.Header{View: 3, Index: 4, First: tree.Size() + 1, Node: nodeKey.id(t), Time: 1700000000000, Epoch: 1, Prev: coco.Digest{1}}
	data, err := batch.Seal(h, n.records, &tree, n.keys, nodeKey)
	if err != nil {
		t.Fatal(err)
	}
	if n.batch, err = batch.Decode(data); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *network) receipt(t testing.TB, i int) *receipt.Receipt {
	t.Helper()
	r, err := receipt.New(n.batch, i, n.keys, n.before, testKey(t, "other node key"), receipt.Certificates{
		Node: n.node.Raw, Commit: n.commit.Raw, Service: n.service.Raw,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// older is the receipt as earlier releases made it.
func (n *network) older(t testing.TB, i int) *receipt.Receipt {
	t.Helper()
	r := n.receipt(t, i)
	r.Format, r.CommitSignature, r.CommitCertificate = receipt.Older, nil, nil
	return r
}

func encode(t testing.TB, r *receipt.Receipt) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReceiptsOfAllTransactionsVerify(t *testing.T) {
	for _, size := range []struct{ before, count int }{{0, 1}, {0, 2}, {1, 1}, {7, 5}, {8, 17}, {100, 3}} {
		n := newNetwork(t, size.before, size.count)
		for i, rec := range n.records {
			r, err := receipt.Parse(wire.MediaJSON, encode(t, n.receipt(t, i)))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Verify(n.service, receipt.Options{At: notBefore.Add(time.Hour)}); err != nil {
				t.Errorf("transaction %d of %d after %d: %v", i, size.count, size.before, err)
			}
			if r.TxID.Seqno != uint64(size.before+i+1) || !bytes.Equal(r.Claims, rec.Claims) || r.WriteSet != batch.WriteSetDigest(rec.Public, rec.Private) {
				t.Errorf("transaction %d of %d after %d: the receipt is of something else", i, size.count, size.before)
			}
		}
	}
}

func TestVerifyRefusesEveryOtherReceipt(t *testing.T) {
	n, larger := newNetwork(t, 5, 4), newNetwork(t, 6, 4)
	stranger := testKey(t, "stranger")
	strangeService := certificate(t, "service", stranger.Public(), nil, stranger)
	strangeNode := certificate(t, "node", stranger.Public(), n.service, testKey(t, "service key"))
	for name, c := range map[string]struct {
		change func(*receipt.Receipt)
		reason string
	}{
		"format":              {func(r *receipt.Receipt) { r.Format = "coco receipt 3" }, "format"},
		"next transaction":    {func(r *receipt.Receipt) { r.TxID.Seqno++ }, "Merkle path"},
		"first seqno":         {func(r *receipt.Receipt) { r.TxID.Seqno = 1 }, "holds the transactions 3.6 to 3.9"},
		"seqno behind":        {func(r *receipt.Receipt) { r.TxID.Seqno = 10 }, "holds the transactions 3.6 to 3.9"},
		"view":                {func(r *receipt.Receipt) { r.TxID.View++ }, "holds the transactions 3.6 to 3.9"},
		"no header":           {func(r *receipt.Receipt) { r.Header = nil }, "batch header"},
		"other header":        {func(r *receipt.Receipt) { r.Header = larger.receipt(t, 1).Header }, "batch signature"},
		"other batch":         {func(r *receipt.Receipt) { o := larger.receipt(t, 1); r.Header, r.Signature = o.Header, o.Signature }, "Merkle path"},
		"no signature":        {func(r *receipt.Receipt) { r.Signature = nil }, "batch signature"},
		"write set":           {func(r *receipt.Receipt) { r.WriteSet[0] ^= 1 }, "Merkle path"},
		"salt":                {func(r *receipt.Receipt) { r.Salt[31] ^= 1 }, "Merkle path"},
		"claims":              {func(r *receipt.Receipt) { r.Claims = append(r.Claims, 0) }, "Merkle path"},
		"path":                {func(r *receipt.Receipt) { r.Path[1][5] ^= 1 }, "Merkle path"},
		"longer path":         {func(r *receipt.Receipt) { r.Path = append(r.Path, coco.Digest{}) }, "Merkle path"},
		"no path":             {func(r *receipt.Receipt) { r.Path = nil }, "Merkle path"},
		"no node certificate": {func(r *receipt.Receipt) { r.NodeCertificate = nil }, "node certificate"},
		"other node's":        {func(r *receipt.Receipt) { r.NodeCertificate = strangeNode.Raw }, "certificate is of node"},
		"no commit":           {func(r *receipt.Receipt) { r.CommitSignature = nil }, "committed: "},
		"the seal as commit": {func(r *receipt.Receipt) {
			r.CommitSignature, r.CommitCertificate = r.Signature, r.NodeCertificate
		}, "committed: "},
		"the commit as seal":    {func(r *receipt.Receipt) { r.Signature = r.CommitSignature }, "batch signature"},
		"commit of another":     {func(r *receipt.Receipt) { r.CommitSignature = larger.receipt(t, 1).CommitSignature }, "committed: "},
		"no commit certificate": {func(r *receipt.Receipt) { r.CommitCertificate = nil }, "commit certificate"},
		"commit by another":     {func(r *receipt.Receipt) { r.CommitCertificate = r.NodeCertificate }, "committed: "},
		"commit by stranger": {func(r *receipt.Receipt) {
			r.CommitCertificate = certificate(t, "node", stranger.Public(), strangeService, stranger).Raw
			r.CommitSignature = signCommit(t, stranger, r.Header)
		}, "has not signed"},
		"node by stranger": {func(r *receipt.Receipt) {
			r.NodeCertificate = certificate(t, "node", testKey(t, "node key").Public(), strangeService, stranger).Raw
		}, "has not signed"},
		"no service certificate": {func(r *receipt.Receipt) { r.ServiceCertificate = nil }, "service certificate"},
		"other service":          {func(r *receipt.Receipt) { r.ServiceCertificate = strangeService.Raw }, "of the service"},
	} {
		r := n.receipt(t, 1)
		c.change(r)
		if err := r.Verify(n.service, receipt.Options{}); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: got %v, expected %q", name, err, c.reason)
		}
	}
	r := n.receipt(t, 1)
	if err := r.Verify(strangeService, receipt.Options{}); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "of the service") {
		t.Errorf("verified by another network's certificate: %v", err)
	}
	if err := r.Verify(nil, receipt.Options{}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("verified by nothing: %v", err)
	}
	for _, at := range []time.Time{notBefore.Add(-time.Second), notAfter.Add(time.Second)} {
		if err := r.Verify(n.service, receipt.Options{At: at}); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "is valid from") {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

func TestEveryFlippedByteOfAReceiptIsFound(t *testing.T) {
	n := newNetwork(t, 3, 3)
	data := encode(t, n.receipt(t, 1))
	good, err := receipt.Parse(wire.MediaJSON, data)
	if err != nil {
		t.Fatal(err)
	}
	for at := range data {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		r, err := receipt.Parse(wire.MediaJSON, bad)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("byte %d: wrong kind of error: %v", at, err)
			}
			continue
		}
		err = r.Verify(n.service, receipt.Options{})
		// The service certificate is the verifier's own: of the receipt's only the key counts.
		sameKey := !bytes.Equal(r.ServiceCertificate, good.ServiceCertificate)
		// Base64 has bits that mean nothing.
		same := bytes.Equal(encode(t, r), data)
		if err == nil && !sameKey && !same {
			t.Errorf("byte %d of %s: not found", at, data)
		}
		if err != nil && !errors.Is(err, coco.ErrVerify) {
			t.Errorf("byte %d: wrong kind of error: %v", at, err)
		}
	}
}

func TestNewRefusesWhatIsNotThere(t *testing.T) {
	n, signer := newNetwork(t, 5, 2), testKey(t, "other node key")
	for _, i := range []int{-1, 2} {
		if _, err := receipt.New(n.batch, i, n.keys, n.before, signer, receipt.Certificates{}); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("transaction %d: got %v", i, err)
		}
	}
	if _, err := receipt.New(n.batch, 0, n.keys, merkle.Frontier{}, signer, receipt.Certificates{}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("another tree: got %v", err)
	}
	if _, err := receipt.New(n.batch, 0, batch.NewKeys(1, [32]byte{}), n.before, signer, receipt.Certificates{}); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("other keys: got %v", err)
	}
}

func TestParseRefusesAmbiguousJSON(t *testing.T) {
	n := newNetwork(t, 3, 3)
	good := string(encode(t, n.receipt(t, 1)))
	for name, bad := range map[string]string{
		"nothing":        "",
		"no object":      `[]`,
		"not closed":     good[:len(good)-1],
		"two objects":    good + good,
		"field twice":    strings.Replace(good, "{", `{"salt":"00",`, 1),
		"unknown field":  strings.Replace(good, "{", `{"note":"",`, 1),
		"other case":     strings.Replace(good, `"salt"`, `"Salt"`, 1),
		"missing field":  strings.Replace(good, `"format":"coco receipt 2",`, "", 1),
		"newer as older": strings.Replace(good, "receipt 2", "receipt 1", 1),
		"older as newer": strings.Replace(string(encode(t, n.older(t, 1))), "receipt 1", "receipt 2", 1),
		"null field":     strings.Replace(good, `"claims":"CQ=="`, `"claims":null`, 1),
		"other format":   strings.Replace(good, "receipt 2", "receipt 9", 1),
		"transaction id": strings.Replace(good, `"3.5"`, `"3.05"`, 1),
		"short digest":   strings.Replace(good, `"salt":"`, `"salt":"00`, 1),
		"long path":      strings.Replace(good, `"path":[`, `"path":[`+strings.Repeat(`"`+strings.Repeat("00", 32)+`",`, 70), 1),
		"too large":      good + strings.Repeat(" ", receipt.MaxSize),
	} {
		if bad == good {
			t.Fatalf("%s: the test changes nothing in %s", name, good)
		}
		if _, err := receipt.Parse(wire.MediaJSON, []byte(bad)); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(good), &fields); err != nil {
		t.Fatal(err)
	}
	reordered, err := json.MarshalIndent(fields, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := receipt.Parse(wire.MediaJSON, reordered); err != nil || string(encode(t, r)) != good {
		t.Errorf("fields in another order (%v): %v", slices.Sorted(maps.Keys(fields)), err)
	}
}

// TestReceiptEqualsRecordedOne makes the receipt of a transaction of the ledger's recorded vector, in both formats.
func TestReceiptEqualsRecordedOne(t *testing.T) {
	var vector struct {
		Entries []struct {
			Data string `json:"data"`
		} `json:"entries"`
	}
	b, err := os.ReadFile("../ledger/testdata/ledger.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &vector); err != nil {
		t.Fatal(err)
	}
	n := newNetwork(t, 0, 1)
	for _, i := range []int{0, 2} {
		if n.batch, err = batch.Decode(unhex(t, vector.Entries[i].Data)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			n.before.Append(n.batch.Leaf(0))
		}
	}
	for file, made := range map[string]*receipt.Receipt{"testdata/receipt.json": n.older(t, 1), "testdata/receipt2.json": n.receipt(t, 1)} {
		got, err := json.MarshalIndent(made, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		if *update && made.ProvesCommit() {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the receipt differs from %s, which other implementations rely on", file)
		}
		r, err := receipt.Parse(wire.MediaJSON, want)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(n.service, receipt.Options{Older: true}); err != nil || r.ProvesCommit() != made.ProvesCommit() {
			t.Errorf("%s: %v, proves the commit: %v", file, err, r.ProvesCommit())
		}
	}
}

// A leader signs a batch before it is committed. If it falls, its host has the batch still. Once a threshold of members have opened the
// epoch, its salts are known, too: that is all that an older receipt is made of.
func TestABatchThatWasRolledBackAndTheKeysOfItsEpochMakeNoReceipt(t *testing.T) {
	n := newNetwork(t, 5, 3)
	host := testKey(t, "a key of the host's own")
	seal := n.receipt(t, 0).Signature
	other := newNetwork(t, 6, 3).receipt(t, 0) // of a batch that was committed
	for name, commit := range map[string]func(r *receipt.Receipt){
		"an older receipt": func(r *receipt.Receipt) { r.Format = receipt.Older },
		"no commit":        func(*receipt.Receipt) {},
		"the leader's signature over the batch": func(r *receipt.Receipt) {
			r.CommitSignature, r.CommitCertificate = seal, n.node.Raw
		},
		"the commit of another batch": func(r *receipt.Receipt) {
			r.CommitSignature, r.CommitCertificate = other.CommitSignature, other.CommitCertificate
		},
		"the other batch's header and commit": func(r *receipt.Receipt) {
			r.Header, r.Signature = other.Header, other.Signature
			r.CommitSignature, r.CommitCertificate = other.CommitSignature, other.CommitCertificate
		},
		"a commit under the host's key": func(r *receipt.Receipt) {
			r.CommitSignature = signCommit(t, host, r.Header)
			r.CommitCertificate = certificate(t, "node", host.Public(), nil, host).Raw
		},
		"a commit under the host's key, with a node's certificate": func(r *receipt.Receipt) {
			r.CommitSignature, r.CommitCertificate = signCommit(t, host, r.Header), n.commit.Raw
		},
	} {
		r := n.older(t, 0) // what the host can make
		r.Format = receipt.Format
		commit(r)
		if err := r.Verify(n.service, receipt.Options{}); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := n.older(t, 0)
	if err := r.Verify(n.service, receipt.Options{Older: true}); err != nil || r.ProvesCommit() {
		t.Errorf("an older receipt, taken for what it proves: %v, and it claims the commit: %v", err, r.ProvesCommit())
	}
}

func signCommit(t testing.TB, key crypto.Signer, header []byte) []byte {
	t.Helper()
	sig, err := batch.SignCommit(key, header)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func FuzzParse(f *testing.F) {
	n := newNetwork(f, 3, 3)
	f.Add(encode(f, n.receipt(f, 1)))
	f.Add(encode(f, n.older(f, 1)))
	f.Add([]byte(`{"format":"coco receipt 1"}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := receipt.Parse(wire.MediaJSON, data)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("wrong kind of error: %v", err)
			}
			return
		}
		_ = r.Verify(n.service, receipt.Options{})
		again := encode(t, r)
		other, err := receipt.Parse(wire.MediaJSON, again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encode(t, other), again) {
			t.Fatal("a receipt changes when it is written and read")
		}
	})
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAFormIsNamedByItsMediaType(t *testing.T) {
	good := newNetwork(t, 3, 3).receipt(t, 1)
	data, err := good.Encode(wire.MediaJSON)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := receipt.Parse(wire.MediaJSON, data); err != nil || !reflect.DeepEqual(back, good) {
		t.Errorf("%+v (%v), expected %+v", back, err, good)
	}
	if _, err := good.Encode("text/html"); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("encoded in a form that does not exist: %v", err)
	}
	if _, err := receipt.Parse("text/html", data); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("read in a form that does not exist: %v", err)
	}
}
