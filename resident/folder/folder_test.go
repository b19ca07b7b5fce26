package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/resident"
)

// ring has the keys of epochs 1 and 2.
type ring struct {
	current uint64
	closed  error // what Of answers for epoch 1, if set
	now     time.Time
}

func (r *ring) keys() Keys {
	of := func(epoch uint64) *batch.Keys { return batch.NewKeys(epoch, [32]byte{byte(epoch)}) }
	held := func(epoch uint64) (*batch.Keys, error) {
		if epoch == 1 && r.closed != nil {
			return nil, r.closed
		}
		return of(epoch), nil
	}
	return Keys{Current: func() (uint64, *batch.Keys) { return r.current, of(r.current) }, Of: held, Held: held, Now: func() time.Time { return r.now }}
}

func opened(t *testing.T, disk *mem.Disk, r *ring) (*Folder, []coco.Digest) {
	t.Helper()
	f, there, err := New(disk, "resident", r.keys())
	if err != nil {
		t.Fatal(err)
	}
	return f, there
}

func put(t *testing.T, f *Folder, text string) coco.Digest {
	t.Helper()
	if err := f.Put([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return resident.Commit([]byte(text))
}

// lost is a crash that loses whatever is not durable.
var lost = mem.Loss{
	Name:    func(string) bool { return false },
	Changes: func(string, []mem.Change) []mem.Change { return nil },
	Removal: func(string) bool { return true },
}

func TestAPayloadIsReadAgainAfterACrashInItsOwnEpoch(t *testing.T) {
	disk, r := mem.New(), &ring{current: 1}
	f, _ := opened(t, disk, r)
	old := put(t, f, "planted payload one")
	r.current = 2
	newer := put(t, f, "planted payload two")
	if again := put(t, f, "planted payload two"); again != newer {
		t.Fatal(again)
	}
	disk = disk.Crashed(lost)
	f, there := opened(t, disk, r)
	if len(there) != 2 {
		t.Fatalf("found %d payloads after a crash, expected 2", len(there))
	}
	for c, want := range map[coco.Digest]string{old: "planted payload one", newer: "planted payload two"} {
		if got, err := f.Get(c); err != nil || string(got) != want {
			t.Errorf("read %q, %v; expected %q", got, err, want)
		}
	}
	for _, name := range disk.Names() {
		if bytes.Contains(disk.Data(name), []byte("planted")) || strings.Contains(name, "planted") {
			t.Errorf("file %s has a payload in the clear", name)
		}
	}
	r.closed = fmt.Errorf("%w: being opened", coco.ErrPending)
	if _, err := f.Get(old); !errors.Is(err, coco.ErrPending) {
		t.Errorf("a payload of an epoch that is being opened: %v", err)
	}
	if err := errors.Join(f.Remove(old), f.Remove(old)); err != nil {
		t.Error(err)
	}
	if _, err := f.Get(old); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("a payload that was removed: %v", err)
	}
}

func TestACrashDuringAWriteLeavesAWholePayloadOrNone(t *testing.T) {
	failed := errors.New("the machine stops")
	for stop := range 8 {
		disk, r := mem.New(), &ring{current: 1}
		f, _ := opened(t, disk, r)
		n := 0
		disk.Before = func(op, name string) error {
			if n++; n > stop {
				return failed
			}
			return nil
		}
		err := f.Put([]byte("payload"))
		disk = disk.Crashed(lost)
		f, there := opened(t, disk, r)
		if err == nil && len(there) != 1 {
			t.Errorf("after %d operations: written, and %d payloads are there", stop, len(there))
		}
		for _, c := range there {
			if b, err := f.Get(c); err != nil || string(b) != "payload" {
				t.Errorf("after %d operations: %q, %v", stop, b, err)
			}
		}
		for _, name := range disk.Names() {
			if strings.HasSuffix(name, unfinished) {
				t.Errorf("after %d operations: %s stays", stop, name)
			}
		}
	}
}

// A payload that a row names outlives the keys of the epoch that it was first sealed under.
func TestAnOldFileIsSealedAgainUnderTheNewestEpoch(t *testing.T) {
	disk, r := mem.New(), &ring{current: 1, now: time.UnixMilli(1e12)}
	f, _ := opened(t, disk, r)
	c := put(t, f, "payload")
	r.now = r.now.Add(time.Hour)
	if f.Old(c, time.Minute) {
		t.Error("a file of the newest epoch is old")
	}
	r.current = 2
	if f.Old(c, time.Hour) || !f.Old(c, time.Hour-1) {
		t.Error("a file is not as old as it is")
	}
	if err := f.Renew(c); err != nil || f.Old(c, 0) {
		t.Errorf("sealed again: %v", err)
	}
	r.closed = fmt.Errorf("%w: no keys", coco.ErrPending)
	disk = disk.Crashed(lost)
	f, there := opened(t, disk, r)
	if b, err := f.Get(c); err != nil || string(b) != "payload" || len(there) != 1 {
		t.Errorf("read without the keys of the first epoch: %q, %v", b, err)
	}
	if f.Old(coco.Digest{1}, 0) || !errors.Is(f.Renew(coco.Digest{1}), coco.ErrNotFound) {
		t.Error("a file that is absent is renewed")
	}
}

func TestWhatTheHostChangesIsCorrupt(t *testing.T) {
	disk, r := mem.New(), &ring{current: 1}
	f, _ := opened(t, disk, r)
	c, other := put(t, f, "payload"), put(t, f, "another one")
	good := disk.Data(f.name(c))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 4 // the epoch is 5, which the network has not come to
		disk.Put(f.name(c), bad)
		if _, err := f.Get(c); !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("byte %d of %d changed: %v", i, len(good), err)
		}
	}
	for what, b := range map[string][]byte{"nothing": {}, "half of it": good[:len(good)/2], "another payload": disk.Data(f.name(other))} {
		disk.Put(f.name(c), b)
		if _, err := f.Get(c); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAFileThatIsLongerThanAnyPayloadIsDamaged(t *testing.T) {
	disk := mem.New()
	f, _ := opened(t, disk, &ring{current: 1})
	c := put(t, f, "planted payload")
	file, err := disk.Open(f.name(c))
	if err == nil {
		_, err = file.WriteAt([]byte{0}, maxFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(c); !errors.Is(err, coco.ErrCorrupt) || strings.Contains(err.Error(), "decrypt") {
		t.Errorf("it is read as a whole: %v", err)
	}
}

func TestACopyHasWhatWasSealedLastAndLosesNothing(t *testing.T) {
	disk, copied, r := mem.New(), mem.New(), &ring{current: 1}
	f, _ := opened(t, disk, r)
	kept, removed := put(t, f, "planted payload one"), put(t, f, "planted payload two")
	disk.Put("resident/7.part", []byte("unfinished"))
	again := func(files, there int) {
		t.Helper()
		if got, err := Copy(t.Context(), disk, copied, "resident"); err != nil || got.Files != files || got.Kept != there {
			t.Fatalf("copied %+v, %v; expected %d files, and %d there already", got, err, files, there)
		}
	}
	again(2, 0)
	again(0, 2)
	// Damage of the node's file under the old prefix does not reach the copy.
	name := "resident/" + kept.String()
	damaged := bytes.Clone(disk.Data(name))
	damaged[len(damaged)-1] ^= 1
	intact := disk.Data(name)
	disk.Put(name, damaged)
	again(0, 2)
	disk.Put(name, nil)
	again(0, 2)
	disk.Put(name, intact)
	r.current, r.now = 2, time.UnixMilli(1000)
	if err := f.Renew(kept); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(removed); err != nil {
		t.Fatal(err)
	}
	again(1, 0)
	if !bytes.Equal(copied.Data(name), disk.Data(name)) {
		t.Error("the copy has a file that expires earlier than the node's")
	}
	// A folder that a copy is brought back to keeps what was sealed later there.
	r.now = time.UnixMilli(2000)
	if err := f.Put([]byte("planted payload one")); err != nil {
		t.Fatal(err)
	}
	if got, err := Copy(t.Context(), copied, disk, "resident"); err != nil || got.Files != 1 || got.Kept != 1 {
		t.Fatalf("restored %+v, %v", got, err)
	}
	f, there := opened(t, disk.Crashed(lost), r)
	for c, want := range map[coco.Digest]string{kept: "planted payload one", removed: "planted payload two"} {
		if got, err := f.Get(c); err != nil || string(got) != want || len(there) != 2 {
			t.Errorf("read %q, %v of %d; expected %q", got, err, len(there), want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Copy(ctx, disk, mem.New(), "resident"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
