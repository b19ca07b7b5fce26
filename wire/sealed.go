package wire

// SealedKey is a node's answer to GET /node/sealed-key: the network's key for sealed requests, and what shows that it is.
type SealedKey struct {
	Announcement []byte `json:"announcement"` // deterministic CBOR, see package sealed; base64
	// Certificates are the node's, which the network's service has endorsed, and the service's, in DER; base64.
	Certificates [][]byte `json:"certificates"`
	Platform     string   `json:"platform"`
	// Quote is evidence over attest.ReportData(sealed.Context, the node's public key, sealed.EvidenceNonce(announcement, nonce)); base64.
	Quote []byte `json:"quote"`
	Nonce string `json:"nonce"` // hexadecimal
}
