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

// maxTags is how many entity tags a condition may list.
const maxTags = 16

// condition is what must hold before an operation.
type condition struct {
	kind     byte
	version  uint64   // of equals and differs; not 0
	versions []uint64 // of among and outside: rising, none is 0, and not exactly one
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

// match reports whether it is a condition by If-Match, and not by If-None-Match.
func (c condition) match() bool { return c.kind == present || c.kind == equals || c.kind == among }

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
		if count == 1 || count > maxTags || c.kind == outside && count == 0 {
			return c, false
		}
		for range count {
			v := d.u64()
			if v == 0 || len(c.versions) > 0 && v <= c.versions[len(c.versions)-1] {
				return c, false
			}
			c.versions = append(c.versions, v)
		}
	default:
		return c, false
	}
	return c, true
}

// conditionOf reads If-Match and If-None-Match (RFC 9110, section 13.1). Both together are refused rather than half obeyed.
func conditionOf(h http.Header) (condition, error) {
	match, none := h["If-Match"], h["If-None-Match"]
	switch {
	case len(match)+len(none) == 0:
		return condition{}, nil
	case len(match) > 0 && len(none) > 0:
		return condition{}, fmt.Errorf("%w: expected one of If-Match and If-None-Match, found both", coco.ErrInvalid)
	case len(match) > 0:
		return parseTags("If-Match", strings.Join(match, ","), true)
	}
	return parseTags("If-None-Match", strings.Join(none, ","), false)
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
	case match && len(versions) == 1:
		return condition{kind: equals, version: versions[0]}, nil
	case match:
		return condition{kind: among, versions: versions}, nil
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
