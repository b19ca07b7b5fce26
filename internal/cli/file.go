package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/cocoframework/coco"
)

// FileError is an error that a file which the user named cannot be read.
func FileError(what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w", coco.ErrNotFound, what, err)
	}
	return fmt.Errorf("%w: %s: %w", coco.ErrInvalid, what, err)
}

// ReadFile reads a file that a person named, and no more of it than most bytes; "-" is in, if that is not nil. What says in an error what the file is. The error is coco.ErrNotFound if there is none, and coco.ErrInvalid if
// it cannot be read or has more bytes.
func ReadFile(in io.Reader, what, name string, most int64) ([]byte, error) {
	if name != "-" || in == nil {
		f, err := os.Open(name)
		if err != nil {
			return nil, FileError(what, err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, FileError(what, err)
	case int64(len(b)) > most:
		return nil, fmt.Errorf("%w: %s: %s exceeds %d bytes", coco.ErrInvalid, what, name, most)
	}
	return b, nil
}

// ParseTime reads the time of a flag: a date, or a time with its zone. Empty is now. The error is coco.ErrInvalid.
func ParseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Now().UTC(), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %s %q: expected a time such as 2026-01-31 or 2026-01-31T12:00:00Z", coco.ErrInvalid, flag, text)
}
