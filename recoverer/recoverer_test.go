package recoverer_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/recoverer"
	"github.com/cocoframework/coco/wire"
)

// ceremony is a network whose members recover it.
type ceremony struct {
	t     *testing.T
	n     *govtest.Network
	lock  *recovery.Lock
	point recovery.Point
	files map[string][]byte // that the node keeps
}

func newCeremony(t *testing.T) *ceremony {
	n := govtest.New(t)
	_, e, err := keys.NewEpoch(1, n.C.Recipients(), 2)
	if err != nil {
		t.Fatal(err)
	}
	return &ceremony{t, n, &recovery.Lock{Epoch: e}, recovery.Point{Network: coco.Digest{1}, View: 2, Seqno: 17, Index: 9, Time: 1000}, map[string][]byte{}}
}

// seal stands for a TEE: what it makes is not what it got, and opens with the same code only.
func seal(code byte) func(context.Context, []byte) ([]byte, error) {
	return func(_ context.Context, b []byte) ([]byte, error) {
		out := []byte{code}
		for _, x := range b {
			out = append(out, x^0x55)
		}
		return out, nil
	}
}

func unseal(code byte) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, b []byte) ([]byte, error) {
		if len(b) == 0 || b[0] != code {
			return nil, errors.New("sealed to other code")
		}
		out, err := seal(0)(ctx, b[1:])
		return out[1:], err
	}
}

// process is one process of the node that recovers.
type process struct {
	*recoverer.Recoverer
	round *recovery.Round
	url   string
	hc    *http.Client
	done  chan error
	end   context.CancelFunc
}

