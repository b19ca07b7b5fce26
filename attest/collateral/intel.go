package collateral

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Status is Intel's judgement of a TCB, in Intel's words.
type Status string

// The statuses of Intel's PCS, version 4 of its interface, from best to worst.
const (
	UpToDate                          Status = "UpToDate"
	SWHardeningNeeded                 Status = "SWHardeningNeeded"
	ConfigurationNeeded               Status = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded Status = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                         Status = "OutOfDate"
	OutOfDateConfigurationNeeded      Status = "OutOfDateConfigurationNeeded"
	Revoked                           Status = "Revoked"
)

// Statuses are all statuses, from best to worst.
var Statuses = []Status{UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded, Revoked}

// IDs of Intel's statements.
const (
	SGX  = "SGX"   // TCB info
	TDX  = "TDX"   // TCB info
	QE   = "QE"    // the quoting enclave of SGX
	TDQE = "TD_QE" // the quoting enclave of TDX
)

// Signed is a statement of Intel as it was signed: ECDSA over P-256 and SHA-256, by Intel's TCB signing certificate.
type Signed struct {
	// Body is what is signed, byte for byte.
	Body []byte
	// Signature is r and s, 32 bytes each, big-endian.
	Signature [64]byte
}

// IntelTCB is Intel's TCB info of version 3 (PCS API, "Get TCB Info"): which TCB levels a family of processors has.
type IntelTCB struct {
	Signed
	ID                    string // SGX or TDX
	IssueDate, NextUpdate time.Time
	FMSPC                 [6]byte
	PCEID                 [2]byte
	Evaluation            uint32 // tcbEvaluationDataNumber: rises with each TCB recovery event
	Modules               []Module
	Levels                []Level // from newest to oldest
}

// Module is a TDX module that TCB info knows. The module without an ID is that of major version 0.
type Module struct {
	ID                         string
	MRSigner                   [48]byte
	Attributes, AttributesMask [8]byte
	Levels                     []Level // by ISVSVN; none in the module of version 0, whose SVN the components hold
}

// Level is one TCB level. Of the components and SVNs those count that the statement has.
type Level struct {
	SGX, TDX   [16]uint8
	HasTDX     bool
	PCESVN     uint16
	ISVSVN     uint16
	Date       time.Time
	Status     Status
	Advisories []string
}

// IntelIdentity is Intel's identity of a quoting enclave, version 2 (PCS API, "Get SGX QE Identity").
type IntelIdentity struct {
	Signed
	ID                         string // QE or TD_QE
	IssueDate, NextUpdate      time.Time
	Evaluation                 uint32
	MiscSelect, MiscSelectMask [4]byte
	Attributes, AttributesMask [16]byte
	MRSigner                   [32]byte
	ISVProdID                  uint16
	Levels                     []Level // by ISVSVN, from newest to oldest
}

// Bounds of Intel's statements, with room: TCB infos of today have about 20 levels and 70 advisories a level.
const (
	maxLevels     = 128
	maxModules    = 32
	maxAdvisories = 512
	maxAdvisory   = 64
)

type levelJSON struct {
	TCB struct {
		SGX []struct {
			SVN uint8 `json:"svn"`
		} `json:"sgxtcbcomponents"`
		TDX []struct {
			SVN uint8 `json:"svn"`
		} `json:"tdxtcbcomponents"`
		PCESVN *uint16 `json:"pcesvn"`
		ISVSVN *uint16 `json:"isvsvn"`
	} `json:"tcb"`
	Date       time.Time `json:"tcbDate"`
	Status     Status    `json:"tcbStatus"`
	Advisories []string  `json:"advisoryIDs"`
}

type moduleJSON struct {
	ID             string      `json:"id"`
	MRSigner       string      `json:"mrsigner"`
	Attributes     string      `json:"attributes"`
	AttributesMask string      `json:"attributesMask"`
	Levels         []levelJSON `json:"tcbLevels"`
}

