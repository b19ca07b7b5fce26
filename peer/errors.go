package peer

import (
	"errors"

	"github.com/cocoframework/coco"
)

// errorKinds numbers the kinds of errors on the wire, from 1.
var errorKinds = []error{
	coco.ErrInvalid, coco.ErrNotFound, coco.ErrDenied, coco.ErrBusy, coco.ErrNotCommitted, coco.ErrUnknown,
	coco.ErrUnreachable, coco.ErrVerify, coco.ErrCorrupt, coco.ErrPending, coco.ErrMissing,
}

// remoteError is an error that another node reported.
type remoteError struct {
	kind   error
	reason string
}

func (e *remoteError) Error() string { return e.reason }
func (e *remoteError) Unwrap() error { return e.kind }

// KindOf returns the number of an error's kind.
func KindOf(err error) uint8 {
	for i, k := range errorKinds {
		if errors.Is(err, k) {
			return uint8(i + 1)
		}
	}
	return uint8(len(errorKinds) + 1)
}

// ErrorOf returns the error that another node reported, nil for kind 0.
func ErrorOf(kind uint8, reason string) error {
	switch {
	case kind == 0:
		return nil
	case int(kind) <= len(errorKinds):
		return &remoteError{errorKinds[kind-1], reason}
	}
	return &remoteError{errors.New("internal"), reason}
}
