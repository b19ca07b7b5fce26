package nettest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/wire"
)

// AdminPort is where nodes listen for officers, on every host, if Administered is among Network.Alter.
const AdminPort = ":9000"

// Administered gives a node an administrative listener.
func Administered(c *node.Config) { c.AdminListen = c.Name + AdminPort }

// Officer governs in the name of a member, with a certificate that is good for nothing else.
type Officer struct {
	network  *Network
	member   *Member
	audience coco.Digest // the network, as statements name it
	client   *http.Client
}

// NewOfficer makes the officer of a member, on a host of its own. Service is the service's certificate in DER form. Requests end after the patience
// given. The caller closes idle connections.
func (n *Network) NewOfficer(m *Member, from string, service []byte, patience time.Duration) (*Officer, error) {
	audience, err := table.NetworkID(service)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	org, err := x509.ParseCertificate(m.Cert)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "officer", OrganizationalUnit: []string{coco.GovernanceUnit}},
		NotBefore: n.Now().AddDate(-1, 0, 0), NotAfter: n.Now().AddDate(20, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, org, key.Public(), m.Key)
	if err != nil {
		return nil, err
	}
	dialer := n.World.Host(from).Net
	return &Officer{network: n, member: m, audience: audience, client: &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			name, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return dialer.Dial(ctx, name+AdminPort)
		},
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
			Certificates: []tls.Certificate{{Certificate: [][]byte{der, m.Cert}, PrivateKey: key}},
		},
	}}}, nil
}

// Propose signs a proposal for one change, to be voted on within an hour.
func (o *Officer) Propose(a action.Action) ([]byte, error) {
	b, err := a.Encode()
	if err != nil {
		return nil, err
	}
	now := uint64(o.network.Now().UnixMilli())
	return envelope.SignProposal(context.Background(), o.member, envelope.Proposal{
		Audience: o.audience, Time: now, Expires: now + uint64(time.Hour.Milliseconds()), Nonce: nonce(), Actions: []canon.Raw{b},
	})
}

// Vote signs a ballot.
func (o *Officer) Vote(id coco.Digest, v envelope.Vote) ([]byte, error) {
	return envelope.SignBallot(context.Background(), o.member, envelope.Ballot{
		Audience: o.audience, Time: uint64(o.network.Now().UnixMilli()), Nonce: nonce(), Proposal: id, Vote: v,
	})
}

func nonce() []byte {
	b := make([]byte, envelope.NonceBytes)
	_, _ = rand.Read(b) // never fails
	return b
}

// Submit hands a statement to the node on a host. It counts once, and is refused after that.
func (o *Officer) Submit(host string, statement []byte) (out wire.Outcome, err error) {
	return out, o.ask(http.MethodPost, host, "/gov/submit", statement, &out)
}

// Proposal asks the node on a host for a proposal.
func (o *Officer) Proposal(host string, id coco.Digest) (p wire.Proposal, err error) {
	return p, o.ask(http.MethodGet, host, "/gov/proposals/"+id.String(), nil, &p)
}

// Version asks the node on a host for the digest of a version of the constitution.
func (o *Officer) Version(host string, version uint64) (digest string, err error) {
	resp, _, err := o.do(http.MethodGet, host, fmt.Sprintf("/gov/constitution?version=%d", version), nil)
	if err != nil {
		return "", err
	}
	return resp.Header.Get(wire.HeaderDigest), nil
}

// Close ends the officer's connections.
func (o *Officer) Close() { o.client.CloseIdleConnections() }

func (o *Officer) ask(method, host, path string, body []byte, answer any) error {
	_, b, err := o.do(method, host, path, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, answer)
}

// do sends a request. Its error is what package wire makes of an answer that is none of success.
func (o *Officer) do(method, host, path string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, "https://"+host+AdminPort+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/cose")
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = wire.FromAnswer(resp.StatusCode, b)
	}
	return resp, b, err
}
