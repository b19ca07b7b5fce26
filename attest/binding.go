package attest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
)

// ReportDataSize is the number of bytes that every TEE signs along with its own claims.
const ReportDataSize = 64

// ReportData is what a TEE signs to bind its evidence to a public key (PKIX DER) and a nonce for
// one purpose:
//
//	SHA-256("coco report data" ‖ 0 ‖ context ‖ 0 ‖ len(key) u64be ‖ key ‖ len(nonce) u64be ‖ nonce)
//
// followed by 32 zero bytes. The context is a constant of the program that names the purpose, so
// that evidence made for one protocol means nothing in another; it MUST NOT contain a zero byte.
func ReportData(context string, key, nonce []byte) [ReportDataSize]byte {
	b := make([]byte, 0, 64+len(context)+len(key)+len(nonce))
	b = append(b, "coco report data\x00"...)
	b = append(b, context...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(nonce)))
	b = append(b, nonce...)
	var data [ReportDataSize]byte
	digest := sha256.Sum256(b)
	copy(data[:], digest[:])
	return data
}

// Check decides whether claims are those of allowed code that holds the key and answered the
// nonce. Its error wraps ErrDebug, ErrMeasurement or ErrBinding. Whether an insecure platform
// will do is the constitution's to say, not decided here.
func Check(claims Claims, context string, key, nonce []byte, allowed []coco.Measurement) error {
	if claims.Debug {
		return fmt.Errorf("%w: %s: its host could read its memory; start it without debug mode", ErrDebug, claims.Measurement)
	}
	if !slices.Contains(allowed, claims.Measurement) {
		return fmt.Errorf("%w: it measures %s; the code manifest lists %v", ErrMeasurement, claims.Measurement, allowed)
	}
	want := ReportData(context, key, nonce)
	if subtle.ConstantTimeCompare(claims.ReportData[:], want[:]) != 1 {
		return fmt.Errorf("%w: expected report data %x (%s, this key and nonce), found %x",
			ErrBinding, want[:8], context, claims.ReportData[:8])
	}
	return nil
}
