// Package precondition is what must hold of a row's version before kv writes or answers it: conditions, their encoding in calls, and how requests say them
// (RFC 9110, section 13.1).
//
// Trust: enclave
package precondition

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
)

// Conditions on a key's version, which is 0 while the key is absent.
const (
	Always  = 0
	Absent  = 1 // If-None-Match: *
	Present = 2 // If-Match: *
	Equals  = 3 // If-Match: "version"
	Differs = 4 // If-None-Match: "version"
	Among   = 5 // If-Match: a list of versions, none of them if no tag of the list can be a version
	Outside = 6 // If-None-Match: a list of versions
)

// MaxTags is how many entity tags a condition may list.
const MaxTags = 16

// Condition is what must hold before an operation. The zero value holds always.
type Condition struct {
	Kind     byte
	Version  uint64   // of equals and differs; not 0
	Versions []uint64 // of among and Outside: rising, and not exactly one; 0, an absent key, is in one of outside only
}

func (c Condition) Holds(version uint64) bool {
	switch c.Kind {
	case Absent:
		return version == 0
	case Present:
		return version != 0
	case Equals:
		return version == c.Version
	case Differs:
		return version != c.Version
	case Among:
		return slices.Contains(c.Versions, version)
	case Outside:
		return !slices.Contains(c.Versions, version)
	}
	return true
}

func (c Condition) String() string {
	switch c.Kind {
	case Absent:
		return "no such key"
	case Present:
		return "any version"
	case Equals:
		return fmt.Sprintf("version %d", c.Version)
	case Differs:
		return fmt.Sprintf("another version than %d", c.Version)
	case Among:
		if len(c.Versions) == 0 {
			return "a version by an entity tag that this key never had"
		}
		return fmt.Sprintf("one of the versions %s", list(c.Versions))
	case Outside:
		if c.Versions[0] == 0 {
			return fmt.Sprintf("a version, but none of %s", list(c.Versions[1:]))
		}
		return fmt.Sprintf("none of the versions %s", list(c.Versions))
	}
	return "anything"
}

func list(versions []uint64) string {
	texts := make([]string, len(versions))
	for i, v := range versions {
		texts[i] = strconv.FormatUint(v, 10)
	}
	return strings.Join(texts, ", ")
}

// Size is the length of what Append adds after the kind, in bytes.
func (c Condition) Size() int {
	switch c.Kind {
	case Equals, Differs:
		return 8
	case Among, Outside:
		return 1 + 8*len(c.Versions)
	}
	return 0
}

// Append encodes a condition.
func (c Condition) Append(b []byte) []byte {
	b = append(b, c.Kind)
	switch c.Kind {
	case Equals, Differs:
		b = binary.BigEndian.AppendUint64(b, c.Version)
	case Among, Outside:
		b = append(b, byte(len(c.Versions)))
		for _, v := range c.Versions {
			b = binary.BigEndian.AppendUint64(b, v)
		}
	}
	return b
}

// Errors of Cut.
var (
	ErrShort = fmt.Errorf("%w: a condition ends early", coco.ErrCorrupt)
	ErrForm  = fmt.Errorf("%w: no such condition", coco.ErrCorrupt)
)

