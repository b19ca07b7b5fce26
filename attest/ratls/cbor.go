package ratls

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
)

const (
	tag      = canon.Major(6 << 5)
	tagIntel = 60000 // IANA, CBOR Tags: Intel TEE quote
	// Tags of a CMW are numbers of CoAP content formats, moved (RFC 9277, appendix B).
	tagFirst, tagLast = 1668546817, 1668612095
	evidenceBit       = 4 // a CMW's indicator: the value is evidence
)

var errForm = errors.New("not of the form that the extension has")

// readTagged reads the extension of CCC's form: 60000([quote, claims]). Other CBOR under its OID is a CMW, as TCG's DICE has it.
func readTagged(b []byte) ([]Message, error) {
	n, rest, err := canon.CutHead(b, tag)
	if err != nil || n != tagIntel {
		return cmw(b, "", 0)
	}
	m := Message{Form: CCC}
	if n, rest, err = canon.CutHead(rest, canon.Array); err != nil || n != 2 {
		return nil, fmt.Errorf("%w: tag %d: expected an array of quote and claims", errForm, tagIntel)
	}
	if m.Value, rest, err = canon.CutBytes(rest); err == nil {
		m.Claims, rest, err = canon.CutBytes(rest)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: quote and claims: %w", errForm, err)
	case len(rest) > 0:
		return nil, fmt.Errorf("%w: bytes follow the evidence", errForm)
	}
	return []Message{m}, m.readClaims()
}

// readClaims reads a map of byte strings under text. Claims that are not known are ignored, as the form wants it.
func (m *Message) readClaims() error {
	if len(m.Claims) > maxClaims {
		return fmt.Errorf("claims of %d bytes: expected at most %d", len(m.Claims), maxClaims)
	}
	n, rest, err := canon.CutHead(m.Claims, canon.Map)
	if err != nil || n > maxMessages {
		return fmt.Errorf("%w: claims: expected a map of at most %d", errForm, maxMessages)
	}
	var name string
	var value []byte
	seen := make(map[string]bool)
	for range n {
		if name, rest, err = cutText(rest); err == nil {
			value, rest, err = canon.CutBytes(rest)
		}
		if err != nil || seen[name] {
			return fmt.Errorf("%w: claims: expected byte strings under names, each once", errForm)
		}
		seen[name] = true
		switch name {
		case "pubkey-hash":
			err = m.readKeyHash(value)
		case "nonce":
			m.Nonce = value
		}
		if err != nil {
			return err
		}
	}
	if len(rest) > 0 || m.KeyHash == nil {
		return fmt.Errorf("%w: claims: expected pubkey-hash, and nothing after the map", errForm)
	}
	return nil
}

func (m *Message) readKeyHash(b []byte) error {
	n, rest, err := canon.CutHead(b, canon.Array)
	if err == nil && n == 2 {
		if m.Algorithm, rest, err = canon.CutHead(rest, canon.Uint); err == nil {
			m.KeyHash, rest, err = canon.CutBytes(rest)
		}
	}
	if err != nil || n != 2 || len(rest) > 0 {
		return fmt.Errorf("%w: pubkey-hash: expected an array of algorithm and hash", errForm)
	}
	return nil
}

func cutText(b []byte) (string, []byte, error) {
	s, rest, err := canon.CutText(b)
	return string(s), rest, err
}

// readCMW reads the extension of IETF's form: a CHOICE of text in JSON and bytes in CBOR.
func readCMW(der []byte) ([]Message, error) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	switch {
	case err != nil || len(rest) > 0 || v.Class != asn1.ClassUniversal || v.IsCompound:
	case v.Tag == asn1.TagOctetString:
		return cmw(v.Bytes, "", 0)
	case v.Tag == asn1.TagUTF8String:
		return cmwJSON(v.Bytes, "", 0)
	}
	return nil, fmt.Errorf("%w: expected a UTF8String or an OCTET STRING", errForm)
}