// readSigned reads the envelope of a statement, and the body into a form of its own.
func readSigned(kind Kind, raw []byte, into any) (s Signed, err error) {
	var envelope struct {
		TCBInfo    json.RawMessage `json:"tcbInfo"`
		QEIdentity json.RawMessage `json:"enclaveIdentity"`
		Signature  string          `json:"signature"`
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return s, err
	}
	if s.Body = envelope.TCBInfo; kind == QEIdentity {
		s.Body = envelope.QEIdentity
	}
	if err := json.Unmarshal(s.Body, into); err != nil {
		return s, err
	}
	return s, digits("signature", s.Signature[:], envelope.Signature)
}

func parseTCBInfo(raw []byte) (*IntelTCB, error) {
	var j struct {
		ID         string       `json:"id"`
		Version    int          `json:"version"`
		IssueDate  time.Time    `json:"issueDate"`
		NextUpdate time.Time    `json:"nextUpdate"`
		FMSPC      string       `json:"fmspc"`
		PCEID      string       `json:"pceId"`
		Type       int          `json:"tcbType"`
		Evaluation uint32       `json:"tcbEvaluationDataNumber"`
		Module     *moduleJSON  `json:"tdxModule"`
		Modules    []moduleJSON `json:"tdxModuleIdentities"`
		Levels     []levelJSON  `json:"tcbLevels"`
	}
	signed, err := readSigned(TCBInfo, raw, &j)
	if err != nil {
		return nil, err
	}
	t := &IntelTCB{Signed: signed, ID: j.ID, IssueDate: j.IssueDate, NextUpdate: j.NextUpdate, Evaluation: j.Evaluation}
	switch {
	case j.Version != 3:
		return nil, fmt.Errorf("version %d: expected 3; version 2 comes from Intel's older interface, fetch it by version 4 of the interface", j.Version)
	case j.ID != SGX && j.ID != TDX:
		return nil, fmt.Errorf("id %q: expected %s or %s", j.ID, SGX, TDX)
	case j.Type != 0:
		return nil, fmt.Errorf("tcbType %d: expected 0", j.Type)
	case len(j.Levels) == 0 || len(j.Levels) > maxLevels:
		return nil, fmt.Errorf("%d TCB levels: expected 1 to %d", len(j.Levels), maxLevels)
	case len(j.Modules) > maxModules:
		return nil, fmt.Errorf("%d TDX modules: expected at most %d", len(j.Modules), maxModules)
	}
	if err := firstError(
		period(j.IssueDate, j.NextUpdate), digits("fmspc", t.FMSPC[:], j.FMSPC), digits("pceId", t.PCEID[:], j.PCEID),
	); err != nil {
		return nil, err
	}
	if j.Module != nil {
		if j.Module.ID != "" || len(j.Module.Levels) > 0 {
			return nil, fmt.Errorf("tdxModule: found an id or TCB levels, expected neither")
		}
		j.Modules = append([]moduleJSON{*j.Module}, j.Modules...)
	}
	for i, m := range j.Modules {
		module := Module{ID: m.ID}
		if m.ID == "" && (i > 0 || j.Module == nil) {
			return nil, fmt.Errorf("tdxModuleIdentities: a module without id")
		}
		err := firstError(digits("mrsigner", module.MRSigner[:], m.MRSigner), digits("attributes", module.Attributes[:], m.Attributes), digits("attributesMask", module.AttributesMask[:], m.AttributesMask))
		if err == nil {
			module.Levels, err = levelsOf(m.Levels, false, false)
		}
		if err != nil {
			return nil, fmt.Errorf("TDX module %q: %w", m.ID, err)
		}
		t.Modules = append(t.Modules, module)
	}
	t.Levels, err = levelsOf(j.Levels, true, j.ID == TDX)
	return t, err
}

