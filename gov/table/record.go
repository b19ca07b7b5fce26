package table

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
)

// NodeContext begins what the owner of a node signs.
const NodeContext = "coco node"

// Bounds of a node's record.
const (
	MinNonce        = 16
	MaxNonce        = 64
	maxAddress      = 255
	MaxNodeKey      = 256
	MaxSignature    = 128
	MaxRecord       = 512 << 10
	MaxUnixMilli    = 1 << 52
	MaxServiceBytes = 64 << 10
)

// NodeState says whether a node belongs to the network.
type NodeState string

// The states of a node. A pending one has asked to join and waits for a vote. A retired node never
// comes back: its key lived in the enclave only.
const (
	Pending NodeState = "pending"
	Trusted NodeState = "trusted"
	Retired NodeState = "retired"
)

// NodeRecord is a row of the node list: the tuple that its owner signed, the evidence that the
// node's key lives in a TEE that runs known code, and what the network made of it.
type NodeRecord struct {
	ID            coco.NodeID  `cbor:"1,keyasint"`
	Owner         coco.ActorID `cbor:"2,keyasint"`
	Address       string       `cbor:"3,keyasint"` // host:port for other nodes
	ClientAddress string       `cbor:"4,keyasint"` // host:port for clients; may be empty
	Key           []byte       `cbor:"5,keyasint"` // PKIX DER, ECDSA P-256
	// OwnerCertificates begins with the certificate whose key made OwnerSignature and leads to the
	// organisation's, which may be left out unless it signed itself.
	OwnerCertificates [][]byte `cbor:"6,keyasint"` // DER
	OwnerSignature    []byte   `cbor:"7,keyasint"` // see NodeTuple

	// Evidence is bound to EvidenceContext, Key and Nonce.
	Evidence    attest.Evidence  `cbor:"8,keyasint"`
	Nonce       []byte           `cbor:"9,keyasint"` // 16 to 64 bytes, the verifier's choice
	Measurement coco.Measurement `cbor:"10,keyasint"`

	// Certificate is the node's, issued by the service over Key, in DER form.
	Certificate []byte    `cbor:"11,keyasint"`
	State       NodeState `cbor:"12,keyasint"`
	// Since is the seqno of the transaction that gave the node its state.
	Since uint64 `cbor:"13,keyasint"`
	// Time is the batch's, in milliseconds since 1970, when the node was admitted. The owner's
	// certificates are valid then.
	Time uint64 `cbor:"14,keyasint"`
}

// NodeTuple returns the bytes that the owner of a node signs:
//
//	"coco node" ‖ 0x00 ‖ CBOR [owner (bytes), address (text), client address (text), node key (bytes)]
//
// The signature is ECDSA P-256 over their SHA-256, in ASN.1 form.
func NodeTuple(owner coco.ActorID, address, clientAddress string, key []byte) []byte {
	tuple, err := canon.Marshal(struct {
		_             struct{} `cbor:",toarray"`
		Owner         coco.ActorID
		Address       string
		ClientAddress string
		Key           []byte
	}{Owner: owner, Address: address, ClientAddress: clientAddress, Key: key})
	if err != nil {
		panic(err) // strings and bytes always encode
	}
	return append(append([]byte(NodeContext), 0), tuple...)
}

// PublicKey returns the node's public key.
func (rec *NodeRecord) PublicKey() (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(rec.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: the node key is not in PKIX form: %w", coco.ErrInvalid, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: the node key is %T, expected ECDSA on P-256", coco.ErrInvalid, parsed)
	}
	return key, nil
}

// CheckAddress checks that a text is host:port, with a host name or address in ASCII and a port of 1 to 65535.
func CheckAddress(s string) error {
	if len(s) > maxAddress {
		return fmt.Errorf("expected at most %d bytes, found %d", maxAddress, len(s))
	}
	host, port, ok := splitAddress(s)
	if !ok || host == "" {
		return fmt.Errorf("expected host:port")
	}
	for _, r := range []byte(host) {
		if r <= ' ' || r >= 0x7f {
			return fmt.Errorf("expected a host name or address in ASCII")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("expected a port of 1 to 65535")
	}
	return nil
}

// splitAddress splits host:port, [host]:port or [host%zone]:port, as net.SplitHostPort does: what is an address is part of
// the rules, and does not change with a library.
func splitAddress(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	host, port = s[:i], s[i+1:]
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(s, ']')
		if end != i-1 {
			return "", "", false
		}
		host = host[1:end]
	} else if strings.Contains(host, ":") {
		return "", "", false
	}
	ok = !strings.ContainsAny(host, "[]") && !strings.ContainsAny(port, "[]")
	return host, port, ok
}
