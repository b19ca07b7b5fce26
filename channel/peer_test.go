package channel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/host/sim"
)

// everyNet runs a test over the simulated network, in virtual time, and over real loopback.
func everyNet(t *testing.T, test func(t *testing.T, server, client host.Net)) {
	t.Run("sim", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(1)
			test(t, w.Host("server").Net, w.Host("client").Net)
		})
	})
	t.Run("loopback", func(t *testing.T) { test(t, local.Net{}, local.Net{}) })
}

// streams returns the two ends of a connection.
func streams(t *testing.T, server, client host.Net) (s, c net.Conn) {
	t.Helper()
	l, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	if c, err = client.Dial(t.Context(), l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if s = <-accepted; s == nil {
		t.FailNow()
	}
	t.Cleanup(func() { _, _ = s.Close(), c.Close() })
	return s, c
}

func identity(t *testing.T) *Identity {
	t.Helper()
	id, err := NewIdentity(true)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func anyone(PeerCert) error { return nil }

type verifier = func(PeerCert) error

type outcome struct {
	conn *Conn
	err  error
}

// shake runs a handshake with the verdicts given and returns both sides' outcomes.
func shake(t *testing.T, server, client host.Net, sid, cid *Identity, sv, cv verifier) (s, c outcome) {
	t.Helper()
	sc, cc := streams(t, server, client)
	done := make(chan outcome)
	go func() {
		conn, err := PeerServer(t.Context(), sc, sid, sv, Options{})
		done <- outcome{conn, err}
	}()
	c.conn, c.err = PeerClient(t.Context(), cc, cid, cv, Options{})
	return <-done, c
}

// pair returns two connected peers.
func pair(t *testing.T, server, client host.Net) (s, c *Conn) {
	t.Helper()
	so, co := shake(t, server, client, identity(t), identity(t), anyone, anyone)
	if err := errors.Join(so.err, co.err); err != nil {
		t.Fatal(err)
	}
	return so.conn, co.conn
}

func TestBothSidesKnowEachOther(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		sid, cid := identity(t), identity(t)
		var seenByServer, seenByClient PeerCert
		s, c := shake(t, server, client, sid, cid,
			func(p PeerCert) error { seenByServer = p; return nil },
			func(p PeerCert) error { seenByClient = p; return nil })
		if err := errors.Join(s.err, c.err); err != nil {
			t.Fatal(err)
		}
		for _, side := range []struct {
			seen PeerCert
			conn *Conn
			want *Identity
		}{{seenByServer, s.conn, cid}, {seenByClient, c.conn, sid}} {
			peer := side.conn.Peer()
			if peer.ID != side.want.ID() || !bytes.Equal(peer.Key, side.want.PublicKey()) || !peer.SelfSigned() || side.seen.ID != peer.ID {
				t.Errorf("expected node %v, verified %v, connected to %v", side.want, side.seen.ID, peer.ID)
			}
		}
		if b := s.conn.Binding(); len(b) != BindingSize || !bytes.Equal(b, c.conn.Binding()) {
			t.Error("the two sides have different bindings")
		}
		s2, _ := pair(t, server, client)
		if bytes.Equal(s2.Binding(), s.conn.Binding()) {
			t.Error("two connections have one binding")
		}
	})
}

func TestRefusalIsToldToBothSides(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		stranger := func(PeerCert) error { return errors.New("node is not listed") }
		for name, v := range map[string][2]verifier{"by the server": {stranger, anyone}, "by the client": {anyone, stranger}} {
			s, c := shake(t, server, client, identity(t), identity(t), v[0], v[1])
			for side, o := range map[string]outcome{"server": s, "client": c} {
				if o.conn != nil || !errors.Is(o.err, ErrRefused) || !errors.Is(o.err, coco.ErrDenied) || !strings.Contains(o.err.Error(), "node is not listed") {
					t.Errorf("%s: the %s's error is %v", name, side, o.err)
				}
			}
		}
	})
}

func TestStolenCertificateIsRefused(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		// The thief shows a certificate of a key that it does not hold.
		victim, thief := identity(t), identity(t)
		cert := victim.Certificate()
		cert.PrivateKey = thief.key
		thief.cert.Store(&cert)
		verified := func(p PeerCert) error {
			t.Errorf("asked about %v, who has proven nothing", p.ID)
			return nil
		}
		if s, c := shake(t, server, client, identity(t), thief, verified, anyone); s.err == nil || c.err == nil {
			t.Errorf("as client: %v, %v", s.err, c.err)
		}
		if s, c := shake(t, server, client, thief, identity(t), anyone, verified); s.err == nil || c.err == nil {
			t.Errorf("as server: %v, %v", s.err, c.err)
		}
	})
}

