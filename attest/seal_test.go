package attest_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/host/mem"
)

func TestWhatIsSealedOpensForTheSameCodeOnTheSameMachineOnly(t *testing.T) {
	disk, code := mem.New(), virtual.Measure([]byte("program"))
	device := virtual.NewSealer(disk, code)
	sealed, err := attest.Seal(t.Context(), device, "purpose", []byte("context"), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := attest.Seal(t.Context(), device, "purpose", []byte("context"), []byte("secret"))
	if err != nil || bytes.Equal(sealed, again) || bytes.Contains(sealed, []byte("secret")) {
		t.Errorf("sealed twice: %x and %x (%v)", sealed, again, err)
	}
	open := func(device attest.Sealer, purpose, context string, sealed []byte) error {
		got, err := attest.Unseal(t.Context(), device, purpose, []byte(context), sealed)
		if err == nil && string(got) != "secret" {
			t.Errorf("it holds %q", got)
		}
		return err
	}
	if err := open(virtual.NewSealer(disk, code), "purpose", "context", sealed); err != nil {
		t.Errorf("the next process of this code: %v", err)
	}
	for name, err := range map[string]error{
		"other code":      open(virtual.NewSealer(disk, virtual.Measure([]byte("another"))), "purpose", "context", sealed),
		"another machine": open(virtual.NewSealer(mem.New(), code), "purpose", "context", sealed),
		"another purpose": open(device, "purpose ", "context", sealed),
		"another context": open(device, "purpose", "", sealed),
		"nothing":         open(device, "purpose", "context", nil),
		"its beginning":   open(device, "purpose", "context", sealed[:40]),
	} {
		if !errors.Is(err, attest.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range 8 * len(sealed) {
		bad := bytes.Clone(sealed)
		bad[i/8] ^= 1 << (i % 8)
		if err := open(device, "purpose", "context", bad); !errors.Is(err, attest.ErrSealed) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
}

func TestASimulatedMachineSaysThatItsSealingIsInsecure(t *testing.T) {
	disk := mem.New()
	if _, err := virtual.NewSealer(disk, virtual.Measure(nil)).SealingKey(t.Context(), "purpose"); err != nil {
		t.Fatal(err)
	}
	f, err := disk.Open(virtual.SealingFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, len(virtual.Notice))
	if _, err := f.ReadAt(text, 0); err != nil || string(text) != virtual.Notice {
		t.Errorf("the file begins with %q (%v)", text, err)
	}
}

// Whatever is damaged in the file that stands for a processor's secret, the machine seals, and opens what it has sealed since.
func TestASimulatedMachineSealsWhateverIsInItsFile(t *testing.T) {
	first := mem.New()
	if _, err := virtual.NewSealer(first, virtual.Measure(nil)).SealingKey(t.Context(), "purpose"); err != nil {
		t.Fatal(err)
	}
	good := first.Data(virtual.SealingFile)
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		disk := mem.New()
		disk.Put(virtual.SealingFile, bad)
		device := virtual.NewSealer(disk, virtual.Measure(nil))
		sealed, err := attest.Seal(t.Context(), device, "purpose", nil, []byte("secret"))
		if err != nil {
			t.Fatalf("bit %d: %v", bit, err)
		}
		if got, err := attest.Unseal(t.Context(), device, "purpose", nil, sealed); err != nil || string(got) != "secret" {
			t.Fatalf("bit %d: %q, %v", bit, got, err)
		}
	}
}
