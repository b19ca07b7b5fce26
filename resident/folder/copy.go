package folder

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Copied says what Copy did.
type Copied struct {
	Files int   // that were copied
	Bytes int64 // of these
	Kept  int   // that the copy had already
}

// Copy copies the payloads of a folder, as they are sealed, to the folder of the same name on another disk, also while a node writes it. It needs no keys, so it
// cannot tell whether a file opens. A file that the copy has already is replaced if the folder's was sealed later, by its prefix: a node seals payloads
// again before the keys of their epochs expire. What the folder no longer has stays in the copy. An interruption leaves whole files, and one that New removes.
func Copy(ctx context.Context, from, to host.Disk, dir string) (c Copied, err error) {
	names, err := from.List(dir)
	if err != nil {
		return c, fmt.Errorf("folder %s: %w", dir, err)
	}
	src, dst := &Folder{disk: from, dir: dir}, &Folder{disk: to, dir: dir}
	for _, name := range names {
		b, err := hex.DecodeString(name)
		if err != nil || len(b) != len(coco.Digest{}) {
			continue
		}
		if err = ctx.Err(); err == nil {
			err = c.file(src, dst, coco.Digest(b))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file that is absent has been removed by the node
			return c, fmt.Errorf("copy %s: %w", src.name(coco.Digest(b)), err)
		}
	}
	return c, nil
}

func (c *Copied) file(src, dst *Folder, commitment coco.Digest) error {
	data, err := src.read(commitment)
	if err != nil {
		return err
	}
	held, err := dst.read(commitment)
	if err == nil && bytes.Compare(sealedAt(data), sealedAt(held)) <= 0 {
		c.Kept++
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the copy: %w", err)
	}
	if err := dst.place(commitment, data); err != nil {
		return fmt.Errorf("the copy: %w", err)
	}
	c.Files++
	c.Bytes += int64(len(data))
	return nil
}

// sealedAt returns epoch and time of a file's prefix, which are in the order of their bytes; nil if it has none.
func sealedAt(file []byte) []byte {
	if len(file) < prefixSize || string(file[:len(magic)]) != magic {
		return nil
	}
	return file[len(magic) : prefixSize-saltSize]
}
