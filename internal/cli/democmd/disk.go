package democmd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// needles are the forms in which a shipment's number may be on a disk: its name, its digits, and its bytes in both orders.
func (g *goods) needles() [][]byte {
	return [][]byte{
		[]byte(g.name()), []byte(fmt.Sprintf("%016x", g.number)), []byte(strconv.FormatUint(g.number, 10)),
		binary.BigEndian.AppendUint64(nil, g.number), binary.LittleEndian.AppendUint64(nil, g.number),
	}
}

// search reads all files below a folder, and returns those that hold one of some texts. A file that ends meanwhile, as a log that is rotated, is
// left out.
func search(ctx context.Context, dir string, needles [][]byte) (found []string, files int, size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil || !d.Type().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files, size = files+1, size+int64(len(data))
		for _, needle := range needles {
			if bytes.Contains(data, needle) {
				found = append(found, strings.TrimPrefix(path, dir+string(filepath.Separator)))
				break
			}
		}
		return nil
	})
	return found, files, size, err
}
