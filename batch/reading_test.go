package batch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cocoframework/coco/batch"
)

func TestWhatReadsAnEpochReadsItsBatchesOnly(t *testing.T) {
	secret := [32]byte{1, 2, 3}
	r := batch.ReadingOf(7, secret)
	if got, want := r.Keys(7).Salt(3, 9), batch.NewKeys(7, secret).Salt(3, 9); got != want {
		t.Errorf("the salt is %v, expected %v", got, want)
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
	r.Keys(7).Sub("coco history index", nil)
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
