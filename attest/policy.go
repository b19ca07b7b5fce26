package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cocoframework/coco"
)

// MaxPolicy bounds a platform's policy in bytes.
const MaxPolicy = 16 << 10

// DecodePolicy reads a platform's policy, one JSON object, into a driver's own type. A name that the
// type does not have is an error: a rule that is not understood must not be taken for kept. The
// error wraps coco.ErrInvalid.
func DecodePolicy(platform string, policy []byte, into any) error {
	if len(policy) > MaxPolicy {
		return fmt.Errorf("%w: policy of platform %q: %d bytes, expected at most %d", coco.ErrInvalid, platform, len(policy), MaxPolicy)
	}
	dec := json.NewDecoder(bytes.NewReader(policy))
	dec.DisallowUnknownFields()
	err := error(nil)
	if text := bytes.TrimLeft(policy, " \t\r\n"); len(text) == 0 || text[0] != '{' {
		err = errors.New("expected a JSON object")
	}
	if err == nil {
		err = dec.Decode(into)
	}
	if err == nil {
		if _, end := dec.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("expected nothing after the object")
		}
	}
	if err != nil {
		return fmt.Errorf("%w: policy of platform %q: %w", coco.ErrInvalid, platform, err)
	}
	return nil
}
