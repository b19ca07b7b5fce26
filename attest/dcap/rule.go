package dcap

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
)

// Rule is what a TEE's attributes must be where the mask has ones. Both have the length of the attributes.
type Rule struct{ Want, Mask []byte }

// With returns a driver's own rule below that of a policy, whose fields attributes and attributes_mask have hexadecimal digits: both or neither. The error
// wraps coco.ErrInvalid.
func (r Rule) With(attributes, mask string) (Rule, error) {
	if attributes == "" && mask == "" {
		return r, nil
	}
	want, errWant := hex.DecodeString(attributes)
	ones, errMask := hex.DecodeString(mask)
	n := len(r.Want)
	if errWant != nil || errMask != nil || len(want) != n || len(ones) != n {
		return r, fmt.Errorf("%w: attributes and attributes_mask: found %q and %q, expected both, with %d hexadecimal digits each", coco.ErrInvalid, attributes, mask, 2*n)
	}
	for i := range n {
		want[i] = r.Want[i]&^ones[i] | want[i]&ones[i]
		ones[i] |= r.Mask[i]
	}
	return Rule{Want: want, Mask: ones}, nil
}

// Matches says whether attributes are as the rule demands.
func (r Rule) Matches(found []byte) bool { return matches(found, r.Want, r.Mask) }

// Allow returns the fields attributes and attributes_mask of a policy that allows what is found where the rule refuses it, bit by bit; nothing if it does not.
func (r Rule) Allow(found []byte) (attributes, mask string) {
	if r.Matches(found) {
		return "", ""
	}
	differs := make([]byte, len(found))
	for i := range found {
		differs[i] = (found[i] ^ r.Want[i]) & r.Mask[i]
	}
	return hex.EncodeToString(found), hex.EncodeToString(differs)
}

// CheckValues says whether the values that a policy lists have a size in bytes, in hexadecimal digits of any case. The error has no kind.
func CheckValues(list []string, size int) error {
	for _, v := range list {
		if b, err := hex.DecodeString(v); err != nil || len(b) != size {
			return fmt.Errorf("found %q, expected %d hexadecimal digits", v, 2*size)
		}
	}
	return nil
}

// Listed says whether a policy's list has a value. One without values allows any.
func Listed(list []string, found []byte) bool {
	digits := hex.EncodeToString(found)
	return len(list) == 0 || slices.ContainsFunc(list, func(v string) bool { return strings.EqualFold(v, digits) })
}
