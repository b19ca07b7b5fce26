package join_test

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

func (n *network) otherService() *channel.Service {
	s, err := channel.NewService("test", true, time.Now())
	n.must(err)
	return s
}

// Two networks may be started from one page.
func TestANodeOfAnotherServiceIsNotAskedThoughItsConstitutionIsApproved(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		other := n.otherService().Certificate()
		for name, alter := range map[string]func(*join.Joiner){
			"the operator named another service":      func(j *join.Joiner) { j.Service = other.Raw },
			"its disk holds another service's ledger": func(j *join.Joiner) { j.Held = other },
			"the operator named this one, and its disk holds another service's ledger": func(j *join.Joiner) {
				j.Service, j.Held = n.network.Service.Certificate().Raw, other
			},
		} {
			j, told := n.joiner("beta", n.members[1])
			alter(j)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if _, err := j.Join(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: joining ended with %v", name, err)
			}
			cancel()
			if len(*told) != 1 || !errors.Is((*told)[0], coco.ErrVerify) {
				t.Errorf("%s: told %v, expected one failed verification", name, *told)
			}
			if _, err := n.record(j.Attestor.Identity.ID()); !errors.Is(err, coco.ErrNotFound) {
				t.Errorf("%s: the node is in the list: %v", name, err)
			}
		}
		j, _ := n.joiner("beta", n.members[1])
		renewed, err := n.network.Service.RenewSelf(time.Now().Add(time.Hour))
		n.must(err)
		if j.Held, err = x509.ParseCertificate(renewed); err != nil {
			t.Fatal(err)
		}
		j.Service = renewed
		if _, err := j.Join(t.Context()); err != nil {
			t.Errorf("the service named is this one, under a renewed certificate: %v", err)
		}
	})
}

// What a node grants is compared with what it has proven: its own certificate, and the service that the joiner asked for.
func TestAGrantOfAnotherServiceIsRefused(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		other := n.otherService()
		for name, alter := range map[string]func(*peer.Grant){
			"another service's key and certificate": func(g *peer.Grant) {
				key, err := other.MarshalKey()
				n.must(err)
				g.Service, g.ServiceKey = other.Certificate().Raw, key
			},
			"another service's certificate for the node": func(g *peer.Grant) {
				cert, err := x509.ParseCertificate(g.Certificate)
				n.must(err)
				g.Certificate, err = other.Endorse(cert.RawSubjectPublicKeyInfo, channel.KeyID(cert.RawSubjectPublicKeyInfo), []string{"beta:7000"}, true, time.Now(), time.Now())
				n.must(err)
			},
			"in another node's name": func(g *peer.Grant) { g.Sponsor = coco.NodeID{1} },
		} {
			n.forged = alter
			j, told := n.joiner("beta", n.members[1])
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if a, err := j.Join(ctx); err == nil {
				t.Errorf("%s: admitted to %s", name, a.Network.ID().Short())
			}
			cancel()
			if len(*told) == 0 || !errors.Is((*told)[0], coco.ErrVerify) {
				t.Errorf("%s: told %v, expected a failed verification", name, *told)
			}
		}
	})
}

// A node that members have removed knows the network's secrets until it ends.
func TestARemovedNodeSponsorsNobody(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		j, _ := n.joiner("beta", n.members[1])
		ask := func() peer.JoinAnswer {
			return n.converse(j.Attestor.Identity, func(binding []byte) any {
				rec, err := j.Attestor.Record(t.Context(), n.network.Constitution, binding)
				n.must(err)
				raw, err := canon.Marshal(rec)
				n.must(err)
				return peer.JoinRequest{Record: raw}
			}, 2)
		}
		if answer := ask(); answer.Grant == nil {
			t.Fatalf("refused: %+v", answer)
		}
		_, _, err := n.commit(t.Context(), coco.ActorID{}, func(tx *store.Tx) ([]byte, error) {
			return nil, table.RetireNode(tx, n.sponsor.Attestor.Identity.ID())
		})
		n.must(err)
		if answer := ask(); answer.Grant != nil || answer.Kind == 0 { // it was admitted before, so no transaction is needed
			t.Errorf("a removed node grants a place to a node that asks again")
		}
	})
}
