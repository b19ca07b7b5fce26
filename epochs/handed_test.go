package epochs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
)

// The goroutine that receives a node's frames hands a secret over and goes on, however long the disk takes: elections depend on the frames behind it.
func TestASecretThatWaitsForTheDiskHoldsUpNoOtherFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []uint64
		disk := make(chan struct{})
		e := &Driver{Log: slog.New(slog.DiscardHandler), Keep: func(s *rotation.Secret) error {
			<-disk
			if kept = append(kept, s.Epoch); s.Secret != (keys.Secret{byte(s.Epoch)}) {
				t.Errorf("the secret of epoch %d is %x", s.Epoch, s.Secret[:])
			}
			return errors.New("for the test: nothing is stepped")
		}}
		send := func(from byte, epochs ...uint64) {
			t.Helper()
			for _, epoch := range epochs {
				m := &peer.Secret{Sealed: coco.Digest{byte(epoch)}, Epoch: epoch, Secret: keys.Secret{byte(epoch)}}
				if e.ReceiveSecret(coco.NodeID{from}, m); m.Secret != (keys.Secret{}) {
					t.Errorf("the frame holds the secret of epoch %d still", epoch)
				}
			}
		}
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.RunReceived(ctx) }()

		send(1, 1)
		synctest.Wait() // the disk works
		send(1, 1, 1, 2, 2)
		send(2, 2, 3)
		synctest.Wait()
		if len(kept) > 0 {
			t.Errorf("kept %v before the disk has answered", kept)
		}
		for range 5 {
			disk <- struct{}{}
		}
		synctest.Wait()
		if want := []uint64{1, 1, 2, 2, 3}; !slices.Equal(kept, want) {
			t.Errorf("kept %v, expected %v: each once for each node, in the order in which they came", kept, want)
		}

		send(1, 10)
		synctest.Wait()
		for epoch := range uint64(2 * maxHanded) {
			send(1, 20+epoch)
		}
		if e.handed.n != maxHanded {
			t.Errorf("%d secrets wait, expected %d", e.handed.n, maxHanded)
		}
		end()
		disk <- struct{}{}
		if err := <-done; err != nil || e.handed.list != [maxHanded]handedOut{} {
			t.Errorf("%v, and %d secrets are left when the node ends", err, e.handed.n)
		}
	})
}
