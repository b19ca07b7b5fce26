package collateral

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
)

// Parse reads a file as vendors and tools make them, whatever its name:
//
//   - PEM with certificates and CRLs
//   - a certificate or a CRL in DER, or in DER in hexadecimal digits (as Intel's service answers)
//   - Intel's TCB info or QE identity in JSON: {"tcbInfo":…,"signature":…}, {"enclaveIdentity":…,"signature":…}
//   - all collateral of a quote in one JSON object, with fields tcb_info, tcb_info_signature, qe_identity, pck_crl and so on
//   - a COSE_Sign1 (tag 18)
//   - what Set.Encode wrote
//
// The error wraps coco.ErrInvalid.
func Parse(file []byte) ([]Item, error) {
	if len(file) > MaxSet {
		return nil, fmt.Errorf("%w: collateral: file of %d bytes: expected at most %d", coco.ErrInvalid, len(file), MaxSet)
	}
	text := bytes.TrimSpace(file)
	switch {
	case len(text) == 0:
		return nil, fmt.Errorf("%w: collateral: the file is empty", coco.ErrInvalid)
	case text[0] == '{':
		return parseJSON(text)
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return parsePEM(text)
	case file[0] == 0x30 && len(file) > 1 && file[1] >= 0x80:
		return parseDER(file)
	case file[0] == 0xd2:
		return one(parse(Endorsement, file))
	case file[0]&0xe0 == 0x80:
		s, err := Decode(file)
		return s.Items(), err
	}
	if der, err := hex.DecodeString(string(text)); err == nil {
		return parseDER(der)
	}
	return nil, fmt.Errorf("%w: collateral: expected PEM, DER, JSON, COSE_Sign1 or hexadecimal digits, found a file that begins with %q", coco.ErrInvalid, text[:min(16, len(text))])
}

func one(it Item, err error) ([]Item, error) {
	if err != nil {
		return nil, err
	}
	return []Item{it}, nil
}

// parseDER reads a certificate or a CRL. Both are a sequence of a sequence, which begins with a version that differs in form.
func parseDER(der []byte) ([]Item, error) {
	c, err := parse(Certificate, der)
	if err == nil {
		return one(c, nil)
	}
	l, listErr := parse(CRL, der)
	if listErr == nil {
		return one(l, nil)
	}
	return nil, errors.Join(err, listErr)
}

func parsePEM(text []byte) ([]Item, error) {
	var items []Item
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		var kind Kind
		switch block.Type {
		case "CERTIFICATE":
			kind = Certificate
		case "X509 CRL":
			kind = CRL
		default:
			return nil, fmt.Errorf("%w: collateral: PEM block %q: expected CERTIFICATE or X509 CRL", coco.ErrInvalid, block.Type)
		}
		it, err := parse(kind, block.Bytes)
		if err != nil {
			return nil, err
		}
		if items = append(items, it); len(items) > MaxItems {
			return nil, fmt.Errorf("%w: collateral: more than %d PEM blocks", coco.ErrInvalid, MaxItems)
		}
		text = rest
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("%w: collateral: no whole PEM block", coco.ErrInvalid)
	}
	return items, nil
}

// combined is the form in which tools for quotes keep all collateral of one quote. Bodies are text in text, so that their bytes
// stay as they were signed.
type combined struct {
	PCKCRLIssuerChain     string `json:"pck_crl_issuer_chain"`
	RootCACRL             string `json:"root_ca_crl"`
	PCKCRL                string `json:"pck_crl"`
	TCBInfoIssuerChain    string `json:"tcb_info_issuer_chain"`
	TCBInfo               string `json:"tcb_info"`
	TCBInfoSignature      string `json:"tcb_info_signature"`
	QEIdentityIssuerChain string `json:"qe_identity_issuer_chain"`
	QEIdentity            string `json:"qe_identity"`
	QEIdentitySignature   string `json:"qe_identity_signature"`
}

func parseJSON(text []byte) ([]Item, error) {
	var outline map[string]json.RawMessage
	if err := json.Unmarshal(text, &outline); err != nil {
		return nil, fmt.Errorf("%w: collateral: %w", coco.ErrInvalid, err)
	}
	has := func(name string) bool { _, ok := outline[name]; return ok }
	switch {
	case has("tcbInfo"):
		return one(parse(TCBInfo, text))
	case has("enclaveIdentity"):
		return one(parse(QEIdentity, text))
	case has("tcb_info") && has("qe_identity"):
	default:
		return nil, fmt.Errorf("%w: collateral: a JSON object with none of the fields tcbInfo, enclaveIdentity and tcb_info", coco.ErrInvalid)
	}
	var c combined
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%w: collateral: %w", coco.ErrInvalid, err)
	}
	var items []Item
	for _, f := range []struct{ name, value string }{
		{"pck_crl_issuer_chain", c.PCKCRLIssuerChain},
		{"root_ca_crl", c.RootCACRL},
		{"pck_crl", c.PCKCRL},
		{"tcb_info_issuer_chain", c.TCBInfoIssuerChain},
		{"tcb_info", envelope("tcbInfo", c.TCBInfo, c.TCBInfoSignature)},
		{"qe_identity_issuer_chain", c.QEIdentityIssuerChain},
		{"qe_identity", envelope("enclaveIdentity", c.QEIdentity, c.QEIdentitySignature)},
	} {
		if f.value == "" {
			continue
		}
		if nested(f.value) {
			return nil, fmt.Errorf("%w: collateral: %s: found another collection", coco.ErrInvalid, f.name)
		}
		its, err := Parse([]byte(f.value))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		items = append(items, its...)
	}
	return items, nil
}

// nested is true for a text that would be read as a collection again, however deep.
func nested(text string) bool {
	b := bytes.TrimSpace([]byte(text))
	return bytes.HasPrefix(b, []byte("{")) && !slices.ContainsFunc([]string{`{"tcbInfo":`, `{"enclaveIdentity":`}, func(p string) bool { return bytes.HasPrefix(b, []byte(p)) })
}

func envelope(name, body, signature string) string {
	if body == "" {
		return ""
	}
	return `{"` + name + `":` + body + `,"signature":"` + signature + `"}`
}
