package finding

import (
	"fmt"
	"strings"
	"time"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
)

// Signers counts the members that can sign statements, now and after a time for voting, and says whether they could still
// decide.
func Signers(c *constitution.Constitution, now time.Time, voting time.Duration) (level, message string) {
	all := len(c.Members)
	for _, at := range []time.Time{now, now.Add(voting)} {
		unable := decide.Unable(c, at)
		if len(unable) == 0 {
			continue
		}
		when := "now"
		if at != now {
			when = "on " + at.UTC().Format(time.DateOnly)
		}
		said := fmt.Sprintf("%d of %d can sign %s: no certificate of %s is valid then", all-len(unable), all, when, strings.Join(unable, ", "))
		if err := decide.CheckPath(c, uint64(at.UnixMilli())); err != nil {
			return Problem, said + "; too few are left for the policies, so let them vote for new certificates (add-certificate) now"
		}
		if level == "" {
			level, message = Warning, said+": vote for new ones (add-certificate)"
		}
	}
	if level != "" {
		return level, message
	}
	return OK, fmt.Sprintf("%d of %d can sign, now and in %d days", all, all, voting/(24*time.Hour))
}