func TestOlderTLSIsRefused(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		for name, config := range map[string]*tls.Config{
			"TLS 1.2":       {MaxVersion: tls.VersionTLS12, NextProtos: []string{protocol}},
			"no ALPN":       {},
			"other ALPN":    {NextProtos: []string{"h2"}},
			"RSA":           {NextProtos: []string{protocol}, Certificates: []tls.Certificate{rsaCertificate(t)}},
			"no client key": {NextProtos: []string{protocol}, Certificates: []tls.Certificate{}},
		} {
			config.InsecureSkipVerify = true
			if config.Certificates == nil {
				config.Certificates = []tls.Certificate{identity(t).Certificate()}
			}
			s, c := streams(t, server, client)
			done := make(chan error)
			go func() {
				_, err := PeerServer(t.Context(), s, identity(t), anyone, Options{})
				done <- err
			}()
			raw := tls.Client(c, config)
			// A client that is let in would send its verdict and hear the server's.
			if err := raw.HandshakeContext(t.Context()); err == nil {
				_, _ = raw.Write([]byte{0, 0, 0, 1, 1})
			}
			if err := <-done; err == nil {
				t.Errorf("%s: the server accepted", name)
			}
			_ = c.Close()
		}
	})
}

func TestSilentPeerDoesNotHoldTheHandshake(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		s, _ := streams(t, server, client)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if _, err := PeerServer(ctx, s, identity(t), anyone, Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("expected context.DeadlineExceeded, found %v", err)
		}
		// A peer may also fall silent after TLS, owing its verdict.
		s, c := streams(t, server, client)
		go func() {
			raw := tls.Client(c, peerConfigInsecure(identity(t)))
			_ = raw.HandshakeContext(t.Context())
		}()
		ctx2, cancel2 := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel2()
		if _, err := PeerServer(ctx2, s, identity(t), anyone, Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("expected context.DeadlineExceeded, found %v", err)
		}
	})
}

func peerConfigInsecure(id *Identity) *tls.Config {
	c := peerConfig(id)
	c.InsecureSkipVerify = true
	return c
}

func TestEndorsedPeer(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		now := time.Now()
		service, err := NewService("net", true, now)
		if err != nil {
			t.Fatal(err)
		}
		node := identity(t)
		der, err := service.Endorse(node.PublicKey(), node.ID(), []string{"127.0.0.1:1"}, true, now, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := node.SetCertificate(der); err != nil {
			t.Fatal(err)
		}
		endorsed := func(p PeerCert) error { return p.EndorsedBy(service.Certificate(), now) }
		if s, c := shake(t, server, client, identity(t), node, endorsed, anyone); s.err != nil || c.err != nil || c.conn.Peer().Certificate == nil {
			t.Errorf("an endorsed node is refused: %v, %v", s.err, c.err)
		} else if s.conn.Peer().SelfSigned() {
			t.Error("an endorsed certificate counts as self-signed")
		}
		if s, c := shake(t, server, client, identity(t), identity(t), endorsed, anyone); !errors.Is(s.err, coco.ErrVerify) || !errors.Is(c.err, ErrRefused) {
			t.Errorf("a node that vouches for itself: %v, %v", s.err, c.err)
		}
	})
}

func TestFramesArrive(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		s, c := pair(t, server, client)
		var frames [][]byte
		for _, n := range []int{0, 1, 3, record - frameHeader, record - 1, record, record + 1, 3*record - 5, 200_000, 5 << 20, 0, 2} {
			frame := make([]byte, n)
			for i := range frame {
				frame[i] = byte(i*7 + n)
			}
			frames = append(frames, frame)
		}
		go func() {
			if err := s.WriteFrames(frames); err != nil {
				t.Error(err)
			}
			for _, frame := range frames {
				if err := s.WriteFrames([][]byte{frame}); err != nil {
					t.Error(err)
				}
			}
			_ = s.Close()
		}()
		var buf []byte
		for i := range 2 * len(frames) {
			var frame []byte
			var err error
			if i%2 == 0 {
				frame, err = c.ReadFrame()
			} else {
				buf, err = c.ReadFrameInto(buf)
				frame = buf
			}
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if !bytes.Equal(frame, frames[i%len(frames)]) {
				t.Fatalf("frame %d of %d bytes arrived damaged", i, len(frame))
			}
		}
		if _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last frame: %v", err)
		}
	})
}