// cmw reads a CMW in CBOR and nothing after it.
func cmw(b []byte, label string, depth int) ([]Message, error) {
	ms, rest, err := cutCMW(b, label, depth)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: bytes follow the wrapper", errForm)
	}
	return ms, err
}

func cutCMW(b []byte, label string, depth int) ([]Message, []byte, error) {
	if len(b) == 0 || depth > maxDepth {
		return nil, nil, fmt.Errorf("%w: expected a wrapper, at most %d deep", errForm, maxDepth)
	}
	m := Message{Form: CMW, Label: label}
	switch canon.MajorOf(b[0]) {
	case canon.Array:
		return cutRecord(m, b)
	case canon.Map:
		return cutCollection(b, label, depth)
	case tag:
		n, rest, err := canon.CutHead(b, tag)
		if err == nil && (n < tagFirst || n > tagLast) {
			err = fmt.Errorf("%w: tag %d is no CoAP content format's", errForm, n)
		}
		if err == nil {
			m.Type = strconv.FormatUint(contentFormat(n), 10)
			m.Value, rest, err = canon.CutBytes(rest)
		}
		return []Message{m}, rest, err
	default:
		return nil, nil, fmt.Errorf("%w: expected a record, a tag or a collection", errForm)
	}
}

// contentFormat inverts TN(ct) = 0x63740101 + (ct / 255) * 256 + ct % 255 (RFC 9277, appendix B).
func contentFormat(n uint64) uint64 {
	n -= tagFirst
	return n/256*255 + n%256
}

// cutRecord reads [type, value] or [type, value, indicator].
func cutRecord(m Message, b []byte) ([]Message, []byte, error) {
	n, rest, err := canon.CutHead(b, canon.Array)
	if err != nil || n != 2 && n != 3 || len(rest) == 0 {
		return nil, nil, fmt.Errorf("%w: record: expected type, value and perhaps an indicator", errForm)
	}
	if canon.MajorOf(rest[0]) == canon.Uint {
		var format uint64
		format, rest, err = canon.CutHead(rest, canon.Uint)
		m.Type = strconv.FormatUint(format, 10)
	} else {
		m.Type, rest, err = cutText(rest)
	}
	if err == nil {
		m.Value, rest, err = canon.CutBytes(rest)
	}
	indicator := uint64(evidenceBit)
	if err == nil && n == 3 {
		indicator, rest, err = canon.CutHead(rest, canon.Uint)
	}
	if err != nil || len(m.Type) == 0 || len(m.Type) > maxType {
		return nil, nil, fmt.Errorf("%w: record: expected type, value and perhaps an indicator", errForm)
	}
	if indicator&evidenceBit == 0 {
		return nil, rest, nil // reference values, endorsements, results or policies
	}
	return []Message{m}, rest, nil
}

// cutCollection reads a map of wrappers under labels. A type of the whole collection is passed over.
func cutCollection(b []byte, label string, depth int) ([]Message, []byte, error) {
	n, rest, err := canon.CutHead(b, canon.Map)
	if err != nil || n == 0 || n > maxMessages {
		return nil, nil, fmt.Errorf("%w: collection: expected 1 to %d wrappers", errForm, maxMessages)
	}
	var all []Message
	for range n {
		var name string
		if len(rest) > 0 && canon.MajorOf(rest[0]) == canon.Uint {
			var number uint64
			number, rest, err = canon.CutHead(rest, canon.Uint)
			name = strconv.FormatUint(number, 10)
		} else {
			name, rest, err = cutText(rest)
		}
		if err != nil || len(name) > maxType {
			return nil, nil, fmt.Errorf("%w: collection: expected short labels", errForm)
		}
		if name == "__cmwc_t" {
			if _, rest, err = cutText(rest); err != nil {
				return nil, nil, fmt.Errorf("%w: collection: expected its type as text", errForm)
			}
			continue
		}
		var ms []Message
		if ms, rest, err = cutCMW(rest, label+"/"+name, depth+1); err != nil {
			return nil, nil, err
		}
		if all = append(all, ms...); len(all) > maxMessages {
			return nil, nil, fmt.Errorf("%w: more than %d wrappers", errForm, maxMessages)
		}
	}
	return all, rest, nil
}

