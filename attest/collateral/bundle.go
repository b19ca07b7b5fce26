package collateral

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// encoded is an item in a set: its kind and its bytes.
type encoded struct {
	Kind uint64 `cbor:"1,keyasint"`
	Raw  []byte `cbor:"2,keyasint"`
}

// bundle is evidence with its collateral.
type bundle struct {
	Quote []byte    `cbor:"1,keyasint"`
	Items []encoded `cbor:"2,keyasint"`
}

// bundled is the first byte of a bundle, a CBOR map of two. No quote of a vendor begins with it: each begins with
// a small version number.
const bundled = 0xa2

func (s *Set) encoded() []encoded {
	items := make([]encoded, 0, len(s.Items()))
	for _, it := range s.Items() {
		items = append(items, encoded{Kind: uint64(it.Kind), Raw: it.Raw})
	}
	return items
}

// Encode returns the set in deterministic CBOR: an array of maps {1: kind, 2: bytes}, in the order of kinds and bytes.
func (s *Set) Encode() ([]byte, error) { return canon.Marshal(s.encoded()) }

// Decode reads what Encode wrote, and nothing else. The error wraps coco.ErrInvalid.
func Decode(b []byte) (*Set, error) {
	var items []encoded
	if err := canon.Unmarshal(b, &items, canon.Limits{Bytes: MaxSet + 32*MaxItems, Depth: 4, Elements: MaxItems, Pairs: 2}); err != nil {
		return nil, fmt.Errorf("%w: collateral: %w", coco.ErrInvalid, err)
	}
	return decode(items)
}

func decode(es []encoded) (*Set, error) {
	var items []Item
	for i, e := range es {
		if e.Kind > uint64(Endorsement) {
			return nil, fmt.Errorf("%w: collateral: item %d has kind %d: expected at most %d", coco.ErrInvalid, i, e.Kind, Endorsement)
		}
		it, err := parse(Kind(e.Kind), e.Raw)
		if err != nil {
			return nil, err
		}
		if i > 0 && order(items[i-1], it) >= 0 {
			return nil, fmt.Errorf("%w: collateral: item %d is out of order", coco.ErrInvalid, i)
		}
		items = append(items, it)
	}
	return New(items...)
}

// Bundle puts a quote and its collateral into one evidence: the CBOR map {1: quote, 2: set}. An empty set leaves
// the quote as it is.
func Bundle(quote []byte, s *Set) ([]byte, error) {
	if len(s.Items()) == 0 {
		return quote, nil
	}
	return canon.Marshal(bundle{Quote: quote, Items: s.encoded()})
}

// Split takes evidence apart, into the quote and the collateral that it carries: none if it is a quote of the vendor's form.
// The longest evidence is attest.MaxQuote bytes long, which the caller has checked. The error wraps coco.ErrInvalid.
func Split(evidence []byte) (quote []byte, s *Set, err error) {
	if len(evidence) == 0 || evidence[0] != bundled {
		return evidence, nil, nil
	}
	var b bundle
	if err := canon.Unmarshal(evidence, &b, canon.Limits{Bytes: MaxSet, Depth: 5, Elements: MaxItems, Pairs: 2}); err != nil {
		return nil, nil, fmt.Errorf("%w: evidence with collateral: %w", coco.ErrInvalid, err)
	}
	if len(b.Quote) == 0 || b.Quote[0] == bundled {
		return nil, nil, fmt.Errorf("%w: evidence with collateral: it holds no quote of a vendor's form", coco.ErrInvalid)
	}
	s, err = decode(b.Items)
	return b.Quote, s, err
}
