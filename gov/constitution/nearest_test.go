package constitution

import (
	"crypto/x509"
	"testing"

	"github.com/cocoframework/coco"
)

// Two organisations may certify one intermediate. Whose a certificate under it is must not depend on the order in which
// a library finds the chains, because it decides whose ballot a ballot is.
func TestOfChainsOfOneLengthTheSmallestIDCounts(t *testing.T) {
	a, b, c := &x509.Certificate{Raw: []byte("a")}, &x509.Certificate{Raw: []byte("b")}, &x509.Certificate{Raw: []byte("c")}
	actors := []actor{{id: coco.ActorID{3}, cert: a}, {id: coco.ActorID{1}, cert: b}, {id: coco.ActorID{2}, cert: c}}
	chains := [][]*x509.Certificate{{c, c, b}, {c, a}, {c, c}}
	for range len(chains) {
		chains = append(chains[1:], chains[0])
		if got := nearest(actors, chains); got.id != actors[2].id {
			t.Errorf("the actor is %s", got.id.Short())
		}
	}
}
