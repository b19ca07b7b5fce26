package batch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

func TestWhatReadsAnEpochReadsItsBatchesOnly(t *testing.T) {
	secret := [32]byte{1, 2, 3}
	r := batch.ReadingOf(7, secret)
	want, _ := batch.NewKeys(7, secret).Salt(3, 9)
	if got, err := r.Keys(7).Salt(3, 9); err != nil || got != want {
		t.Errorf("the salt is %v, %v, expected %v", got, err, want)
	}
	if batch.ReadingOf(8, secret) == r {
		t.Error("two epochs are read by the same keys")
	}
	if strings.Contains(string(r[:]), string(secret[:])) {
		t.Error("it holds the secret")
	}
	for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(f, r); got != "[keys that read an epoch]" {
			t.Errorf("%s prints %q", f, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a key of another file was made without the secret")
		}
	}()
	_, _ = r.Keys(7).Sub("coco history index", nil)
}

func TestBatchesAreOpenedByWhatReadsTheirEpoch(t *testing.T) {
	s := sealSome(t, 3)
	b, err := batch.Decode(s.data)
	if err != nil {
		t.Fatal(err)
	}
	want, err := b.Open(s.keys)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Open(batch.ReadingOf(b.Header.Epoch, [32]byte{7}).Keys(b.Header.Epoch))
	if err != nil || len(got) != len(want) || string(got[1].Private) != string(want[1].Private) {
		t.Fatalf("%d records: %v", len(got), err)
	}
	if _, err := b.Open(batch.ReadingOf(b.Header.Epoch+1, [32]byte{7}).Keys(b.Header.Epoch)); err == nil {
		t.Error("another epoch's keys open it")
	}
}

// Who holds keys when they expire is told to ask again; nothing decrypts wrongly, which would count as damage of the ledger.
func TestErasedKeysAreToBeAskedForAgain(t *testing.T) {
	s := sealSome(t, 3)
	b, err := batch.Decode(s.data)
	if err != nil {
		t.Fatal(err)
	}
	k := batch.ReadingOf(b.Header.Epoch, [32]byte{7}).Keys(b.Header.Epoch)
	if _, err := b.Open(k); err != nil {
		t.Fatal(err)
	}
	k.Erase()
	k.Erase()
	_, opened := b.Open(k)
	_, salt := k.Salt(1, 1)
	_, sub := k.Sub("x", nil)
	for what, err := range map[string]error{"open": opened, "salt": salt, "sub": sub} {
		if !errors.Is(err, coco.ErrPending) || errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