// start starts the node, of some code.
func (c *ceremony) start(code byte) *process {
	c.t.Helper()
	quoter, err := virtual.NewQuoter(govtest.TestCode)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := recoverer.New(recoverer.Config{Quoter: quoter, Log: slog.New(slog.DiscardHandler), Keep: &recoverer.Keep{
		Save: func(name string, data []byte) error { c.files[name] = bytes.Clone(data); return nil },
		Load: func() (map[string][]byte, error) { return maps.Clone(c.files), nil },
		Seal: seal(code), Unseal: unseal(code),
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, end := context.WithCancel(c.t.Context())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, ln) }()
	p := &process{Recoverer: r, url: "https://" + ln.Addr().String(), done: make(chan error, 1), hc: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	p.end = func() {
		end()
		p.hc.CloseIdleConnections()
		<-p.done
		if err := <-served; err != nil {
			c.t.Error(err)
		}
	}
	r.Ends(c.point, c.n.C, coco.TxID{})
	receiver, err := r.Receiver(ctx, c.point, false)
	if err != nil {
		c.t.Fatal(err)
	}
	p.round = receiver.Round(c.lock)
	begun := make(chan struct{})
	go func() { p.done <- r.Collect(ctx, p.round, func() { close(begun) }, func() {}) }()
	<-begun
	return p
}

// get asks for a path.
func (p *process) get(t *testing.T, path string, v any) int {
	t.Helper()
	resp, err := p.hc.Get(p.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// release makes a member's release for what the node asks, after the evidence was checked.
func (p *process) release(t *testing.T, c *ceremony, member int) recovery.Release {
	t.Helper()
	var asked wire.RecoveryRequest
	if status := p.get(t, "/recovery/request", &asked); status != http.StatusOK {
		t.Fatalf("the request is answered %d", status)
	}
	rq, err := recovery.ParseRequest(asked.Request)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := recovery.ParseLock(asked.Lock)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := govtest.Verifiers.Verify(attest.Evidence{Platform: asked.Platform, Quote: asked.Quote}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	digest := rq.Digest()
	if err := attest.Check(claims, recovery.Purpose, rq.Key, digest[:], []coco.Measurement{govtest.TestCode}); err != nil {
		t.Fatal(err)
	}
	m := c.n.Members[member]
	r, err := recovery.New(rq, lock, m.Actor(), m.Encryption)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// submit sends a release.
func (p *process) submit(t *testing.T, r recovery.Release) (int, string) {
	t.Helper()
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(wire.RecoveryRelease{Release: b})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.hc.Post(p.url+"/recovery/releases", wire.MediaJSON, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func TestAWrongReleaseIsNamedAndTheOthersStay(t *testing.T) {
	c := newCeremony(t)
	p, other := c.start(1), newCeremony(t).start(1)
	defer other.end()
	if status, text := p.submit(t, p.release(t, c, 0)); status != http.StatusOK || !strings.Contains(text, `"remaining":1`) {
		t.Errorf("a release that is right is answered %d %s", status, text)
	}
	foreign, damaged := p.release(t, c, 1), p.release(t, c, 1)
	foreign.Lock = other.round.Lock().Digest()
	damaged.Box = damaged.Box[1:]
	stranger := damaged
	stranger.Actor = coco.ActorID{9}
	for name, r := range map[string]recovery.Release{"of another ledger": foreign, "damaged": damaged, "of a stranger": stranger} {
		status, text := p.submit(t, r)
		err := wire.FromAnswer(status, []byte(text))
		if named := err != nil && strings.Contains(err.Error(), `the release in the name of "beta" (actor`); named != (r.Actor != stranger.Actor) {
			t.Errorf("a release %s is answered %d %s", name, status, text)
		}
		if !errors.Is(err, coco.ErrVerify) || !strings.Contains(text, r.Actor.Short()) {
			t.Errorf("a release %s is answered %d %s", name, status, text)
		}
	}
	var s wire.Recovery
	if status := p.get(t, "/recovery", &s); status != http.StatusOK || s.Remaining != 1 || s.State != wire.RecoveryCollecting || s.Threshold != 2 || s.Last != c.point.Last() || s.Resume {
		t.Errorf("the state is %+v", s)
	}
	for _, m := range s.Members {
		if m.Released != (m.Name == "alpha") || (m.Fault != "") != (m.Name == "beta") {
			t.Errorf("%s: released %v, fault %q", m.Name, m.Released, m.Fault)
		}
	}
	if status, text := p.submit(t, p.release(t, c, 1)); status != http.StatusOK || !strings.Contains(text, `"state":"opening"`) {
		t.Errorf("the last release is answered %d %s", status, text)
	}
	if err := <-p.done; err != nil {
		t.Error(err)
	}
	if _, _, err := p.round.Secret(); err != nil {
		t.Error(err)
	}
	p.done <- nil
	p.end()
}

func TestReleasesSurviveARestartOfTheNode(t *testing.T) {
	c := newCeremony(t)
	p := c.start(1)
	if status, text := p.submit(t, p.release(t, c, 0)); status != http.StatusOK {
		t.Fatal(status, text)
	}
	waiting := p.release(t, c, 2) // on its way over an air gap
	p.end()
	for name, b := range c.files {
		if bytes.Contains(b, c.n.C.Recipients()[0].Key) {
			t.Errorf("%s holds more than it must", name)
		}
	}
	p = c.start(1)
	if p.round.Missing() != 1 {
		t.Fatalf("%d members are missing after a restart, expected 1", p.round.Missing())
	}
	if status, text := p.submit(t, waiting); status != http.StatusOK || !strings.Contains(text, `"state":"opening"`) {
		t.Errorf("a release that was sealed before the restart is answered %d %s", status, text)
	}
	if err := <-p.done; err != nil {
		t.Error(err)
	}
	p.done <- nil
	p.end()
}

// Other code, another end of the ledger, and files that the host has altered begin anew. No member is blamed for that.
func TestWhatWasKeptForSomethingElseDoesNotCount(t *testing.T) {
	for name, change := range map[string]func(c *ceremony) byte{
		"other code":  func(*ceremony) byte { return 2 },
		"another end": func(c *ceremony) byte { c.point.Seqno++; return 1 },
		"altered": func(c *ceremony) byte {
			for _, b := range c.files {
				b[len(b)-1] ^= 1
			}
			return 1
		},
	} {
		c := newCeremony(t)
		p := c.start(1)
		if status, text := p.submit(t, p.release(t, c, 0)); status != http.StatusOK {
			t.Fatal(status, text)
		}
		p.end()
		code := change(c)
		p = c.start(code)
		var s wire.Recovery
		p.get(t, "/recovery", &s)
		if s.Remaining != 2 {
			t.Errorf("%s: %d members are missing, expected 2", name, s.Remaining)
		}
		for _, m := range s.Members {
			if m.Fault != "" {
				t.Errorf("%s: %s is blamed: %s", name, m.Name, m.Fault)
			}
		}
		p.end()
	}
}

func TestANodeThatVerifiesIsAskedAgainAndSaysSo(t *testing.T) {
	quoter, err := virtual.NewQuoter(govtest.TestCode)
	if err != nil {
		t.Fatal(err)
	}
	r, err := recoverer.New(recoverer.Config{Quoter: quoter, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Verified(10, 100)
	if s := r.State(); s.State != wire.RecoveryVerifying || s.Verified != 10 || s.Bytes != 100 {
		t.Errorf("the state is %+v", s)
	}
}

func TestWhatIsKeptOnADiskComesBackFromIt(t *testing.T) {
	disk := mem.New()
	k := recoverer.KeepOn(disk, virtual.NewSealer(disk, govtest.TestCode))
	if files, err := k.Load(); err != nil || len(files) != 0 {
		t.Errorf("an empty disk holds %v, %v", files, err)
	}
	sealed, err := k.Seal(t.Context(), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		if err := k.Save("receiver", append([]byte(text), sealed...)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := recoverer.KeepOn(disk, virtual.NewSealer(disk, govtest.TestCode)).Load()
	if err != nil || len(files) != 1 || !bytes.Equal(files["receiver"], append([]byte("second"), sealed...)) {
		t.Errorf("it holds %q, %v", files, err)
	}
	if got, err := k.Unseal(t.Context(), sealed); err != nil || string(got) != "secret" {
		t.Errorf("unsealed: %q, %v", got, err)
	}
	if err := errors.Join(k.Save("release-1", []byte("x")), k.Wipe(), k.Wipe()); err != nil {
		t.Error(err)
	}
	if names, err := disk.List("recovery"); err != nil || len(names) != 0 {
		t.Errorf("%q stay after they were removed (%v)", names, err)
	}
	other := recoverer.KeepOn(disk, virtual.NewSealer(disk, virtual.Measure([]byte("other code"))))
	if _, err := other.Unseal(t.Context(), sealed); !errors.Is(err, attest.ErrSealed) {
		t.Errorf("other code unseals it: %v", err)
	}
}
