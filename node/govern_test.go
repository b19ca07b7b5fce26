package node_test

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
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/wire"
)

const adminPort = ":9000"

// governs gives every node an administrative listener.
func (n *network) governs() {
	before := n.Alter
	n.Alter = func(c *node.Config) {
		if before != nil {
			before(c)
		}
		c.AdminListen = c.Name + adminPort
	}
}

// officer is a member's client at the administrative listener of a node.
func (n *network) officer(m *nettest.Member, to int) *http.Client {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	org, err := x509.ParseCertificate(m.Cert)
	if err != nil {
		n.t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "officer", OrganizationalUnit: []string{coco.GovernanceUnit}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, org, key.Public(), m.Key)
	if err != nil {
		n.t.Fatal(err)
	}
	dial := n.World.Host("officers").Net
	c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial.Dial(ctx, hostName(to)+adminPort)
		},
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
			Certificates: []tls.Certificate{{Certificate: [][]byte{der, m.Cert}, PrivateKey: key}},
		},
	}}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients = append(n.clients, c)
	return c
}

// submit hands a statement in.
func submit(c *http.Client, raw []byte) (decide.Outcome, error) {
	var out decide.Outcome
	resp, err := c.Post("https://node/gov/submit", "application/cose", bytes.NewReader(raw))
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return out, err
	}
	if resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("%s: %s", resp.Status, body)
	}
	var answer wire.Outcome
	err = json.Unmarshal(body, &answer)
	return decide.Outcome{ID: answer.ID, State: table.ProposalState(answer.State), Version: answer.Version, Digest: answer.Digest}, err
}

func (n *network) audience() coco.Digest {
	n.t.Helper()
	id, err := table.NetworkID(n.serviceCertificate().Raw)
	if err != nil {
		n.t.Fatal(err)
	}
	return id
}

func nonce() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return b
}

// propose has a member propose and vote for a change.
func (n *network) propose(m *nettest.Member, to int, lasts time.Duration, actions ...action.Action) decide.Outcome {
	n.t.Helper()
	now := uint64(time.Now().UnixMilli())
	p := envelope.Proposal{Audience: n.audience(), Time: now, Expires: now + uint64(lasts.Milliseconds()), Nonce: nonce()}
	for _, a := range actions {
		b, err := a.Encode()
		if err != nil {
			n.t.Fatal(err)
		}
		p.Actions = append(p.Actions, cbor.RawMessage(b))
	}
	raw, err := envelope.SignProposal(context.Background(), m, p)
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := submit(n.officer(m, to), raw)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

func (n *network) vote(m *nettest.Member, to int, id coco.Digest, vote envelope.Vote) (decide.Outcome, error) {
	n.t.Helper()
	raw, err := envelope.SignBallot(context.Background(), m, envelope.Ballot{
		Audience: n.audience(), Time: uint64(time.Now().UnixMilli()), Nonce: nonce(), Proposal: id, Vote: vote,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return submit(n.officer(m, to), raw)
}

// decide has members 1 and 2, a majority of three, change something.
func (n *network) decide(actions ...action.Action) decide.Outcome {
	n.t.Helper()
	out := n.propose(n.Members[0], 0, time.Hour, actions...)
	for _, m := range n.Members[:2] {
		if out.State != table.Open {
			break
		}
		time.Sleep(10 * time.Millisecond)
		var err error
		if out, err = n.vote(m, 1, out.ID, envelope.Yes); err != nil {
			n.t.Fatal(err)
		}
	}
	if out.State != table.Accepted {
		n.t.Fatalf("the proposal is %s: %s", out.State, out.Reason)
	}
	return out
}

// decidedAt returns the seqno of the deciding transaction.
func (n *network) decidedAt(id coco.Digest) uint64 {
	n.t.Helper()
	text, err := get(n.officer(n.Members[0], 0), "/gov/proposals/"+id.String())
	if err != nil {
		n.t.Fatal(err)
	}
	var p wire.Proposal
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		n.t.Fatal(err)
	}
	return p.Decided
}

func TestARemovedActorTransactsUpToTheDecidingVoteAndNotAfter(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		shop := newMember(t, "shop")
		if _, err := put(n.clientOf(shop, 1), "early", "x"); err == nil {
			t.Fatal("an organisation that is not in the constitution can write")
		}
		n.decide(action.Action{Kind: action.AddParticipant, Args: action.Args{Name: "shop", Certificate: shop.Cert}})
		if _, err := put(n.clientOf(shop, 1), "first", "x"); err != nil {
			t.Fatalf("a participant that was voted in: %v", err)
		}
		type write struct {
			id  coco.TxID
			err error
		}
		var writes []write
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id, err := put(n.clientOf(shop, i%3), fmt.Sprint("shop", i), "x")
				writes = append(writes, write{id, err})
				time.Sleep(time.Millisecond)
			}
		}()
		time.Sleep(100 * time.Millisecond)
		out := n.decide(action.Action{Kind: action.RemoveParticipant, Args: action.Args{Actor: "shop"}})
		time.Sleep(time.Second)
		close(stop)
		<-done
		decided := n.decidedAt(out.ID)
		before, after := 0, 0
		for _, w := range writes {
			switch {
			case w.err == nil && w.id.Seqno > decided:
				t.Errorf("write %s was accepted after %d, which removed its sender", w.id, decided)
			case w.err == nil:
				before++
			case strings.Contains(w.err.Error(), "403"):
				after++
			default:
				t.Logf("another answer: %v", w.err)
			}
		}
		if before == 0 || after == 0 {
			t.Errorf("%d writes before the vote and %d refusals after it: the test shows nothing", before, after)
		}
	})
}

