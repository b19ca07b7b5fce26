package own

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/mem"
)

const dir = "history"

// of gives the keys of epochs up to one.
func of(held ...uint64) func(uint64) (*batch.Keys, error) {
	return func(epoch uint64) (*batch.Keys, error) {
		for _, n := range held {
			if n == epoch {
				return batch.NewKeys(epoch, [32]byte{byte(epoch)}), nil
			}
		}
		return nil, fmt.Errorf("%w: epoch %d", coco.ErrPending, epoch)
	}
}

func keep(t *testing.T, k *Key, d *mem.Disk, epoch uint64) {
	t.Helper()
	keys, err := of(epoch)(epoch)
	if err == nil {
		err = k.Keep(d, dir, epoch, keys)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sub is what the key is known by.
func sub(t *testing.T, k *Key) [32]byte {
	t.Helper()
	b, err := k.Sub("test", []byte("salt"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheKeyGoesFromEpochToEpoch(t *testing.T) {
	d := mem.New()
	var k Key
	if err := k.Read(d, dir, of()); err != nil || k.Known() {
		t.Fatalf("an empty folder: known %v, %v", k.Known(), err)
	}
	keep(t, &k, d, 3)
	first, file := sub(t, &k), d.Data(dir+"/"+Name)
	keep(t, &k, d, 3)
	if !bytes.Equal(d.Data(dir+"/"+Name), file) {
		t.Error("the file is written again under the epoch that it is sealed under")
	}
	keep(t, &k, d, 5)
	var next Key
	if err := next.Read(d, dir, of(3)); !errors.Is(err, coco.ErrPending) || next.Known() {
		t.Errorf("under the epoch before: known %v, %v", next.Known(), err)
	}
	if err := next.Read(d, dir, of(5)); err != nil || sub(t, &next) != first {
		t.Errorf("under the epoch in use: %v, the same key %v", err, sub(t, &next) == first)
	}
	var other Key
	keep(t, &other, mem.New(), 3)
	if sub(t, &other) == first {
		t.Error("two nodes have the same key")
	}
	if s := fmt.Sprintf("%v %+v %#v %s", &k, &k, &k, &k); bytes.Contains([]byte(s), k.key[:]) || s != "[key of an index] [key of an index] [key of an index] [key of an index]" {
		t.Errorf("it prints %s", s)
	}
}

// The file is the host's to change. Whatever is changed in it, the key is not known, and never another one.
func TestAFileThatWasAlteredIsOfNoUse(t *testing.T) {
	d := mem.New()
	var k Key
	keep(t, &k, d, 3)
	good := d.Data(dir + "/" + Name)
	check := func(name string, b []byte) {
		t.Helper()
		d.Put(dir+"/"+Name, b)
		var got Key
		if err := got.Read(d, dir, of(1, 2, 3)); !errors.Is(err, coco.ErrCorrupt) && !errors.Is(err, coco.ErrPending) || got.Known() {
			t.Errorf("%s: known %v, %v", name, got.Known(), err)
		}
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		check(fmt.Sprint("byte ", i), b)
	}
	for _, n := range []int{0, 1, prefixSize, size - 1} {
		check(fmt.Sprint(n, " bytes"), good[:n])
	}
	other := bytes.Clone(good)
	binary.BigEndian.PutUint64(other[len(magic)+1:], 2)
	check("another epoch", other)
	d.Put(dir+"/"+Name, good)
	var got Key
	if err := got.Read(d, dir, of(3)); err != nil || sub(t, &got) != sub(t, &k) {
		t.Errorf("the file as it was: %v", err)
	}
}

// A crash at any write leaves the file before or the one after: each opens under its epoch.
func TestACrashLeavesAKey(t *testing.T) {
	for ops := 0; ; ops++ {
		d := mem.New()
		var k Key
		keep(t, &k, d, 3)
		want, n := sub(t, &k), 0
		broken := errors.New("the disk fails")
		d.Before = func(string, string) error {
			if n++; n > ops {
				return broken
			}
			return nil
		}
		keys, _ := of(4)(4)
		err := k.Keep(d, dir, 4, keys)
		d.Before = nil
		if after := d.Crashed(mem.Loss{}); true {
			var next Key
			if err := next.Read(after, dir, of(3, 4)); err != nil || sub(t, &next) != want {
				t.Errorf("after %d operations: %v", ops, err)
			}
		}
		if err == nil {
			return
		}
		if !errors.Is(err, broken) || k.epoch != 3 {
			t.Fatalf("after %d operations: %v, and the key counts as sealed under epoch %d", ops, err, k.epoch)
		}
	}
}