func TestFramesOfManyWritersStayWhole(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		s, c := pair(t, server, client)
		const writers, each = 4, 500
		for w := range writers {
			go func() {
				for i := range each {
					frame := bytes.Repeat([]byte{byte(w)}, (i*37)%3000+1)
					if err := s.WriteFrames([][]byte{frame, frame[:1]}); err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		for range 2 * writers * each {
			frame, err := c.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Count(frame, frame[:1]) != len(frame) {
				t.Fatal("two writers' frames are mixed")
			}
		}
	})
}

func TestFrameLimits(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		s, c := pair(t, server, client)
		s.max = 100
		if err := s.WriteFrames([][]byte{make([]byte, 101)}); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("a frame that is too long was sent: %v", err)
		}
		if err := s.WriteFrames([][]byte{make([]byte, 100)}); err != nil {
			t.Errorf("after a refused frame: %v", err)
		}
		c.max = 99
		for range 2 { // an error is final
			if _, err := c.ReadFrame(); !errors.Is(err, coco.ErrCorrupt) {
				t.Errorf("a frame that is too long was read: %v", err)
			}
		}
	})
}

func TestDeadlineAndCloseEndReading(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		s, c := pair(t, server, client)
		if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := c.ReadFrame(); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("expected a timeout, found %v", err)
		}
		done := make(chan error)
		go func() {
			_, err := s.ReadFrame()
			done <- err
		}()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("read from a closed connection")
		}
		if err := s.WriteFrames([][]byte{{1}}); err == nil {
			t.Error("wrote to a closed connection")
		}
	})
}

func TestWireCarriesNoPlaintext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(1)
		var wire bytes.Buffer
		var mu sync.Mutex
		w.Tap(func(_, _ string, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			wire.Write(b)
		})
		s, c := pair(t, w.Host("server").Net, w.Host("client").Net)
		secret := []byte("planted value that nobody may see")
		if err := s.WriteFrames([][]byte{secret}); err != nil {
			t.Fatal(err)
		}
		if b, err := c.ReadFrame(); err != nil || !bytes.Equal(b, secret) {
			t.Fatalf("read %q, %v", b, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if bytes.Contains(wire.Bytes(), secret) || wire.Len() < 1000 {
			t.Error("the wire shows the plaintext, or nothing at all")
		}
	})
}

func TestTamperedBytesEndTheConnection(t *testing.T) {
	s, c := streams(t, local.Net{}, local.Net{})
	flip := &flipper{Conn: c}
	done := make(chan outcome)
	go func() {
		conn, err := PeerServer(t.Context(), s, identity(t), anyone, Options{})
		done <- outcome{conn, err}
	}()
	client, err := PeerClient(t.Context(), flip, identity(t), anyone, Options{})
	server := <-done
	if err := errors.Join(err, server.err); err != nil {
		t.Fatal(err)
	}
	flip.on = true
	if err := client.WriteFrames([][]byte{[]byte("pay 10")}); err != nil {
		t.Fatal(err)
	}
	if b, err := server.conn.ReadFrame(); err == nil {
		t.Errorf("read %q from a connection that was tampered with", b)
	}
}

// flipper flips a bit of everything written.
type flipper struct {
	net.Conn
	on bool
}

func (f *flipper) Write(p []byte) (int, error) {
	p = bytes.Clone(p)
	if f.on {
		p[len(p)-1] ^= 1
	}
	return f.Conn.Write(p)
}

