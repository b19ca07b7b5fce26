package wire

import "github.com/cocoframework/coco"

// Exit codes of every command.
const (
	ExitOK           = 0
	ExitError        = 1
	ExitUsage        = 2
	ExitVerify       = 3 // a verification failed
	ExitDenied       = 4
	ExitNotCommitted = 5 // not committed, not ready yet, or no quorum
	ExitUnreachable  = 6
)

// ExitCode returns the exit code of a command that failed by an error; 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	return ProblemOf(err).Exit
}

// exitKinds are the kinds of which a process that ends with an exit code is taken to have failed. Where several
// kinds share a code, it is the one that promises least about what may be done next.
var exitKinds = map[int]error{
	ExitUsage:        coco.ErrInvalid,
	ExitVerify:       coco.ErrVerify,
	ExitDenied:       coco.ErrDenied,
	ExitNotCommitted: coco.ErrNotCommitted,
	ExitUnreachable:  coco.ErrUnreachable,
}

// FromExit returns the error of another process that ended with an exit code and said a message; nil for 0.
func FromExit(code int, message string) error {
	if code == ExitOK {
		return nil
	}
	p := ByCode(CodeInternal)
	if kind := exitKinds[code]; kind != nil {
		p = ProblemOf(kind)
	}
	return &Error{Problem: p, Message: message}
}