func TestARemovedMembersNodeLeavesAndANewEpochBegins(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		acked := n.busy(time.Second)
		gone := n.Node(2)
		n.decide(action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "member3"}})
		select {
		case <-gone.Done():
			n.Forget(2)
		case <-time.After(time.Minute):
			t.Fatal("the removed member's node goes on")
		}
		removed := n.Members[2]
		n.Members = n.Members[:2]
		if _, err := put(n.clientOf(removed, 0), "late", "x"); err == nil {
			t.Error("the removed member can write")
		}
		for k, v := range n.busy(3 * time.Second) {
			acked[k] = v
		}
		n.check(acked, 0, 1)
		n.sameState(0, 1)
		epochs := map[uint64]bool{}
		log, err := ledger.OpenReadOnly(n.World.Host(hostName(1)).Disk, node.Dir)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		for i := log.First(); i <= log.Last(); i++ {
			e, err := log.Read(i, i+1, 0)
			if err != nil {
				t.Fatal(err)
			}
			if e[0].Kind == batch.KindBatch {
				b, err := batch.Decode(e[0].Data)
				if err != nil {
					t.Fatal(err)
				}
				epochs[b.Header.Epoch] = true
			}
		}
		if !epochs[1] || !epochs[2] {
			t.Errorf("batches are sealed in epochs %v, expected 1 and 2", epochs)
		}
		// Those who are left open everything.
		for i := range 2 {
			n.Crash(i)
			n.World.Restart(hostName(i))
		}
		n.waitReady(n.Start(n.longestOf(2), n.Recover))
		n.check(acked, n.longestOf(2))
	})
}

// longestOf is longest among the first hosts.
func (n *network) longestOf(hosts int) int {
	all := n.Members
	n.Members = n.Members[:hosts]
	defer func() { n.Members = all }()
	return n.longest()
}

func TestEveryVersionOfTheConstitutionSaysWhenItCameInForce(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		n.governs()
		began := time.Now()
		n.open()
		shop := newMember(t, "shop")
		out := n.propose(n.Members[0], 0, time.Hour, action.Action{Kind: action.AddParticipant, Args: action.Args{Name: "shop", Certificate: shop.Cert}})
		if _, err := n.vote(n.Members[0], 0, out.ID, envelope.Yes); err != nil {
			t.Fatal(err)
		}
		text, err := get(n.officer(n.Members[0], 0), "/gov/constitution/history")
		if err != nil {
			t.Fatal(err)
		}
		var versions []wire.ConstitutionVersion
		if err := json.Unmarshal([]byte(text), &versions); err != nil {
			t.Fatal(err)
		}
		if len(versions) != 2 {
			t.Fatalf("%d versions, want that of genesis and the one that was voted: %s", len(versions), text)
		}
		for _, v := range versions {
			if v.Time.Before(began.Add(-time.Minute)) || v.Time.After(time.Now().Add(time.Minute)) {
				t.Errorf("version %d came in force at %v, in a network that began at %v", v.Version, v.Time, began)
			}
		}
	})
}

func TestAProposalExpires(t *testing.T) {
	long(t)
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		out := n.propose(n.Members[0], 0, time.Hour, action.Action{Kind: action.AddCode, Args: action.Args{Measurement: "virtual:" + strings.Repeat("ab", 32)}})
		if out.State != table.Open {
			t.Fatalf("the proposal is %s", out.State)
		}
		time.Sleep(61 * time.Minute)
		if _, err := n.vote(n.Members[1], 1, out.ID, envelope.Yes); err == nil {
			t.Error("a vote counts after the end")
		}
		text, err := get(n.officer(n.Members[1], 2), "/gov/proposals/"+out.ID.String())
		if err != nil || !strings.Contains(text, `"expired"`) {
			t.Errorf("the proposal an hour later: %s, %v", text, err)
		}
	})
}

// Constitutions change while a node is down: it comes back under the service that it knows.
func TestANodeComesBackAfterTheConstitutionHasChanged(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		service := n.serviceCertificate().Raw
		n.Crash(2)
		n.decide(action.Action{Kind: action.AddCode, Args: action.Args{Measurement: "virtual:" + strings.Repeat("cd", 32)}})
		n.World.Restart(hostName(2))
		r := n.Start(2, n.Join(0, 1))
		if n.comesUpWithin(r, 10*time.Second) {
			t.Error("a node joined under a constitution that its operator has not approved")
		}
		_ = n.Halt(2)
		n.waitReady(n.Start(2, func(c *node.Config) { n.Join(0, 1)(c); c.Service = service }))
		n.sameState(0, 1, 2)
	})
}

// comesUpWithin is readyWithin, but that neither outcome is an error.
func (n *network) comesUpWithin(r *nettest.Node, d time.Duration) bool {
	select {
	case <-r.Ready():
		return true
	case <-r.Done():
	case <-time.After(d):
	}
	return false
}

// What an adapter refuses when it is proposed is refused when it is tried.
func TestASimulationAsksTheAdapterAboutItsSettings(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		for setting, want := range map[string]string{
			"max_key_bytes": "settings of kv: max_key_bytes: expected a whole number from 1 to 4096, found 6000", "chain_id": "settings of kv: there is no setting chain_id",
		} {
			text, err := action.Format([]action.Action{{Kind: action.Set, Args: action.Args{Setting: "adapters.kv." + setting, Value: "6000"}}})
			if err != nil {
				t.Fatal(err)
			}
			resp, err := n.officer(n.Members[0], 0).Post("https://node/gov/simulate", wire.MediaActions, bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(answer), want) {
				t.Errorf("%s: %s: %s (%v)", setting, resp.Status, answer, err)
			}
		}
	})
}