func parseQEIdentity(raw []byte) (*IntelIdentity, error) {
	var j struct {
		ID             string      `json:"id"`
		Version        int         `json:"version"`
		IssueDate      time.Time   `json:"issueDate"`
		NextUpdate     time.Time   `json:"nextUpdate"`
		Evaluation     uint32      `json:"tcbEvaluationDataNumber"`
		MiscSelect     string      `json:"miscselect"`
		MiscSelectMask string      `json:"miscselectMask"`
		Attributes     string      `json:"attributes"`
		AttributesMask string      `json:"attributesMask"`
		MRSigner       string      `json:"mrsigner"`
		ISVProdID      uint16      `json:"isvprodid"`
		Levels         []levelJSON `json:"tcbLevels"`
	}
	signed, err := readSigned(QEIdentity, raw, &j)
	if err != nil {
		return nil, err
	}
	q := &IntelIdentity{Signed: signed, ID: j.ID, IssueDate: j.IssueDate, NextUpdate: j.NextUpdate, Evaluation: j.Evaluation, ISVProdID: j.ISVProdID}
	switch {
	case j.Version != 2:
		return nil, fmt.Errorf("version %d: expected 2", j.Version)
	case j.ID != QE && j.ID != TDQE:
		return nil, fmt.Errorf("id %q: expected %s or %s", j.ID, QE, TDQE)
	case len(j.Levels) == 0 || len(j.Levels) > maxLevels:
		return nil, fmt.Errorf("%d TCB levels: expected 1 to %d", len(j.Levels), maxLevels)
	}
	if err := firstError(
		period(j.IssueDate, j.NextUpdate), digits("mrsigner", q.MRSigner[:], j.MRSigner),
		digits("miscselect", q.MiscSelect[:], j.MiscSelect), digits("miscselectMask", q.MiscSelectMask[:], j.MiscSelectMask),
		digits("attributes", q.Attributes[:], j.Attributes), digits("attributesMask", q.AttributesMask[:], j.AttributesMask),
	); err != nil {
		return nil, err
	}
	q.Levels, err = levelsOf(j.Levels, false, false)
	return q, err
}

// levelsOf reads TCB levels: of a platform, with components, or of an enclave or module, with an ISVSVN.
func levelsOf(js []levelJSON, platform, tdx bool) ([]Level, error) {
	if len(js) > maxLevels {
		return nil, fmt.Errorf("%d TCB levels: expected at most %d", len(js), maxLevels)
	}
	var levels []Level
	for i, j := range js {
		l := Level{Date: j.Date, Status: j.Status, Advisories: j.Advisories}
		switch {
		case !slices.Contains(Statuses, j.Status):
			return nil, fmt.Errorf("TCB level %d: status %q: expected one of %v", i, j.Status, Statuses)
		case platform && (len(j.TCB.SGX) != len(l.SGX) || j.TCB.PCESVN == nil):
			return nil, fmt.Errorf("TCB level %d: %d SGX components: expected %d, and pcesvn", i, len(j.TCB.SGX), len(l.SGX))
		case tdx && len(j.TCB.TDX) != len(l.TDX):
			return nil, fmt.Errorf("TCB level %d: %d TDX components: expected %d", i, len(j.TCB.TDX), len(l.TDX))
		case !platform && j.TCB.ISVSVN == nil:
			return nil, fmt.Errorf("TCB level %d: expected isvsvn", i)
		case len(j.Advisories) > maxAdvisories || slices.ContainsFunc(j.Advisories, func(id string) bool { return len(id) == 0 || len(id) > maxAdvisory }):
			return nil, fmt.Errorf("TCB level %d: expected at most %d advisories of at most %d bytes", i, maxAdvisories, maxAdvisory)
		}
		if platform {
			l.PCESVN = *j.TCB.PCESVN
			for k, c := range j.TCB.SGX {
				l.SGX[k] = c.SVN
			}
		} else {
			l.ISVSVN = *j.TCB.ISVSVN
		}
		if l.HasTDX = tdx; tdx {
			for k, c := range j.TCB.TDX {
				l.TDX[k] = c.SVN
			}
		}
		levels = append(levels, l)
	}
	return levels, nil
}

// digits reads hexadecimal digits of a fixed number into b.
func digits(name string, b []byte, s string) error {
	if len(s) != 2*len(b) {
		return fmt.Errorf("%s: %d hexadecimal digits: expected %d", name, len(s), 2*len(b))
	}
	if _, err := hex.Decode(b, []byte(s)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func period(from, until time.Time) error {
	if from.IsZero() || !until.After(from) {
		return fmt.Errorf("valid from %s until %s: expected a period", from.Format(time.RFC3339), until.Format(time.RFC3339))
	}
	return nil
}

func firstError(errs ...error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}