// cmwJSON reads a CMW in JSON: ["type", "value in base64url", indicator], or an object of wrappers.
func cmwJSON(b []byte, label string, depth int) ([]Message, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: expected a wrapper, at most %d deep", errForm, maxDepth)
	}
	var record []json.RawMessage
	if err := json.Unmarshal(b, &record); err != nil {
		return collectionJSON(b, label, depth)
	}
	m := Message{Form: CMW, Label: label}
	var value string
	indicator := uint32(evidenceBit)
	err := errForm
	if len(record) == 2 || len(record) == 3 {
		err = errors.Join(json.Unmarshal(record[0], &m.Type), json.Unmarshal(record[1], &value))
	}
	if err == nil && len(record) == 3 {
		err = json.Unmarshal(record[2], &indicator)
	}
	if err == nil {
		m.Value, err = base64.RawURLEncoding.Strict().DecodeString(value)
	}
	switch {
	case err != nil || len(m.Type) == 0 || len(m.Type) > maxType:
		return nil, fmt.Errorf("%w: record: expected type, value in base64url and perhaps an indicator", errForm)
	case indicator&evidenceBit == 0:
		return nil, nil
	}
	return []Message{m}, nil
}

func collectionJSON(b []byte, label string, depth int) ([]Message, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil || len(members) == 0 || len(members) > maxMessages {
		return nil, fmt.Errorf("%w: expected a record, or an object of 1 to %d wrappers", errForm, maxMessages)
	}
	var all []Message
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "__cmwc_t" {
			continue
		}
		ms, err := cmwJSON(members[name], label+"/"+name, depth+1)
		if err != nil {
			return nil, err
		}
		if all = append(all, ms...); len(all) > maxMessages {
			return nil, fmt.Errorf("%w: more than %d wrappers", errForm, maxMessages)
		}
	}
	return all, nil
}

// Claims returns CCC's claims about a public key (PKIX DER), and a nonce unless it is nil, and the report data that a quote of SGX or TDX must carry for them.
func Claims(key, nonce []byte) (claims []byte, reportData [attest.ReportDataSize]byte) {
	digest := sha256.Sum256(key)
	entry := canon.AppendHead(nil, canon.Array, 2)
	entry = canon.AppendBytes(canon.AppendHead(entry, canon.Uint, 1), digest[:])
	n := uint64(1)
	if nonce != nil {
		n = 2
	}
	claims = canon.AppendHead(nil, canon.Map, n)
	if nonce != nil {
		claims = canon.AppendBytes(canon.AppendText(claims, "nonce"), nonce)
	}
	claims = canon.AppendBytes(canon.AppendText(claims, "pubkey-hash"), entry)
	hash := sha256.Sum256(claims)
	copy(reportData[:], hash[:])
	return claims, reportData
}

// TaggedExtension makes the extension of CCC's form of a quote of SGX or TDX, without collateral, over Claims.
func TaggedExtension(quote, claims []byte) pkix.Extension {
	b := canon.AppendHead(nil, tag, tagIntel)
	b = canon.AppendHead(b, canon.Array, 2)
	return pkix.Extension{Id: OIDTagged, Value: canon.AppendBytes(canon.AppendBytes(b, quote), claims)}
}

// CMWExtension makes the extension of IETF's form of evidence over attest.ReportData(Purpose, key, nil). The error is that of attest.Evidence.Encode.
func CMWExtension(ev attest.Evidence) (pkix.Extension, error) {
	value, err := ev.Encode()
	if err != nil {
		return pkix.Extension{}, err
	}
	b := canon.AppendText(canon.AppendHead(nil, canon.Array, 3), MediaType)
	b = canon.AppendHead(canon.AppendBytes(b, value), canon.Uint, evidenceBit)
	der, err := asn1.Marshal(b)
	return pkix.Extension{Id: OIDCMW, Value: der}, err
}
