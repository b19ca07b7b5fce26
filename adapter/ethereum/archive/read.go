package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
)

// maxWritesLine bounds what one block may have written: 256 MiB of text.
const maxWritesLine = 256 << 20

// Reader reads an archive, or the files of another program, block by block: one block at a time is in memory. It is not safe for concurrent use.
type Reader struct {
	Manifest Manifest
	Genesis  *core.Genesis

	chain, receipts *stream
	writes          *bufio.Reader
	last            common.Hash // of the block that Next has returned
	files           []io.Closer
}

type stream struct {
	name  string
	s     *rlp.Stream
	index uint64
}

// Open opens an archive once each of its files has the digest that the manifest names. The error is coco.ErrVerify for other files, and coco.ErrInvalid for what is
// no archive of this version.
func Open(ctx context.Context, dir Folder) (*Reader, error) {
	text, err := readAll(dir, ManifestFile, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no archive of `coco eth export`: %w", coco.ErrInvalid, dir, err)
	}
	r := new(Reader)
	at := fmt.Sprintf("%s/%s", dir, ManifestFile)
	if err := json.Unmarshal(text, &r.Manifest); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, at, err)
	}
	m := &r.Manifest
	switch {
	case m.Format != Format || m.Version != Version:
		return nil, fmt.Errorf("%w: %s: expected format %q of version %d, found %q of version %d", coco.ErrInvalid, at, Format, Version, m.Format, m.Version)
	case m.StateRoot != Delayed && m.StateRoot != Own:
		return nil, fmt.Errorf("%w: %s: state_root: expected %q or %q, found %q", coco.ErrInvalid, at, Delayed, Own, m.StateRoot)
	}
	for _, name := range []string{GenesisFile, ChainFile, ReceiptsFile} {
		if _, ok := m.Files[name]; !ok {
			return nil, fmt.Errorf("%w: %s: files: expected %s", coco.ErrInvalid, at, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if err := check(ctx, dir, name, m.Files[name]); err != nil {
			return nil, err
		}
	}
	if text, err = readAll(dir, GenesisFile, maxGenesis); err != nil {
		return nil, err
	}
	if r.Genesis, err = ParseGenesis(fmt.Sprintf("%s/%s", dir, GenesisFile), text); err != nil {
		return nil, err
	}
	if hash := r.Genesis.ToBlock().Hash(); hash != m.Genesis {
		return nil, fmt.Errorf("%w: %s makes block 0 %v, and %s says %v", coco.ErrVerify, GenesisFile, hash, ManifestFile, m.Genesis)
	}
	open := func(name string) io.Reader {
		f, openErr := dir.Open(name)
		if openErr != nil {
			err = errors.Join(err, openErr)
			return strings.NewReader("")
		}
		r.files = append(r.files, f)
		return f
	}
	r.chain = newStream(ChainFile, open(ChainFile))
	r.receipts = newStream(ReceiptsFile, open(ReceiptsFile))
	if _, ok := m.Files[WritesFile]; ok {
		r.writes = bufio.NewReaderSize(open(WritesFile), 1<<18)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Foreign reads a chain that another program has exported, and its genesis. The state root of a header is of its own block. name is that of the chain's file.
func Foreign(g *core.Genesis, name string, chain io.ReadCloser) *Reader {
	return &Reader{
		Genesis: g, files: []io.Closer{chain}, chain: newStream(name, chain),
		Manifest: Manifest{ChainID: g.Config.ChainID.Uint64(), Genesis: g.ToBlock().Hash(), StateRoot: Own},
	}
}

func newStream(name string, f io.Reader) *stream {
	return &stream{name: name, s: rlp.NewStream(bufio.NewReaderSize(f, 1<<18), 0)}
}

// next decodes the next value; io.EOF ends the file.
func (s *stream) next(v any) error {
	err := s.s.Decode(v)
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return fmt.Errorf("%w: %s: element %d: %w", coco.ErrInvalid, s.name, s.index, err)
	}
	s.index++
	return nil
}

func check(ctx context.Context, dir Folder, name string, want File) error {
	if strings.ContainsAny(name, `/\`) || name == "" || name == "." || name == ".." {
		return fmt.Errorf("%w: %s: files: expected a name within the folder, found %q", coco.ErrInvalid, ManifestFile, name)
	}
	f, err := dir.Open(name)
	if err != nil {
		return fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, readerFunc(func(b []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return f.Read(b)
	}))
	if err != nil {
		return err
	}
	if found := hex.EncodeToString(sum.Sum(nil)); n != want.Bytes || found != want.SHA256 {
		return fmt.Errorf("%w: %s: expected %d bytes with SHA-256 %s, found %d with %s", coco.ErrVerify, fmt.Sprintf("%s/%s", dir, name), want.Bytes, want.SHA256, n, found)
	}
	return nil
}

type readerFunc func([]byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// Next returns the next block. The error is io.EOF after the last one, if every file ends there and the manifest says so, and coco.ErrInvalid otherwise.
func (r *Reader) Next() (*Item, error) {
	it := &Item{Block: new(types.Block)}
	if err := r.chain.next(it.Block); errors.Is(err, io.EOF) {
		return nil, r.end()
	} else if err != nil {
		return nil, err
	}
	number := it.Block.NumberU64()
	if r.receipts != nil {
		it.Receipts = types.Receipts{}
		if err := inside(r.receipts.next(&it.Receipts)); err != nil {
			return nil, fmt.Errorf("%w: %s: receipts of block %d: %w", coco.ErrInvalid, ReceiptsFile, number, err)
		}
	}
	if r.writes != nil {
		line, err := readLine(r.writes)
		if err == nil {
			it.Writes = new(Writes)
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			err = d.Decode(it.Writes)
		}
		if err == nil && it.Writes.Number != number {
			err = fmt.Errorf("expected block %d, found %d", number, it.Writes.Number)
		}
		if err = inside(err); err != nil {
			return nil, fmt.Errorf("%w: %s: line of block %d: %w", coco.ErrInvalid, WritesFile, number, err)
		}
	}
	r.last = it.Block.Hash()
	return it, nil
}

// inside is the error of a file that ends while the chain goes on, which MUST NOT look like the end of the chain.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// end is io.EOF if the archive ends with its chain.
func (r *Reader) end() error {
	m := &r.Manifest
	switch {
	case m.Format == "": // of another program: a chain alone
		return io.EOF
	case r.chain.index != m.Last-m.First+1:
		return fmt.Errorf("%w: %s ends after %d blocks, expected %d to %d", coco.ErrInvalid, ChainFile, r.chain.index, m.First, m.Last)
	case r.last != m.LastHash:
		return fmt.Errorf("%w: %s ends with block %v, and %s says %v", coco.ErrInvalid, ChainFile, r.last, ManifestFile, m.LastHash)
	}
	if _, _, err := r.receipts.s.Kind(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s: expected its end after the receipts of block %d, the last one", coco.ErrInvalid, ReceiptsFile, m.Last)
	}
	if r.writes != nil {
		if _, err := r.writes.Peek(1); !errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: %s: expected its end after the line of block %d, the last one", coco.ErrInvalid, WritesFile, m.Last)
		}
	}
	return io.EOF
}

func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxWritesLine {
			return nil, fmt.Errorf("expected at most %d bytes", maxWritesLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// Close closes the files.
func (r *Reader) Close() {
	for _, f := range r.files {
		_ = f.Close()
	}
}

// Bounds of files that are read whole: 1 MiB of a manifest, and 1 GiB of a genesis.
const (
	maxManifest = 1 << 20
	maxGenesis  = 1 << 30
)

func readAll(dir Folder, name string, most int64) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%w: %s/%s: expected at most %d bytes", coco.ErrInvalid, dir, name, most)
	}
	return text, err
}

// ParseGenesis reads a genesis file of go-ethereum. Errors are coco.ErrInvalid and say what is wrong and where.
func ParseGenesis(name string, text []byte) (*core.Genesis, error) {
	g := new(core.Genesis)
	if err := json.Unmarshal(text, g); err != nil {
		return nil, fmt.Errorf("%w: %s: expected a genesis as `geth init` reads it: %w", coco.ErrInvalid, name, describe(text, err))
	}
	switch {
	case g.Config == nil:
		return nil, fmt.Errorf("%w: %s: config: expected the forks of the chain, found none", coco.ErrInvalid, name)
	case g.Config.ChainID == nil || g.Config.ChainID.Sign() <= 0 || !g.Config.ChainID.IsUint64():
		return nil, fmt.Errorf("%w: %s: config.chainId: expected a number of 64 bits above 0, found %v", coco.ErrInvalid, name, g.Config.ChainID)
	}
	for addr, a := range g.Alloc {
		if a.Balance == nil || a.Balance.Sign() < 0 || a.Balance.BitLen() > 256 {
			return nil, fmt.Errorf("%w: %s: alloc.%v.balance: expected a number of 256 bits, found %v", coco.ErrInvalid, name, addr, a.Balance)
		}
	}
	if err := g.Config.CheckConfigForkOrder(); err != nil {
		return nil, fmt.Errorf("%w: %s: config: %w", coco.ErrInvalid, name, err)
	}
	return g, nil
}

// describe adds the line to an error of JSON.
func describe(text []byte, err error) error {
	offset := int64(-1)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	if offset < 0 || offset > int64(len(text)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:offset], []byte("\n")), err)
}
