// Package finding says how serious a thing is that a command looked at, in the words that all commands share.
//
// Trust: host
package finding

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco/wire"
)

// How serious a finding is.
const (
	OK      = "ok"
	Warning = "warning" // it works, for now or not well
	Problem = "problem" // it does not
)

// EndingSoon is how long before its end a certificate should be renewed.
const EndingSoon = 30 * 24 * time.Hour

// End judges the end of a certificate.
func End(ends, now time.Time) (level, message string) {
	day := ends.UTC().Format(time.DateOnly)
	switch {
	case !now.Before(ends):
		return Problem, "ended on " + day
	case ends.Sub(now) < EndingSoon:
		return Warning, "ends on " + day
	}
	return OK, "ends on " + day
}

// Certificate names a certificate that a node tells of, as in "of member alpha".
func Certificate(c wire.Certificate) string {
	switch c.Of {
	case "node", "service":
		return "of the " + c.Of
	}
	return fmt.Sprintf("of %s %s", c.Of, c.Name)
}
