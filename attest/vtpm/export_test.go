package vtpm

import (
	"crypto"

	"github.com/google/go-tpm/tpm2"
)

// Parts reads what hostile parts of evidence may hold, whether it is signed or not.
func Parts(key crypto.PublicKey, message, signature, report []byte) {
	_, _ = checkSignature(key, message, signature)
	if a, err := tpm2.Unmarshal[tpm2.TPMSAttest](message); err == nil {
		tpm2.Marshal(a)
		if info, err := a.Attested.Quote(); err == nil {
			_, _ = Quote{PCRs: make([][]byte, 24)}.registers(info.PCRSelect.PCRSelections)
		}
	}
	if h, err := parseHCL(report); err == nil {
		_, _ = h.machine()
	}
	_, _, _ = attestationKey(message)
}
