package query

import (
	"fmt"
	"strings"
	"time"

	"github.com/cocoframework/coco/gov/decide"
)

// endingSoon is how long before its end a certificate is worth a warning.
const endingSoon = 30 * 24 * time.Hour

// datesOf says which members cannot sign, of the constitution that would be in force, and which certificates that come in
// end soon.
func datesOf(s *decide.Simulation) (out []string) {
	now := decide.Unable(s.After, s.Now)
	later := decide.Unable(s.After, s.Until)
	if len(now) > 0 {
		out = append(out, fmt.Sprintf("%s cannot sign now: no certificate in the constitution is valid", strings.Join(now, ", ")))
	}
	if len(later) > len(now) {
		out = append(out, fmt.Sprintf("%s cannot sign when voting ends, on %s: no certificate in the constitution is valid then", strings.Join(later, ", "), s.Until.UTC().Format(time.DateOnly)))
	}
	old := map[string]bool{}
	for _, a := range s.Before.Certificates() {
		old[string(a.Certificate.Raw)] = true
	}
	for _, a := range s.After.Certificates() {
		switch c := a.Certificate; {
		case old[string(c.Raw)]:
		case s.Now.Before(c.NotBefore):
			out = append(out, fmt.Sprintf("a new certificate of %s is not valid before %s", a.Name, c.NotBefore.UTC().Format(time.DateOnly)))
		case c.NotAfter.Sub(s.Now) < endingSoon:
			out = append(out, fmt.Sprintf("a new certificate of %s ends on %s already", a.Name, c.NotAfter.UTC().Format(time.DateOnly)))
		}
	}
	return out
}
