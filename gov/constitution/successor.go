package constitution

import (
	"bytes"
	"crypto/x509"
	"maps"
	"slices"

	"github.com/cocoframework/coco/gov/reason"
)

// Draft returns a copy to be changed. It is a constitution again once Succeed has completed it.
func (c *Constitution) Draft() *Constitution {
	d := *c
	d.done = nil
	d.Members, d.Participants = slices.Clone(c.Members), slices.Clone(c.Participants)
	d.Code, d.TEE, d.Policies = slices.Clone(c.Code), slices.Clone(c.TEE), maps.Clone(c.Policies)
	d.Adapters, d.Revoked = maps.Clone(c.Adapters), slices.Clone(c.Revoked)
	d.Access = c.Access.Clone()
	return &d
}

// Succeed completes a constitution that follows another one. Only the adapters named have other
// settings. If nothing differs, the old one is returned.
func (c *Constitution) Succeed(old *Constitution, changed map[string]bool) (*Constitution, error) {
	done := &completed{settings: map[string][]byte{}, digests: maps.Clone(old.done.digests), roots: x509.NewCertPool()}
	c.fill()
	for _, check := range []func(*completed) error{c.checkNetwork, c.checkActors, c.checkCode, c.checkRules, c.checkPolicies} {
		if err := check(done); err != nil {
			return nil, err
		}
	}
	if err := c.normalizeSome(done, old, changed); err != nil {
		return nil, err
	}
	core, err := c.canonical(done.digests)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(core, old.done.core) {
		return old, nil
	}
	c.Version++
	if done.core, err = c.canonical(done.digests); err != nil {
		return nil, err
	}
	c.done = done
	return c, nil
}

// Number is a setting that is a whole number.
type Number struct {
	Path  string // such as "limits.queue"
	Value int64
}

// Numbers returns the settings of limits, ledger and snapshots.
func (c *Constitution) Numbers() (out []Number) {
	for _, l := range c.Limits.all() {
		out = append(out, Number{l.path, int64(*l.value)})
	}
	for _, l := range append(c.Ledger.all(), c.Snapshots.all()...) {
		out = append(out, Number{l.path, *l.value})
	}
	return out
}

// SetNumber changes a number of a draft that may change while the network exists, and returns what it was. The error
// is a *reason.Error. Succeed checks the rest.
func (c *Constitution) SetNumber(path string, n int64) (was int64, err error) {
	for _, l := range c.Limits.all() {
		if l.path == path {
			// Zero would stand for the default.
			if n < int64(l.low) || n > int64(l.high) {
				return 0, outOfRange(path, int64(l.low), int64(l.high), n, "")
			}
			was, *l.value = int64(*l.value), int(n)
			return was, nil
		}
	}
	for _, l := range c.Snapshots.all() {
		if l.path == path {
			was, *l.value = *l.value, n
			return was, nil
		}
	}
	switch path {
	case "shares.threshold":
		if n < 1 || n > maxActors {
			return 0, outOfRange(path, 1, int64(len(c.Members)), n, ", the number of members")
		}
		was, c.Shares.Threshold = int64(c.Shares.Threshold), int(n)
		return was, nil
	case "rules":
		if n < int64(c.Rules) || n > CurrentRules {
			return 0, outOfRange(path, int64(c.Rules), CurrentRules, n, ", the newest rules of this program")
		}
		was = int64(c.Rules)
		c.raise(uint64(n))
		return was, nil
	}
	return 0, &reason.Error{Reason: reason.New(reason.UnknownSetting, path, "")}
}
