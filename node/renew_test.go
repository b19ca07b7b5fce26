package node_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// leap is a clock that years pass by on at once, for the time of day and the time that has passed. What waits
// on it does not notice.
type leap struct {
	host.Clock
	by *atomic.Int64 // nanoseconds
}

func (c leap) Now() time.Time         { return c.Clock.Now().Add(time.Duration(c.by.Load())) }
func (c leap) Elapsed() time.Duration { return c.Clock.Elapsed() + time.Duration(c.by.Load()) }

// leaping makes the clocks of a network that is not open yet leap together.
func (n *network) leaping() (pass func(time.Duration)) {
	by := &atomic.Int64{}
	n.Alter = func(c *node.Config) { c.Host.Clock = leap{c.Host.Clock, by} }
	return func(d time.Duration) { by.Add(int64(d)) }
}

// shown is the certificate that a node shows on a new connection.
func (n *network) shown(i int) *x509.Certificate {
	n.t.Helper()
	raw, err := n.World.Host("client").Net.Dial(n.t.Context(), hostName(i)+clientPort)
	if err != nil {
		n.t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	defer c.Close()
	if err := c.Handshake(); err != nil {
		n.t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0]
}

func (n *network) receipt(i int, id string) *receipt.Receipt {
	n.t.Helper()
	client := n.client(i, i)
	text, err := get(client, "/node/receipt/"+id)
	for range 100 { // an epoch that has expired on the node is opened by the members' nodes first
		if err == nil || !strings.HasPrefix(err.Error(), "202 ") {
			break
		}
		time.Sleep(100 * time.Millisecond)
		text, err = get(client, "/node/receipt/"+id)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	r, err := receipt.Parse(wire.MediaJSON, []byte(text))
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

func (n *network) serviceNow(i int) *x509.Certificate {
	n.t.Helper()
	text, err := get(n.client(i, i), "/node/service")
	if err != nil {
		n.t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		n.t.Fatal(err)
	}
	return cert
}

const year = 365 * 24 * time.Hour

func TestCertificatesRenewThemselvesWithoutAnInterruption(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		pass := n.leaping()
		n.open()
		time.Sleep(5 * time.Second)
		began := n.World.Host(hostName(0)).Clock.Now()
		kept := n.client(1, 1) // its connection lives on
		id, err := put(kept, "first", "value")
		if err != nil {
			t.Fatal(err)
		}
		pinned := n.serviceNow(0)
		old := n.receipt(1, id.String())
		first := [3]*x509.Certificate{n.shown(0), n.shown(1), n.shown(2)}

		var now time.Duration
		for now < 8*year {
			pass(year / 4)
			now += year / 4
			for k := range 14 { // nodes look at the dates every minute
				if _, err := put(kept, fmt.Sprintf("at-%d-%d", now, k), "value"); err != nil {
					t.Fatalf("after %v: %v", now, err)
				}
				time.Sleep(5 * time.Second)
			}
			at := began.Add(now)
			for i := range 3 {
				cert := n.shown(i)
				if err := channel.CheckEndorsed(cert, pinned, at); err != nil {
					t.Fatalf("after %v node %d: %v", now, i, err)
				}
				if channel.Due(cert, at) {
					t.Fatalf("after %v node %d shows a certificate that ends on %s and is due", now, i, cert.NotAfter)
				}
				if !cert.NotBefore.Equal(first[i].NotBefore) || string(cert.RawSubjectPublicKeyInfo) != string(first[i].RawSubjectPublicKeyInfo) {
					t.Fatalf("after %v node %d shows a certificate of another key or time", now, i)
				}
			}
		}

		service := n.serviceNow(2)
		if string(service.RawSubjectPublicKeyInfo) != string(pinned.RawSubjectPublicKeyInfo) {
			t.Fatal("the service has another key")
		}
		if !service.NotAfter.After(pinned.NotAfter) {
			t.Errorf("after %v the service's certificate still ends on %s", now, service.NotAfter)
		}
		n.checkReceipts(old, id.String(), began, pinned, service)
		n.checkPinned(pinned, began.Add(now))
		n.checkAudit(pinned, service)

		// A node that comes now is given the service as it is, and a recovery takes it from the ledger.
		n.Crash(2)
		n.World.Restart(hostName(2))
		n.waitReady(n.Start(2, n.Join(0, 1)))
		if got := n.serviceNow(2); !got.Equal(service) {
			t.Errorf("a node that joined shows the service's certificate that ends on %s, expected %s", got.NotAfter, service.NotAfter)
		}
		for i := range 3 {
			n.Crash(i)
			n.World.Restart(hostName(i))
		}
		best := n.longest()
		n.waitReady(n.Start(best, n.Recover))
		if got := n.serviceNow(best); !got.Equal(service) {
			t.Errorf("after a recovery the service's certificate ends on %s, expected %s", got.NotAfter, service.NotAfter)
		}
	})
}

// checkReceipts verifies an old and a new receipt of one old transaction, under both certificates of
// the service, at its own time.
func (n *network) checkReceipts(old *receipt.Receipt, id string, at time.Time, services ...*x509.Certificate) {
	n.t.Helper()
	for name, r := range map[string]*receipt.Receipt{"made then": old, "made now": n.receipt(2, id)} {
		for _, service := range services {
			for _, opts := range []receipt.Options{{}, {At: at}} {
				if err := r.Verify(service, opts); err != nil {
					n.t.Errorf("a receipt %s, at %v, under the certificate that ends on %s: %v", name, opts.At, service.NotAfter, err)
				}
			}
		}
	}
}

// checkPinned connects as a client that has known the service from the beginning.
func (n *network) checkPinned(service *x509.Certificate, now time.Time) {
	n.t.Helper()
	m, dial := n.Members[0], n.World.Host("client").Net
	c, err := client.New(client.Config{
		Addr: hostName(0) + clientPort, Dial: dial.Dial, Now: func() time.Time { return now },
		Certificate: &tls.Certificate{Certificate: [][]byte{m.Cert}, PrivateKey: m.Key},
		Policy:      client.Policy{Code: n.Constitution.Measurements(), Verifiers: attest.Verifiers{virtual.Verifier{}}, Service: service},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Status(n.t.Context())
	if err != nil {
		n.t.Fatalf("a client that pinned the old service certificate: %v", err)
	}
	if len(s.Certificates) != 3 || !s.Certificates[0].NotAfter.After(now) {
		n.t.Errorf("status says of certificates: %v", s.Certificates)
	}
}

// checkAudit audits a ledger, under both certificates of the service.
func (n *network) checkAudit(services ...*x509.Certificate) {
	n.t.Helper()
	for _, service := range services {
		a := audit.New(audit.Config{Service: service.Raw, Verifiers: attest.Verifiers{virtual.Verifier{}}})
		if _, err := ledger.Audit(n.t.Context(), n.World.Host(hostName(0)).Disk, node.Dir, a, nil); err != nil {
			n.t.Fatalf("audit: %v", err)
		}
		if got, err := x509.ParseCertificate(a.ServiceCertificate()); err != nil || !got.Equal(services[len(services)-1]) {
			n.t.Errorf("the audit ends with another service certificate: %v", err)
		}
	}
}

// TestNodesWithoutAQuorumKeepAcceptingEachOther: what cannot be committed must not end in certificates that
// nobody can renew.
func TestNodesWithoutAQuorumKeepAcceptingEachOther(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		pass := n.leaping()
		n.open()
		time.Sleep(5 * time.Second)
		all := []string{hostName(0), hostName(1), hostName(2)}
		for _, name := range all {
			n.World.Isolate(name)
		}
		time.Sleep(10 * time.Second)
		for range 3 {
			pass(year / 2)
			time.Sleep(3 * time.Minute)
		}
		for _, name := range all {
			n.World.Rejoin(name)
		}
		time.Sleep(3 * time.Minute)
		if _, err := put(n.client(0, 0), "after", "value"); err != nil {
			t.Fatalf("the network does not come back: %v", err)
		}
		at := n.World.Host(hostName(0)).Clock.Now().Add(3 * year / 2)
		for i := range 3 {
			if cert := n.shown(i); channel.Due(cert, at) {
				t.Errorf("node %d shows a certificate that ends on %s: the network did not renew it", i, cert.NotAfter)
			}
		}
	})
}
