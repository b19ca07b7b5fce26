// Package channel is how nodes and clients talk: TLS 1.3 that ends inside the enclave.
//
// Every node makes a fresh P-256 key when it starts (Identity) and at first vouches for it with a
// certificate that it signed itself. Once the network trusts the node, the network's service key
// endorses the node's key (Service), and the node shows that certificate instead. Clients need to
// know one certificate, the service's, to recognise every node.
//
// Between nodes (PeerServer, PeerClient) both sides show a certificate and each decides about the
// other: endorsed and still listed, or a newcomer that is about to present its evidence. What the
// evidence, or any other statement, must be bound to is the connection's Binding. The stream then
// carries frames of up to 64 MiB. Clients (ClientServerConfig) get plain TLS with HTTP on top, and
// are asked for a certificate that the gateway maps to an organisation.
//
// The host can cut a connection at any time, so its end says nothing; and the host sets the
// clock, so validity periods are long and a node is shut out by the list of nodes, not by a date.
// When two thirds of one are over (Due), the certificate is renewed, with the same key, name and beginning.
//
// Trust: enclave
package channel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/succession"
)

// InsecureNotice stands in the subject of every certificate of a network on virtual TEEs.
const InsecureNotice = "INSECURE virtual TEE"

// groups are the key agreements offered, the post-quantum hybrid first: what is recorded today
// stays secret from a quantum computer of tomorrow.
var groups = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256}

// ClientServerConfig is the configuration of the listener for clients: TLS 1.3 with HTTP/2 or
// HTTP/1.1, no session tickets, and a client certificate asked for but neither required nor
// checked against any authority. A certificate that is shown is proven to be the client's; what
// it may do is the gateway's decision. The identity's newest certificate is used for every new
// connection, so that an endorsement takes effect at once. issuer returns the service's certificate, and may be nil: where the service
// follows another one, it is shown, too, so that a client which knows the old one learns what to check.
func ClientServerConfig(id *Identity, issuer func() *x509.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       groups,
		ClientAuth:             tls.RequestClientCert,
		NextProtos:             []string{"h2", "http/1.1"},
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert := id.Certificate()
			if issuer != nil {
				if service := issuer(); len(cert.Certificate) == 1 {
					if _, follows := succession.ExtensionOf(service); follows {
						cert.Certificate = [][]byte{cert.Certificate[0], service.Raw}
					}
				}
			}
			return &cert, nil
		},
	}
}

// KeyID returns the node id of a public key in PKIX DER form.
func KeyID(pkix []byte) coco.NodeID { return sha256.Sum256(pkix) }

// parseKey reads a node's public key. Only the one encoding of a P-256 key is accepted: the key's
// bytes name the node.
func parseKey(pkix []byte) (*ecdsa.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(pkix)
	if err != nil {
		return nil, fmt.Errorf("%w: node key: %w", coco.ErrInvalid, err)
	}
	p256, ok := key.(*ecdsa.PublicKey)
	if !ok || p256.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: node key: expected ECDSA on P-256, found %T", coco.ErrInvalid, key)
	}
	again, err := x509.MarshalPKIXPublicKey(p256)
	if err != nil || string(again) != string(pkix) {
		return nil, fmt.Errorf("%w: node key: expected the canonical DER form", coco.ErrInvalid)
	}
	return p256, nil
}
