package dcap

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
)

// MaxGrace is for how long collateral that has expired is still read at all. Whether it still counts is for a policy to say: by default it does not.
const MaxGrace = 30 * 24 * time.Hour

// TCB is what Intel says about the processor that made a quote, by the collateral that was used. These are claims: Policy decides.
type TCB struct {
	PCK
	// Status is the worst of processor, quoting enclave and TDX module. Date is that of the processor's TCB level.
	Status collateral.Status
	Date   time.Time
	// Advisories are those that are open for processor, quoting enclave and TDX module, sorted.
	Advisories []string
	// Evaluation is the lower tcbEvaluationDataNumber of TCB info and QE identity.
	Evaluation uint32
	// Expires is when the first of the collateral and certificates that were used expires. Expired is for how long it has, at the time of the verification;
	// zero if it has not.
	Expires time.Time
	Expired time.Duration
	// Revocation is true if every certificate was held against a CRL of its issuer.
	Revocation bool
}

// CheckSignatures checks that a genuine processor made the quote, up to the root, without asking whether its TCB is good enough and whether its
// quoting enclave is Intel's. It shows what is in evidence for which there is no collateral; it MUST NOT decide whom to trust. The error wraps attest.ErrQuote.
func (q *Quote) CheckSignatures(set *collateral.Set, root *x509.Certificate, now time.Time) (PCK, error) {
	return q.check(newTrust(set, root, now))
}

func (q *Quote) check(t *trust) (PCK, error) {
	leaf, pck, err := t.pck(q)
	if err == nil {
		err = q.checkSignatures(leaf)
	}
	return pck, err
}

