package kv

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
)

// Conditions on a key's version, which is 0 while the key is absent.
const (
	always  = 0
	absent  = 1 // If-None-Match: *
	present = 2 // If-Match: *
	equals  = 3 // If-Match: "version"
	differs = 4 // If-None-Match: "version"
	among   = 5 // If-Match: a list of versions, none of them if no tag of the list can be a version
	outside = 6 // If-None-Match: a list of versions
)

// formatLists is the first format of kv that has the conditions among and outside: see Settings.Format.
const formatLists = 2

// maxTags is how many entity tags a condition may list.
const maxTags = 16

// condition is what must hold before an operation.
type condition struct {
	kind     byte
	version  uint64   // of equals and differs; not 0
	versions []uint64 // of among and outside: rising, and not exactly one; 0, an absent key, is in one of outside only
}

func (c condition) holds(version uint64) bool {
	switch c.kind {
	case absent:
		return version == 0
	case present:
		return version != 0
	case equals:
		return version == c.version
	case differs:
		return version != c.version
	case among:
		return slices.Contains(c.versions, version)
	case outside:
		return !slices.Contains(c.versions, version)
	}
	return true
}

func (c condition) String() string {
	switch c.kind {
	case absent:
		return "no such key"
	case present:
		return "any version"
	case equals:
		return fmt.Sprintf("version %d", c.version)
	case differs:
		return fmt.Sprintf("another version than %d", c.version)
	case among:
		if len(c.versions) == 0 {
			return "a version by an entity tag that this key never had"
		}
		return fmt.Sprintf("one of the versions %s", list(c.versions))
	case outside:
		if c.versions[0] == 0 {
			return fmt.Sprintf("a version, but none of %s", list(c.versions[1:]))
		}
		return fmt.Sprintf("none of the versions %s", list(c.versions))
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

// size is the length of what append adds after the kind.
func (c condition) size() int {
	switch c.kind {
	case equals, differs:
		return 8
	case among, outside:
		return 1 + 8*len(c.versions)
	}
	return 0
}

// append encodes a condition.
func (c condition) append(b []byte) []byte {
	b = append(b, c.kind)
	switch c.kind {
	case equals, differs:
		b = binary.BigEndian.AppendUint64(b, c.version)
	case among, outside:
		b = append(b, byte(len(c.versions)))
		for _, v := range c.versions {
			b = binary.BigEndian.AppendUint64(b, v)
		}
	}
	return b
}

// condition reads a condition. Each has one encoding.
func (d *decoder) condition() (c condition, ok bool) {
	c.kind = d.u8()
	switch c.kind {
	case always, absent, present:
	case equals, differs:
		if c.version = d.u64(); c.version == 0 {
			return c, false
		}
	case among, outside:
		count := d.u8()
		if count == 1 || c.kind == outside && count == 0 {
			return c, false
		}
		for i := range count {
			v := d.u64()
			if v == 0 && (i > 0 || c.kind == among) || i > 0 && v <= c.versions[i-1] {
				return c, false
			}
			c.versions = append(c.versions, v)
		}
		most := maxTags
		if len(c.versions) > 0 && c.versions[0] == 0 {
			most++
		}
		if len(c.versions) > most {
			return c, false
		}
	default:
		return c, false
	}
	return c, true
}

// conditions are those of a request.
type conditions struct {
	match condition // by If-Match
	none  condition // by If-None-Match
}

// conditionsOf reads If-Match and If-None-Match (RFC 9110, section 13.1).
func conditionsOf(h http.Header) (c conditions, err error) {
	if match := h["If-Match"]; len(match) > 0 {
		c.match, err = parseTags("If-Match", strings.Join(match, ","), true)
	}
	if none := h["If-None-Match"]; err == nil && len(none) > 0 {
		c.none, err = parseTags("If-None-Match", strings.Join(none, ","), false)
	}
	return c, err
}

// both is the one condition that holds when both hold. For a write their order does not matter: whichever does not hold,
// the answer is 412 (RFC 9110, section 13.2.2).
func (c conditions) both() condition {
	match, none := c.match, c.none
	switch {
	case match.kind == always:
		return none
	case none.kind == always:
		return match
	case match.kind == present && none.kind == absent:
		return condition{kind: among} // never
	case match.kind == present:
		return condition{kind: outside, versions: append([]uint64{0}, none.listed()...)}
	}
	return amongOf(slices.DeleteFunc(match.listed(), func(v uint64) bool { return !none.holds(v) }))
}

// listed returns the versions that a condition names, in a list of the caller's own.
func (c condition) listed() []uint64 {
	if c.kind == equals || c.kind == differs {
		return []uint64{c.version}
	}
	return slices.Clone(c.versions)
}

// amongOf is the condition that one of these versions is there, which rise.
func amongOf(versions []uint64) condition {
	if len(versions) == 1 {
		return condition{kind: equals, version: versions[0]}
	}
	return condition{kind: among, versions: versions}
}

// parseTags reads "*" or a list of entity tags (RFC 9110, sections 8.8.3 and 5.6.1). A tag that no value can have is
// not among the versions. If-Match compares strongly, so that a weak tag matches nothing; If-None-Match compares weakly, which is the same here
// as strongly, because a version of a value has one representation.
func parseTags(name, text string, match bool) (condition, error) {
	if strings.TrimSpace(text) == "*" {
		if match {
			return condition{kind: present}, nil
		}
		return condition{kind: absent}, nil
	}
	wrong := func() (condition, error) {
		return condition{}, fmt.Errorf("%w: %s: expected * or a list of at most %d entity tags, such as \"17\", found %s", coco.ErrInvalid, name, maxTags, text)
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
		if tags++; tags > maxTags {
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
		return condition{}, nil // whatever the key has is none of these
	case len(versions) == 1:
		return condition{kind: differs, version: versions[0]}, nil
	}
	return condition{kind: outside, versions: versions}, nil
}

// parseVersion reads the text of an entity tag that a value may have.
func parseVersion(tag string) (uint64, bool) {
	version, err := strconv.ParseUint(tag, 10, 64)
	return version, err == nil && version != 0 && strconv.FormatUint(version, 10) == tag
}

// parsePlain reads the condition of an operation in a batch: "*" or the version without quotes.
func parsePlain(name string, star, one byte, text string) (condition, error) {
	if text == "*" {
		return condition{kind: star}, nil
	}
	version, ok := parseVersion(text)
	if !ok {
		return condition{}, fmt.Errorf("%w: %s: expected * or one entity tag that was given for this key, without quotes, found %q", coco.ErrInvalid, name, text)
	}
	return condition{kind: one, version: version}, nil
}
