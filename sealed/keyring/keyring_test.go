package keyring

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/keys"
)

func TestKeysFollowTheEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		current, held := uint64(0), map[uint64]keys.Secret{}
		k := New(Source{
			Current: func() uint64 { mu.Lock(); defer mu.Unlock(); return current },
			Secret: func(e uint64) (keys.Secret, error) {
				if s, ok := held[e]; ok {
					return s, nil
				}
				return keys.Secret{}, coco.ErrNotFound
			},
			Service: func() ([]byte, error) { return []byte("service"), nil },
			Clock:   local.Clock{},
		})
		opens := func(want ...uint64) {
			t.Helper()
			var got []uint64
			for e := range uint64(9) {
				if _, err := k.of(e); err == nil {
					got = append(got, e)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("in epoch %d the node opens messages of %v, want %v", current, got, want)
			}
		}
		opens()
		for e := range uint64(6) {
			held[e] = keys.Secret{byte(e)}
		}
		current = 3
		opens(2, 3, 4)
		time.Sleep(grace)
		opens(3, 4)
		current = 5
		opens(4, 5) // the secret of 6 is not held yet
		time.Sleep(grace - time.Second)
		opens(4, 5)
		time.Sleep(time.Second)
		opens(5)
		if len(k.made) > 2 {
			t.Errorf("%d keys are kept", len(k.made))
		}
	})
}
