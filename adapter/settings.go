package adapter

import (
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

// CheckChange says why no vote under some rules of the constitution may put one section of an adapter's settings in the
// place of another, both in canonical JSON. The error is coco.ErrInvalid.
func CheckChange(a Adapter, rules uint64, old, next []byte) error {
	if err := a.Settings().CheckChange(rules, old, next); err != nil {
		return fmt.Errorf("%w: settings of %s: %w", coco.ErrInvalid, a.Manifest().Name, err)
	}
	return a.CheckSettings(next)
}
