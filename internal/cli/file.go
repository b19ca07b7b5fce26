package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cocoframework/coco"
)

// FileError is an error that a file which the user named cannot be read.
func FileError(what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w", coco.ErrNotFound, what, err)
	}
	return fmt.Errorf("%w: %s: %w", coco.ErrInvalid, what, err)
}
