// Package collateral holds what a verifier is given beside evidence: what a vendor says about its TEEs.
//
// A quote proves who signed it. Whether that signer is a genuine TEE, and whether its firmware is still
// good enough, only the vendor can say, in statements that it signs and that expire:
//
//	Certificate   AMD and Intel   a key, from a TEE's own up to a vendor's root
//	CRL           AMD and Intel   which certificates of an issuer no longer count
//	TCBInfo       Intel           which firmware of a family of processors (FMSPC) is good enough
//	QEIdentity    Intel           which quoting enclave is genuine, and which version of it good enough
//	Endorsement   Azure           a COSE_Sign1 over measurements; opaque here
//
// The host fetches them, because an enclave has no way to a vendor, and keeps them in a folder. Nothing
// in the folder is believed: this package parses and bounds every item, and says when it is valid; a
// platform's driver checks the signatures, up to a root that the program contains. So a host can withhold
// collateral, or hand out what is old and not yet expired, and no more.
//
//	folder ── Read ──▶ Set ──┐
//	evidence ── Split ──▶ Set ┴─ Merge ──▶ Set ──▶ driver
//
// Evidence may carry its collateral along (Bundle). Then whoever gets the evidence needs no folder, and an
// audit can repeat years later what a node decided, at the time it decided it.
//
// Trust: either
package collateral

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
)

// Bounds. Intel's longest list, the CRL of the processors' CA, takes less than 100 KiB.
const (
	// MaxItem is the longest item in bytes, MaxCertificate the longest certificate.
	MaxItem        = 1 << 20
	MaxCertificate = 16 << 10
	// MaxItems is how many items a set has at most, MaxSet how many bytes.
	MaxItems = 1024
	MaxSet   = 16 << 20

	// maxRSA bounds the time that it takes to check a signature. AMD's keys have 4096 bits.
	maxRSA = 8192
)

// Kind is what an item is. The numbers are those of the encoding.
type Kind uint8

// The kinds of items.
const (
	Certificate Kind = 1 + iota
	CRL
	TCBInfo
	QEIdentity
	Endorsement
)

var kinds = []string{"", "certificate", "CRL", "TCB info", "QE identity", "endorsement"}

// String names the kind for people.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kinds) {
		return fmt.Sprintf("item of kind %d", uint8(k))
	}
	return kinds[k]
}

// Item is one statement of a vendor, parsed and NOT verified. An item and all that it points to is never changed.
type Item struct {
	Kind Kind
	// Raw is the item as the vendor signed it: DER, JSON with its signature, or COSE.
	Raw []byte
	// About says for people whom or what the item is about.
	About string
	// From and Until are when the item is valid. Until is zero if the item does not say.
	From, Until time.Time

	// One of these is set, by the kind. An endorsement has none.
	Certificate *x509.Certificate
	CRL         *x509.RevocationList
	TCBInfo     *IntelTCB
	QEIdentity  *IntelIdentity
}

// String names the item for people.
func (i Item) String() string { return i.Kind.String() + " of " + i.About }

// parse reads one item in the form of Raw. The error wraps coco.ErrInvalid.
func parse(kind Kind, raw []byte) (Item, error) {
	it := Item{Kind: kind, Raw: bytes.Clone(raw)}
	bound := MaxItem
	if kind == Certificate {
		bound = MaxCertificate
	}
	if len(raw) == 0 || len(raw) > bound {
		return it, fmt.Errorf("%w: %s of %d bytes: expected 1 to %d", coco.ErrInvalid, kind, len(raw), bound)
	}
	var err error
	switch kind {
	case Certificate:
		if it.Certificate, err = parseCertificate(it.Raw); err == nil {
			it.About = it.Certificate.Subject.String()
			it.From, it.Until = it.Certificate.NotBefore, it.Certificate.NotAfter
		}
	case CRL:
		if it.CRL, err = x509.ParseRevocationList(it.Raw); err == nil {
			it.About = it.CRL.Issuer.String()
			it.From, it.Until = it.CRL.ThisUpdate, it.CRL.NextUpdate
		}
	case TCBInfo:
		if it.TCBInfo, err = parseTCBInfo(it.Raw); err == nil {
			it.About = fmt.Sprintf("%s, FMSPC %X", it.TCBInfo.ID, it.TCBInfo.FMSPC)
			it.From, it.Until = it.TCBInfo.IssueDate, it.TCBInfo.NextUpdate
		}
	case QEIdentity:
		if it.QEIdentity, err = parseQEIdentity(it.Raw); err == nil {
			it.About = it.QEIdentity.ID
			it.From, it.Until = it.QEIdentity.IssueDate, it.QEIdentity.NextUpdate
		}
	case Endorsement:
		it.About = fmt.Sprintf("%d bytes", len(raw))
	default:
		err = fmt.Errorf("expected a kind from %d to %d", Certificate, Endorsement)
	}
	if err != nil {
		return it, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, kind, err)
	}
	return it, nil
}

// parseCertificate reads a certificate whose signatures can be checked in a bounded time.
func parseCertificate(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
		return nil, fmt.Errorf("RSA key of %d bits: expected at most %d", key.N.BitLen(), maxRSA)
	}
	return c, nil
}

// Set is a set of items. It is never changed once made; nil is the empty set.
type Set struct {
	items []Item // in the order of their kinds and bytes, each once
}

// New makes a set of items, each counted once. The error wraps coco.ErrInvalid if they are too many.
func New(items ...Item) (*Set, error) {
	s := slices.Clone(items)
	slices.SortStableFunc(s, order)
	s = slices.CompactFunc(s, func(a, b Item) bool { return order(a, b) == 0 })
	total := 0
	for _, it := range s {
		total += len(it.Raw)
	}
	if len(s) > MaxItems || total > MaxSet {
		return nil, fmt.Errorf("%w: collateral of %d items and %d bytes: expected at most %d and %d", coco.ErrInvalid, len(s), total, MaxItems, MaxSet)
	}
	return &Set{items: s}, nil
}

func order(a, b Item) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.Raw, b.Raw))
}

// Merge makes one set of several.
func Merge(sets ...*Set) (*Set, error) {
	var all []Item
	for _, s := range sets {
		all = append(all, s.Items()...)
	}
	return New(all...)
}

// Items are all items, by kind. The slice MUST NOT be changed.
func (s *Set) Items() []Item {
	if s == nil {
		return nil
	}
	return s.items
}

// Of are the items of one kind. The slice MUST NOT be changed.
func (s *Set) Of(kind Kind) []Item {
	items := s.Items()
	from := slices.IndexFunc(items, func(it Item) bool { return it.Kind == kind })
	if from < 0 {
		return nil
	}
	n := slices.IndexFunc(items[from:], func(it Item) bool { return it.Kind != kind })
	if n < 0 {
		return items[from:]
	}
	return items[from : from+n : from+n]
}

// Certificates are the certificates of the set.
func (s *Set) Certificates() []*x509.Certificate {
	var cs []*x509.Certificate
	for _, it := range s.Of(Certificate) {
		cs = append(cs, it.Certificate)
	}
	return cs
}

// Filter returns the set of those items that are wanted.
func (s *Set) Filter(want func(Item) bool) *Set {
	f := &Set{}
	for _, it := range s.Items() {
		if want(it) {
			f.items = append(f.items, it)
		}
	}
	return f
}

// Source gives the collateral that is there now: a folder's, which the host refreshes. It MUST be safe for concurrent use.
type Source func() *Set
