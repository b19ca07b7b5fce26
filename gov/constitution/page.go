package constitution

import (
	"sync/atomic"

	"github.com/cocoframework/coco"
)

// Page is a constitution as people read it. It MUST NOT be modified.
type Page struct {
	of     *Constitution
	Text   []byte
	Digest coco.Digest
}

// Pages writes each constitution once: every stranger may ask for the page of the one in force. It is safe for concurrent use.
type Pages struct{ last atomic.Pointer[Page] }

// Of returns the page of a completed constitution, which does not change afterwards.
func (p *Pages) Of(c *Constitution) *Page {
	if last := p.last.Load(); last != nil && last.of == c {
		return last
	}
	next := &Page{c, c.TOML(), c.Digest()}
	p.last.Store(next)
	return next
}
