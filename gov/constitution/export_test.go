package constitution

import "errors"

// What tests of this package see of its inside.

type Core = core

// Setting is a line of the table of settings that versions of the rules added.
type Setting struct {
	Path           string
	Before, Raised bool // it has that value

	BeforeValue, RaisedValue any
	Err                      error
}

// AllAdded returns all of them, whatever the rules.
func (c *Constitution) AllAdded() (out []Setting) {
	for _, s := range c.settings() {
		x := Setting{Path: s.path, Before: s.is(s.before), Raised: s.is(s.raised), BeforeValue: s.before, RaisedValue: s.raised}
		for _, v := range []any{s.raised, s.fresh} {
			if n, ok := v.(int); ok {
				v = int64(n)
			}
			x.Err = errors.Join(x.Err, s.check(v))
		}
		out = append(out, x)
	}
	return out
}