// Verify checks that a quote is genuine, by the collateral: the signatures up to the root, the quoting enclave's identity, and which TCB level the
// processor and the TDX module have. It refuses a TCB that Intel has revoked or does not know, and collateral that expired more than MaxGrace ago.
// It is a pure function. The error wraps attest.ErrQuote.
func Verify(q *Quote, set *collateral.Set, root *x509.Certificate, now time.Time) (TCB, error) {
	t := newTrust(set, root, now)
	pck, err := q.check(t)
	if err != nil {
		return TCB{}, err
	}
	info, err := t.tcbInfo(q, pck)
	if err != nil {
		return TCB{}, err
	}
	identity, err := t.qeIdentity(q)
	if err != nil {
		return TCB{}, err
	}
	level, err := platformLevel(info, pck, q.TD)
	if err != nil {
		return TCB{}, err
	}
	tcb := TCB{PCK: pck, Status: level.Status, Date: level.Date, Advisories: slices.Clone(level.Advisories), Evaluation: min(info.Evaluation, identity.Evaluation)}
	qe, err := enclaveLevel(identity, q.QE)
	if err != nil {
		return TCB{}, err
	}
	tcb.join(qe)
	if q.TD != nil {
		module, err := moduleLevel(info, *q.TD)
		if err != nil {
			return TCB{}, err
		}
		tcb.join(module)
	}
	slices.Sort(tcb.Advisories)
	tcb.Advisories = slices.Compact(tcb.Advisories)
	tcb.Expires, tcb.Revocation = t.expires, t.unrevoked
	tcb.Expired = max(0, now.Sub(t.expires))
	switch {
	case tcb.Status == collateral.Revoked:
		return TCB{}, fmt.Errorf("%w: Intel has revoked this TCB (advisories %v): keys of such processors may be known", attest.ErrQuote, tcb.Advisories)
	case tcb.Expired > MaxGrace:
		return TCB{}, fmt.Errorf("%w: its collateral expired at %s, now is %s: fetch newer collateral", attest.ErrQuote, t.expires.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return tcb, nil
}

// join makes the status and the advisories those of both (Intel's QVL: convergeTcbStatus).
func (t *TCB) join(l collateral.Level) {
	t.Advisories = append(t.Advisories, l.Advisories...)
	configured := t.Status == collateral.ConfigurationNeeded || t.Status == collateral.ConfigurationAndSWHardeningNeeded || t.Status == collateral.OutOfDateConfigurationNeeded
	switch {
	case l.Status == collateral.OutOfDate && configured:
		t.Status = collateral.OutOfDateConfigurationNeeded
	case slices.Index(collateral.Statuses, l.Status) > slices.Index(collateral.Statuses, t.Status):
		t.Status = l.Status
	}
}

// tcbInfo finds the TCB info of the processor's family.
func (t *trust) tcbInfo(q *Quote, pck PCK) (*collateral.IntelTCB, error) {
	items := t.set.Filter(func(it collateral.Item) bool { return it.Kind == collateral.TCBInfo && q.judgedBy(it.TCBInfo, pck) }).Items()
	about := fmt.Sprintf("TCB info of %s for FMSPC %X and PCE-ID %X", q.tcbID(), pck.FMSPC, pck.PCEID)
	it, err := t.statement(about, items, func(it collateral.Item) uint32 { return it.TCBInfo.Evaluation })
	return it.TCBInfo, err
}

// qeIdentity finds the identity of the platform's quoting enclave.
func (t *trust) qeIdentity(q *Quote) (*collateral.IntelIdentity, error) {
	id := q.qeID()
	items := t.set.Filter(func(it collateral.Item) bool { return it.Kind == collateral.QEIdentity && it.QEIdentity.ID == id }).Items()
	it, err := t.statement("identity of the quoting enclave "+id, items, func(it collateral.Item) uint32 { return it.QEIdentity.Evaluation })
	return it.QEIdentity, err
}

// platformLevel finds the newest TCB level that the processor reaches in every component.
func platformLevel(info *collateral.IntelTCB, pck PCK, td *TDReport) (collateral.Level, error) {
	for _, l := range info.Levels {
		if reaches(pck.SVN[:], l.SGX[:]) && pck.PCESVN >= l.PCESVN && (td == nil || reachesTDX(td.TCBSVN, l.TDX)) {
			return l, nil
		}
	}
	return collateral.Level{}, fmt.Errorf("%w: the TCB info has no level for components %v and PCE SVN %d: Intel does not support so old a TCB", attest.ErrQuote, pck.SVN, pck.PCESVN)
}

func reaches(have, want []uint8) bool {
	for i := range want {
		if have[i] < want[i] {
			return false
		}
	}
	return true
}

// reachesTDX holds the TDX components against a level. The first two are the module's SVN and major version: from major version 1 on a level of the
// module itself judges them (moduleLevel).
func reachesTDX(have, want [16]uint8) bool {
	from := 0
	if have[1] > 0 {
		from = 2
	}
	return reaches(have[from:], want[from:])
}

// moduleLevel checks that the TDX module is one that Intel has signed, and finds its TCB level. A module of major version 0 has none of its own.
func moduleLevel(info *collateral.IntelTCB, td TDReport) (collateral.Level, error) {
	svn, version := td.TCBSVN[0], td.TCBSVN[1]
	id := ""
	if version > 0 {
		id = fmt.Sprintf("TDX_%02X", version)
	}
	i := slices.IndexFunc(info.Modules, func(m collateral.Module) bool { return strings.EqualFold(m.ID, id) })
	if i < 0 {
		return collateral.Level{}, fmt.Errorf("%w: the TCB info knows no TDX module of version %d", attest.ErrQuote, version)
	}
	m := info.Modules[i]
	if m.MRSigner != td.MRSIGNERSEAM || !matches(td.SEAMAttributes[:], m.Attributes[:], m.AttributesMask[:]) {
		return collateral.Level{}, fmt.Errorf("%w: TDX module of version %d: signer %x and attributes %x are none of Intel's", attest.ErrQuote, version, td.MRSIGNERSEAM[:8], td.SEAMAttributes)
	}
	if version == 0 {
		return collateral.Level{Status: collateral.UpToDate}, nil
	}
	for _, l := range m.Levels {
		if uint16(svn) >= l.ISVSVN {
			return l, nil
		}
	}
	return collateral.Level{}, fmt.Errorf("%w: TDX module of version %d has SVN %d: Intel does not support so old a module", attest.ErrQuote, version, svn)
}

// enclaveLevel checks that a report is of the quoting enclave of an identity, and finds its TCB level.
func enclaveLevel(id *collateral.IntelIdentity, r SGXReport) (collateral.Level, error) {
	wrong := ""
	switch {
	case r.MRSIGNER != id.MRSigner:
		wrong = fmt.Sprintf("signer %x: expected %x", r.MRSIGNER, id.MRSigner)
	case r.ISVProdID != id.ISVProdID:
		wrong = fmt.Sprintf("product %d: expected %d", r.ISVProdID, id.ISVProdID)
	case !matches(r.Attributes[:], id.Attributes[:], id.AttributesMask[:]):
		wrong = fmt.Sprintf("attributes %x: expected %x under the mask %x", r.Attributes, id.Attributes, id.AttributesMask)
	case !matches(r.MiscSelect[:], id.MiscSelect[:], id.MiscSelectMask[:]):
		wrong = fmt.Sprintf("MISCSELECT %x: expected %x under the mask %x", r.MiscSelect, id.MiscSelect, id.MiscSelectMask)
	}
	if wrong != "" {
		return collateral.Level{}, fmt.Errorf("%w: the quoting enclave is not Intel's %s: %s", attest.ErrQuote, id.ID, wrong)
	}
	for _, l := range id.Levels {
		if r.ISVSVN >= l.ISVSVN {
			return l, nil
		}
	}
	return collateral.Level{}, fmt.Errorf("%w: the quoting enclave has SVN %d: Intel does not support so old a one", attest.ErrQuote, r.ISVSVN)
}

func matches(found, want, mask []byte) bool {
	for i := range want {
		if found[i]&mask[i] != want[i]&mask[i] {
			return false
		}
	}
	return true
}