// FuzzReadFrame: whatever bytes arrive, reading is bounded, and frames that are read are the
// bytes that were there.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0}, uint32(10))
	f.Add([]byte{0, 0, 0, 2, 'a', 'b', 0, 0, 0, 1, 'c'}, uint32(10))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, uint32(1<<30))
	f.Add([]byte{0, 0, 1}, uint32(10))
	f.Fuzz(func(t *testing.T, wire []byte, most uint32) {
		limit := int(min(most, 1<<30))
		r := bytes.NewReader(wire)
		var again []byte
		for header := make([]byte, frameHeader); ; {
			frame, err := readFrame(r, header, nil, limit)
			if err != nil {
				if err == io.EOF && !bytes.Equal(again, wire) {
					t.Error("the end came before the end")
				}
				return
			}
			if len(frame) > limit || cap(frame) > trustedLength+2*len(wire) {
				t.Fatalf("a frame of %d bytes, capacity %d", len(frame), cap(frame))
			}
			again = append(append(again, header...), frame...)
			if !bytes.HasPrefix(wire, again) {
				t.Fatal("frames differ from the wire")
			}
		}
	})
}

func TestClientListener(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		now := time.Now()
		service, err := NewService("net", true, now)
		if err != nil {
			t.Fatal(err)
		}
		node := identity(t)
		config := ClientServerConfig(node, nil)
		der, err := service.Endorse(node.PublicKey(), node.ID(), []string{"node1.example:8000", "127.0.0.1"}, true, now, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := node.SetCertificate(der); err != nil { // after the listener was made
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(service.Certificate())
		user := identity(t)
		for name, c := range map[string]struct {
			config *tls.Config
			ok     bool
			certs  int
		}{
			"by name":           {&tls.Config{RootCAs: roots, ServerName: "node1.example"}, true, 0},
			"by address":        {&tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}}, true, 0},
			"with certificate":  {&tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{user.Certificate()}}, true, 1},
			"by another name":   {&tls.Config{RootCAs: roots, ServerName: "node2.example"}, false, 0},
			"of another issuer": {&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "node1.example"}, false, 0},
			"by TLS 1.2":        {&tls.Config{RootCAs: roots, ServerName: "node1.example", MaxVersion: tls.VersionTLS12}, false, 0},
		} {
			s, cc := streams(t, server, client)
			done := make(chan tls.ConnectionState)
			go func() {
				conn := tls.Server(s, config)
				_ = conn.HandshakeContext(t.Context())
				done <- conn.ConnectionState()
			}()
			c.config.Time = func() time.Time { return now }
			err := tls.Client(cc, c.config).HandshakeContext(t.Context())
			_ = cc.Close()
			state := <-done
			if (err == nil) != c.ok {
				t.Errorf("%s: %v", name, err)
			}
			if c.ok && len(state.PeerCertificates) != c.certs {
				t.Errorf("%s: the server saw %d certificates", name, len(state.PeerCertificates))
			}
		}
	})
}

// A node that knows the old service alone learns from a peer's certificates that another one follows it.
func TestAPeerShowsThatItsServiceFollowsTheKnownOne(t *testing.T) {
	everyNet(t, func(t *testing.T, server, client host.Net) {
		now := time.Now()
		old, err := NewService("net", true, now)
		if err != nil {
			t.Fatal(err)
		}
		other, err := NewService("net", true, now)
		if err != nil {
			t.Fatal(err)
		}
		last := coco.TxID{View: 3, Seqno: 70}
		next, err := old.Succeed(last, coco.Digest{1}, now)
		if err != nil {
			t.Fatal(err)
		}
		of := func(by, shown *Service) *Identity {
			node := identity(t)
			der, err := by.Endorse(node.PublicKey(), node.ID(), []string{"127.0.0.1:1"}, true, now, now)
			if err == nil {
				err = node.SetCertificate(der)
			}
			if err != nil {
				t.Fatal(err)
			}
			node.ShowService(shown.Certificate())
			return node
		}
		for name, c := range map[string]struct {
			node  *Identity
			known *Service
			is    bool
		}{
			"of the one that follows":       {of(next, next), old, true},
			"known as it is":                {of(next, next), next, false},
			"endorsed by the old one":       {of(old, old), old, false},
			"shows a service not its own":   {of(other, next), old, false},
			"follows another one":           {of(next, next), other, false},
			"that vouches for itself alone": {identity(t), old, false},
		} {
			var got coco.TxID
			var is bool
			look := func(p PeerCert) error { got, is = p.Succeeds(c.known.Certificate(), now); return nil }
			if s, _ := shake(t, server, client, identity(t), c.node, look, anyone); s.err != nil {
				t.Fatal(name, s.err)
			}
			if is != c.is || is && got != last {
				t.Errorf("%s: %v, up to %s", name, is, got)
			}
		}
	})
}
