package kv

import (
	"encoding/binary"
	"fmt"
	"mime"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// What table kv.data holds of a key:
//
//	stored  = version u64 ‖ value
//	        | (version | 1<<63) u64 ‖ media type length u8 ‖ media type ‖ value
//
// The first form is a value of wire.MediaBytes.
const (
	versionSize = 8
	typed       = 1 << 63
)

// formatMedia is the first format of kv whose values may have a media type: see Settings.Format. By earlier ones the Content-Type
// of a PUT says nothing.
const formatMedia = 2

// maxMedia is the greatest length of a media type in bytes.
const maxMedia = 255

// store encodes a value as of a seqno.
func (op *operation) store(seqno uint64) []byte {
	if op.media == "" {
		b := make([]byte, 0, versionSize+len(op.value))
		return append(binary.BigEndian.AppendUint64(b, seqno), op.value...)
	}
	b := make([]byte, 0, versionSize+1+len(op.media)+len(op.value))
	b = append(binary.BigEndian.AppendUint64(b, seqno|typed), byte(len(op.media)))
	return append(append(b, op.media...), op.value...)
}

// versionOf returns the version of a stored value, which has at least versionSize bytes.
func versionOf(stored []byte) uint64 { return binary.BigEndian.Uint64(stored) &^ typed }

// contentOf returns the media type and the value of what is stored.
func contentOf(stored []byte) (media string, value []byte) {
	if binary.BigEndian.Uint64(stored)&typed == 0 {
		return wire.MediaBytes, stored[versionSize:]
	}
	n := int(stored[versionSize])
	return string(stored[versionSize+1 : versionSize+1+n]), stored[versionSize+1+n:]
}

// wellFormed reports whether bytes are a stored value of a version.
func wellFormed(stored []byte, version uint64) bool {
	if len(stored) < versionSize || versionOf(stored) != version {
		return false
	}
	return binary.BigEndian.Uint64(stored)&typed == 0 || len(stored) > versionSize && len(stored) > versionSize+int(stored[versionSize])
}

// parseMedia reads the media type of a value (RFC 9110, section 8.3.1); none is wire.MediaBytes, which is stored as none.
func parseMedia(types []string) (string, error) {
	switch {
	case len(types) == 0 || len(types) == 1 && (types[0] == "" || types[0] == wire.MediaBytes):
		return "", nil
	case len(types) > 1:
		return "", fmt.Errorf("%w: Content-Type is given %d times", coco.ErrInvalid, len(types))
	}
	if m, _, err := mime.ParseMediaType(types[0]); err != nil || !strings.Contains(m, "/") || !storedMedia(types[0]) {
		return "", fmt.Errorf("%w: Content-Type: expected a media type of at most %d printable ASCII characters, such as text/plain, found %q", coco.ErrInvalid, maxMedia, types[0])
	}
	return types[0], nil
}

// storedMedia reports whether a text may be stored as a media type: a header can carry it, and it is not the one that is stored as none.
func storedMedia(text string) bool {
	return text != "" && len(text) <= maxMedia && text != wire.MediaBytes && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
