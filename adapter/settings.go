package adapter

import (
	"fmt"
	"time"

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

// Scheduled is implemented by adapters that have settings which say when something comes.
type Scheduled interface {
	// CheckSchedule says why a vote that ends until a time may not put one section in the place of another, both of which CheckSettings takes. The error is coco.ErrInvalid.
	CheckSchedule(old, next []byte, until time.Time) error
}

// CheckChange says why no vote under some rules of the constitution may put one section of an adapter's settings in the
// place of another, both in canonical JSON, where the vote ends until a time, in milliseconds since 1970. The error is coco.ErrInvalid.
func CheckChange(a Adapter, rules uint64, old, next []byte, until uint64) error {
	if err := a.Settings().CheckChange(rules, old, next); err != nil {
		return fmt.Errorf("%w: settings of %s: %w", coco.ErrInvalid, a.Manifest().Name, err)
	}
	if err := a.CheckSettings(next); err != nil {
		return err
	}
	if s, ok := a.(Scheduled); ok {
		return s.CheckSchedule(old, next, time.UnixMilli(int64(until)))
	}
	return nil
}
