package adapter

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco"
)

// Completer returns a function that completes the settings of an adapter, by its name, as the one of these adapters
// that has the name does. See Adapter.CompleteSettings.
func Completer(adapters []Adapter) func(name string, settings []byte) ([]byte, error) {
	return func(name string, settings []byte) ([]byte, error) {
		for _, a := range adapters {
			if a.Manifest().Name == name {
				return a.CompleteSettings(settings)
			}
		}
		return nil, fmt.Errorf("%w: this program has no ledger %q", coco.ErrInvalid, name)
	}
}

// CheckComplete returns an error of kind coco.ErrInvalid if an adapter's settings, in canonical JSON, are wrong or leave
// anything to the program that reads them.
func CheckComplete(a Adapter, settings []byte) error {
	complete, err := a.CompleteSettings(settings)
	if err != nil {
		return err
	}
	if !bytes.Equal(complete, settings) {
		return fmt.Errorf("%w: the settings of ledger %q are not complete: found %s, expected a value for each setting, as in %s",
			coco.ErrInvalid, a.Manifest().Name, clip(settings), clip(complete))
	}
	return nil
}

func clip(b []byte) []byte {
	const most = 1000
	if len(b) <= most {
		return b
	}
	return append(bytes.Clone(b[:most]), "…"...)
}