// Cut reads a condition from the front of b, and returns what follows it. Each has one encoding. The error is ErrShort or ErrForm.
func Cut(b []byte) (c Condition, rest []byte, err error) {
	short := false
	next := func(n int) []byte {
		if n > len(b) {
			short = true
			return make([]byte, n)
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	c.Kind = next(1)[0]
	ok := true
	switch c.Kind {
	case Always, Absent, Present:
	case Equals, Differs:
		c.Version = binary.BigEndian.Uint64(next(8))
		ok = c.Version != 0
	case Among, Outside:
		count := next(1)[0]
		ok = count != 1 && (c.Kind == Among || count > 0)
		for i := byte(0); i < count && !short; i++ {
			v := binary.BigEndian.Uint64(next(8))
			ok = ok && (v != 0 || i == 0 && c.Kind == Outside) && (i == 0 || v > c.Versions[i-1])
			c.Versions = append(c.Versions, v)
		}
		most := MaxTags
		if len(c.Versions) > 0 && c.Versions[0] == 0 {
			most++
		}
		ok = ok && len(c.Versions) <= most
	default:
		ok = false
	}
	switch {
	case short:
		return c, nil, ErrShort
	case !ok:
		return c, nil, ErrForm
	}
	return c, b, nil
}

// Pair is the conditions of a request.
type Pair struct {
	Match Condition // by If-Match
	None  Condition // by If-None-Match
}

// Of reads If-Match and If-None-Match (RFC 9110, section 13.1).
func Of(h map[string][]string) (c Pair, err error) {
	if match := h["If-Match"]; len(match) > 0 {
		c.Match, err = parseTags("If-Match", strings.Join(match, ","), true)
	}
	if none := h["If-None-Match"]; err == nil && len(none) > 0 {
		c.None, err = parseTags("If-None-Match", strings.Join(none, ","), false)
	}
	return c, err
}

// Both is the one condition that holds when both hold. For a write their order does not matter: whichever does not hold,
// the answer is 412 (RFC 9110, section 13.2.2).
func (c Pair) Both() Condition {
	match, none := c.Match, c.None
	switch {
	case match.Kind == Always:
		return none
	case none.Kind == Always:
		return match
	case match.Kind == Present && none.Kind == Absent:
		return Condition{Kind: Among} // never
	case match.Kind == Present:
		return Condition{Kind: Outside, Versions: append([]uint64{0}, none.listed()...)}
	}
	return amongOf(slices.DeleteFunc(match.listed(), func(v uint64) bool { return !none.Holds(v) }))
}

// listed returns the versions that a condition names, in a list of the caller's own.
func (c Condition) listed() []uint64 {
	if c.Kind == Equals || c.Kind == Differs {
		return []uint64{c.Version}
	}
	return slices.Clone(c.Versions)
}

// amongOf is the condition that one of these versions is there, which rise.
func amongOf(versions []uint64) Condition {
	if len(versions) == 1 {
		return Condition{Kind: Equals, Version: versions[0]}
	}
	return Condition{Kind: Among, Versions: versions}
}

// parseTags reads "*" or a list of entity tags (RFC 9110, sections 8.8.3 and 5.6.1). A tag that no value can have is
// not among the versions. If-Match compares strongly, so that a weak tag matches nothing; If-None-Match compares weakly, which is the same here
// as strongly, because a version of a value has one representation.
func parseTags(name, text string, match bool) (Condition, error) {
	if strings.TrimSpace(text) == "*" {
		if match {
			return Condition{Kind: Present}, nil
		}
		return Condition{Kind: Absent}, nil
	}
	wrong := func() (Condition, error) {
		return Condition{}, fmt.Errorf("%w: %s: expected * or a list of at most %d entity tags, such as \"17\", found %s", coco.ErrInvalid, name, MaxTags, text)
	}
	var versions []uint64
	tags := 0
	for rest := text; ; {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		tag, weak := strings.CutPrefix(rest, "W/")
		if tag == "" || tag[0] != '"' {
			return wrong()
		}
		end := strings.IndexByte(tag[1:], '"')
		if end < 0 || strings.ContainsFunc(tag[1:1+end], func(r rune) bool { return r < '!' || r == 0x7f }) {
			return wrong()
		}
		if tags++; tags > MaxTags {
			return wrong()
		}
		if v, ok := parseVersion(tag[1 : 1+end]); ok && !(match && weak) {
			versions = append(versions, v)
		}
		rest = strings.TrimLeft(tag[end+2:], " \t")
		if rest != "" && rest[0] != ',' {
			return wrong()
		}
	}
	if tags == 0 {
		return wrong()
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	switch {
	case match:
		return amongOf(versions), nil
	case len(versions) == 0:
		return Condition{}, nil // whatever the key has is none of these
	case len(versions) == 1:
		return Condition{Kind: Differs, Version: versions[0]}, nil
	}
	return Condition{Kind: Outside, Versions: versions}, nil
}

// parseVersion reads the text of an entity tag that a value may have.
func parseVersion(tag string) (uint64, bool) {
	version, err := strconv.ParseUint(tag, 10, 64)
	return version, err == nil && version != 0 && strconv.FormatUint(version, 10) == tag
}

// Plain reads the condition of an operation in a batch: "*" or the version without quotes.
func Plain(name string, star, one byte, text string) (Condition, error) {
	if text == "*" {
		return Condition{Kind: star}, nil
	}
	version, ok := parseVersion(text)
	if !ok {
		return Condition{}, fmt.Errorf("%w: %s: expected * or one entity tag that was given for this key, without quotes, found %q", coco.ErrInvalid, name, text)
	}
	return Condition{Kind: one, Version: version}, nil
}
