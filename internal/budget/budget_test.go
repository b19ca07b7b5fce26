package budget

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
)

func actor(i int) coco.ActorID { return coco.ActorID{byte(i)} }

func TestOneCallerLeavesRoomForOthers(t *testing.T) {
	const limit = 16 << 20
	b := New(limit)
	var greedy []*Claim
	for {
		c := b.Claim(actor(1))
		if err := c.Take(1 << 20); err != nil {
			if !errors.Is(err, coco.ErrBusy) || !strings.Contains(err.Error(), "16777216") {
				t.Fatalf("refused with %q, expected a busy error that names the limit", err)
			}
			break
		}
		greedy = append(greedy, c)
	}
	if used := b.Used(); used > limit/2 || used < limit/2-(1<<20) {
		t.Errorf("one caller holds %d of %d, expected at most half", used, limit)
	}
	if err := b.Claim(actor(2)).Take(4 << 20); err != nil {
		t.Errorf("a second caller is refused: %v", err)
	}
	for _, c := range greedy {
		c.Release()
	}
	if used, want := b.Used(), 4<<20-Free; used != want {
		t.Errorf("%d bytes are used after the greedy caller's claims were released, expected %d", used, want)
	}
	if b.Refused() != 1 {
		t.Errorf("%d refusals are counted, expected 1", b.Refused())
	}
}

func TestSmallClaimsCostNothing(t *testing.T) {
	b := New(1)
	for range 100 {
		if err := b.Claim(actor(1)).Take(Free); err != nil {
			t.Fatal(err)
		}
	}
	if b.Used() != 0 {
		t.Errorf("%d bytes used", b.Used())
	}
}

// A reply is never larger than its limit, not even while it is built, and holds in memory what it has claimed.
func TestBuffersClaimWhatTheyHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := New(4 << 20)
		limit := rapid.IntRange(0, 1<<20).Draw(t, "limit")
		claim := all.Claim(actor(1))
		b := NewBuffer(claim, limit)
		var want []byte
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := rapid.IntRange(0, 200_000).Draw(t, "n")
			bound := n + rapid.IntRange(0, 10_000).Draw(t, "slack")
			err := b.Append(bound, func(p []byte) []byte { return append(p, bytes.Repeat([]byte{byte(len(want))}, n)...) })
			held := 0
			for _, p := range b.parts {
				held += cap(p)
			}
			if held > claim.Held() {
				t.Fatalf("%d bytes are allocated and %d claimed", held, claim.Held())
			}
			if err == nil {
				want = append(want, bytes.Repeat([]byte{byte(len(want))}, n)...)
			}
			if fits := limit == 0 || len(want)+n <= limit; errors.Is(err, ErrLimit) && fits {
				t.Fatalf("%d more bytes after %d are refused, the limit is %d", n, len(want), limit)
			}
			if rapid.IntRange(0, 4).Draw(t, "truncate") == 0 {
				keep := rapid.IntRange(0, len(want)).Draw(t, "keep")
				b.Truncate(keep)
				want = want[:keep]
			}
			if rapid.IntRange(0, 4).Draw(t, "adopt") == 0 {
				o := NewBuffer(claim, 0)
				if _, err := o.WriteString("adopted"); err == nil {
					b.Adopt(o)
					want = append(want, "adopted"...)
				}
				if b.limit > 0 {
					b.limit += len("adopted")
					limit = b.limit
				}
			}
			if limit > 0 && b.Len() > limit {
				t.Fatalf("%d bytes, the limit is %d", b.Len(), limit)
			}
		}
		if got := b.Bytes(); !bytes.Equal(got, want) {
			t.Fatal("the parts are not what was appended")
		}
		var out bytes.Buffer
		if _, err := b.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), want) {
			t.Fatal("what is written is not what was appended")
		}
		if claim.Held() != 0 || all.Used() != 0 {
			t.Fatalf("%d bytes are held after the reply was written", claim.Held())
		}
	})
}

func TestPartsAreGivenBackAsTheyAreWritten(t *testing.T) {
	all := New(64 << 20)
	b := NewBuffer(all.Claim(actor(1)), 0)
	for range 64 {
		_, _ = b.Write(make([]byte, 64<<10))
	}
	last := all.Used()
	_, _ = b.WriteTo(writerFunc(func(p []byte) (int, error) {
		if now := all.Used(); now > last {
			t.Errorf("%d bytes are claimed during a write, %d before", now, last)
		} else {
			last = now
		}
		return len(p), nil
	}))
	if all.Used() != 0 {
		t.Errorf("%d bytes are claimed after the last write", all.Used())
	}
}

func TestClaimsOfManyGoroutinesAddUp(t *testing.T) {
	all := New(1 << 30)
	c := all.Claim(actor(1))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				c.Must(100_000)
				c.Give(100_000)
			}
		})
	}
	wg.Wait()
	if c.Held() != 0 || all.Used() != 0 {
		t.Errorf("%d bytes held, %d used", c.Held(), all.Used())
	}
}

func TestNoClaimHasNoBound(t *testing.T) {
	var c *Claim
	b := NewBuffer(c, 0)
	if _, err := io.WriteString(b, strings.Repeat("x", 1<<20)); err != nil {
		t.Fatal(err)
	}
	c.Release()
	b.Release()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
