package gramine_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/gramine"
)

// enclave behaves as Gramine does: a quote is over what was written last, whoever wrote it.
type enclave struct {
	mu   sync.Mutex
	data []byte
	kind string
}

func (e *enclave) files() *gramine.Files {
	return &gramine.Files{
		Write: func(name string, b []byte) error {
			e.mu.Lock()
			defer e.mu.Unlock()
			if name != "/dev/attestation/user_report_data" || len(b) != 64 {
				return fs.ErrInvalid
			}
			e.data = bytes.Clone(b)
			return nil
		},
		Read: func(name string) ([]byte, error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			switch name {
			case "/dev/attestation/attestation_type":
				return []byte(e.kind + "\n"), nil
			case "/dev/attestation/quote":
				return append([]byte("quote:"), e.data...), nil
			}
			return nil, fs.ErrNotExist
		},
	}
}

func TestQuotesOfManyAreNotMixed(t *testing.T) {
	q := &gramine.Quoter{Name: "sgx", Files: (&enclave{kind: "dcap"}).files()}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			data := [host.ReportDataSize]byte{byte(i), 63: byte(i)}
			for range 50 {
				b, err := q.Quote(t.Context(), data)
				if err != nil || !bytes.Equal(b, append([]byte("quote:"), data[:]...)) {
					t.Errorf("found %q, %v", b, err)
				}
			}
		})
	}
	wg.Wait()
	q.Evidence = func(quote []byte) ([]byte, error) { return append([]byte("evidence of "), quote[:5]...), nil }
	if b, err := q.Quote(t.Context(), [host.ReportDataSize]byte{}); err != nil || string(b) != "evidence of quote" || q.Platform() != "sgx" {
		t.Errorf("found %q, %v", b, err)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	for kind, want := range map[string]string{"none": `set sgx.remote_attestation = "dcap"`, "epid": `"epid"`} {
		q := &gramine.Quoter{Files: (&enclave{kind: kind}).files()}
		if _, err := q.Quote(t.Context(), [host.ReportDataSize]byte{}); !errors.Is(err, coco.ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found %v", kind, err)
		}
	}
	root := t.TempDir()
	q := &gramine.Quoter{Root: root}
	if err := q.Check(); !errors.Is(err, coco.ErrNotFound) || !strings.Contains(err.Error(), "does not run in an SGX enclave") {
		t.Errorf("found %v", err)
	}
	// By real files, which no enclave answers.
	if err := os.WriteFile(filepath.Join(root, "attestation_type"), []byte("dcap"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := q.Check(); err != nil {
		t.Error(err)
	}
	if _, err := q.Quote(t.Context(), [host.ReportDataSize]byte{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "aesmd") {
		t.Errorf("found %v", err)
	}
}
