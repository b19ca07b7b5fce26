package sandbox

import (
	"errors"

	"github.com/cocoframework/coco"
)

// Exit codes of every command. A node's process also tells its supervisor by one of them what
// kind of error it met.
const (
	ExitOK           = 0
	ExitError        = 1
	ExitUsage        = 2
	ExitVerify       = 3 // a verification failed
	ExitDenied       = 4
	ExitNotCommitted = 5 // not committed, or no quorum
	ExitUnreachable  = 6
	// exitAddressInUse is what a node's process tells its supervisor, which then chooses another
	// address.
	exitAddressInUse = 7
)

var exits = []struct {
	kind error
	code int
}{
	{coco.ErrVerify, ExitVerify},
	{coco.ErrCorrupt, ExitVerify},
	{coco.ErrDenied, ExitDenied},
	{coco.ErrNotCommitted, ExitNotCommitted},
	{coco.ErrUnknown, ExitNotCommitted},
	{coco.ErrBusy, ExitNotCommitted},
	{coco.ErrUnreachable, ExitUnreachable},
	{coco.ErrInvalid, ExitUsage},
	{errAddressInUse, exitAddressInUse},
}

// ExitCode returns the exit code for an error.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	for _, e := range exits {
		if errors.Is(err, e.kind) {
			return e.code
		}
	}
	return ExitError
}

// remote is an error that another process reported, with the kind that its exit code stands for.
// Its text is the other's, which names the kind already.
type remote struct {
	text string
	kind error
}

func (e *remote) Error() string { return e.text }
func (e *remote) Unwrap() error { return e.kind }

func fromExit(code int, text string) error {
	for _, e := range exits {
		if e.code == code {
			return &remote{text, e.kind}
		}
	}
	return &remote{text: text}
}
