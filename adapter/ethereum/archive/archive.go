// Package archive is a folder in which an Ethereum chain travels from a ledger to whoever executes it again. Its files are formats of go-ethereum where
// there is one, so that other programs read them:
//
//	manifest.json    what the folder holds, and the SHA-256 of each other file
//	genesis.json     block 0, as `geth init` reads it
//	chain.rlp        the blocks in RLP, one after the other, as `geth export` writes and `geth import` reads them
//	receipts.rlp     for each of these blocks the list of its receipts in RLP, as the messages Receipts of eth/68 carry it
//	writes.jsonl     for each of these blocks what the ledger holds of the state after each of its transactions; only if a ledger was read
//
// docs/formats.md describes them for readers without the code. The package executes nothing, and reaches files by a Folder only.
//
// Trust: either
package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
)

// The files of an archive.
const (
	ManifestFile = "manifest.json"
	GenesisFile  = "genesis.json"
	ChainFile    = "chain.rlp"
	ReceiptsFile = "receipts.rlp"
	WritesFile   = "writes.jsonl"
)

// Format and Version are what a manifest begins with. A reader refuses other versions.
const (
	Format  = "coco-ethereum-archive"
	Version = 1
)

// What the state root of a header is of.
const (
	// Delayed: of the block whose number the first eight bytes of the header's extra data are, as EIP-7862 proposes.
	Delayed = "delayed"
	// Own: of the block itself, as on Ethereum's mainnet.
	Own = "own"
)

// Manifest says what a folder holds.
type Manifest struct {
	Format    string          `json:"format"`
	Version   int             `json:"version"`
	Network   string          `json:"network"` // its name, or "" if the chain is no network's
	ChainID   uint64          `json:"chain_id"`
	Genesis   common.Hash     `json:"genesis"` // of block 0
	First     uint64          `json:"first"`   // block of chain.rlp
	Last      uint64          `json:"last"`
	LastHash  common.Hash     `json:"last_hash"`
	StateRoot string          `json:"state_root"` // Delayed or Own
	Files     map[string]File `json:"files"`
}

// File is a file of the folder.
type File struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Item is a block with what is archived beside it.
type Item struct {
	Block    *types.Block
	Receipts types.Receipts // as their consensus encoding has them: without what follows from the block; nil if there are none in the archive
	Writes   *Writes        // nil if there are none in the archive
}

// Writes is what a ledger holds of the state after each transaction of a block. What precedes the first transaction of a block is written with it, and what follows
// the last one with that; a block without transactions has one element.
type Writes struct {
	Number       uint64  `json:"number"`
	Transactions []State `json:"transactions"`
	Stray        []Stray `json:"stray,omitempty"` // before this block
}

// Stray is what another transaction of the ledger than a block's has written to the state.
type Stray struct {
	Transaction string `json:"transaction"` // view.seqno
	State
}

// State is values of accounts and slots.
type State struct {
	Accounts map[common.Address]*Account                    `json:"accounts,omitempty"` // null: there is no such account any more
	Storage  map[common.Address]map[common.Hash]common.Hash `json:"storage,omitempty"`
}

// Account is an account without its storage.
type Account struct {
	Balance  *hexutil.Big   `json:"balance"`
	Nonce    hexutil.Uint64 `json:"nonce"`
	CodeHash common.Hash    `json:"codeHash"`
}

// Folder is where the files of an archive are.
type Folder interface {
	// Create makes a file, which MUST NOT exist. Close makes it durable.
	Create(name string) (io.WriteCloser, error)
	Open(name string) (io.ReadCloser, error)
	// Remove removes the folder with the files.
	Remove() error
	// String names it for people.
	String() string
}

// Writer writes an archive. It is not safe for concurrent use.
type Writer struct {
	dir      Folder
	manifest Manifest
	files    map[string]*file
}

type file struct {
	f   io.WriteCloser
	buf *bufio.Writer
	sum hash.Hash
	n   int64
}

// Write implements io.Writer.
func (f *file) Write(b []byte) (int, error) {
	f.sum.Write(b)
	f.n += int64(len(b))
	return f.buf.Write(b)
}

// Create writes an archive into an empty folder, beginning with its genesis. withWrites says that each block comes with its writes. A crash leaves a folder without a
// manifest, which Open refuses.
func Create(dir Folder, network string, genesis *core.Genesis, stateRoot string, withWrites bool) (*Writer, error) {
	w := &Writer{dir: dir, files: map[string]*file{}, manifest: Manifest{
		Format: Format, Version: Version, Network: network, ChainID: genesis.Config.ChainID.Uint64(),
		Genesis: genesis.ToBlock().Hash(), StateRoot: stateRoot, Files: map[string]File{},
	}}
	names := []string{GenesisFile, ChainFile, ReceiptsFile}
	if withWrites {
		names = append(names, WritesFile)
	}
	for _, name := range names {
		f, err := dir.Create(name)
		if err != nil {
			return nil, errors.Join(err, w.Abort())
		}
		w.files[name] = &file{f: f, buf: bufio.NewWriterSize(f, 1<<18), sum: sha256.New()}
	}
	enc := json.NewEncoder(w.files[GenesisFile])
	enc.SetIndent("", "  ")
	if err := enc.Encode(genesis); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// Add writes a block, which follows the one before it.
func (w *Writer) Add(it *Item) error {
	number, m := it.Block.NumberU64(), &w.manifest
	switch {
	case m.LastHash == (common.Hash{}):
		m.First = number
	case number != m.Last+1:
		return fmt.Errorf("%w: expected block %d, found %d", coco.ErrCorrupt, m.Last+1, number)
	case it.Block.ParentHash() != m.LastHash:
		return fmt.Errorf("%w: block %d has the parent %v, and block %d is %v", coco.ErrCorrupt, number, it.Block.ParentHash(), m.Last, m.LastHash)
	}
	m.Last, m.LastHash = number, it.Block.Hash()
	receipts := it.Receipts
	if receipts == nil {
		receipts = types.Receipts{}
	}
	if err := errors.Join(rlp.Encode(w.files[ChainFile], it.Block), rlp.Encode(w.files[ReceiptsFile], receipts)); err != nil {
		return err
	}
	if f := w.files[WritesFile]; f != nil {
		return json.NewEncoder(f).Encode(it.Writes)
	}
	return nil
}

// Close completes the archive with its manifest.
func (w *Writer) Close() (*Manifest, error) {
	if w.manifest.LastHash == (common.Hash{}) {
		return nil, errors.Join(fmt.Errorf("%w: no block is to be archived", coco.ErrNotFound), w.Abort())
	}
	for name, f := range w.files {
		if err := errors.Join(f.buf.Flush(), f.f.Close()); err != nil {
			return nil, err
		}
		w.manifest.Files[name] = File{hex.EncodeToString(f.sum.Sum(nil)), f.n}
	}
	text, err := json.MarshalIndent(&w.manifest, "", "  ")
	if err != nil {
		return nil, err
	}
	f, err := w.dir.Create(ManifestFile)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(append(text, '\n'))
	return &w.manifest, errors.Join(err, f.Close())
}

// Abort removes what was written.
func (w *Writer) Abort() error {
	for _, f := range w.files {
		_ = f.f.Close() // it is removed
	}
	return w.dir.Remove()
}
