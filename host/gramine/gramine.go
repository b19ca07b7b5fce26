// Package gramine asks Gramine for quotes of the SGX enclave that the program runs in, by the pseudo-files below /dev/attestation (Gramine's documentation, "Attestation and secret provisioning").
//
//	attestation_type     read: "dcap" if the enclave's manifest has sgx.remote_attestation = "dcap"
//	user_report_data     written: the report data, 64 bytes
//	quote                read: the quote
//	keys/_sgx_mrenclave  read: the enclave's sealing key
//
// The files exist only inside an enclave, where Gramine's library OS answers; the quote itself comes from the machine's quoting enclave.
//
// Trust: host
package gramine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Root is where Gramine has the interface.
const Root = "/dev/attestation"

// MaxQuote bounds a quote in bytes.
const MaxQuote = 128 << 10

// Files are the operations on the interface. Tests stand in for Gramine.
type Files struct {
	Write func(name string, b []byte) error
	Read  func(name string) ([]byte, error)
}

// Quoter makes evidence of the enclave. It MUST NOT be copied: the files are one for all of the process, so that a quote has them for itself.
type Quoter struct {
	// Name is the platform.
	Name string
	// Root is Root if it is empty.
	Root  string
	Files *Files // nil: the operating system's
	// Evidence makes evidence of a quote: the platform adds what its verifiers need. It may be nil.
	Evidence func(quote []byte) ([]byte, error)

	mu sync.Mutex // held while the files are used
}

var _ host.Quoter = (*Quoter)(nil)

func (q *Quoter) with() (string, Files) {
	root, files := q.Root, Files{Write: func(name string, b []byte) error { return os.WriteFile(name, b, 0) }, Read: os.ReadFile}
	if root == "" {
		root = Root
	}
	if q.Files != nil {
		files = *q.Files
	}
	return root, files
}

// Platform implements host.Quoter.
func (q *Quoter) Platform() string { return q.Name }

// Check says whether the program runs in an enclave that can be quoted. The error wraps coco.ErrNotFound if it does not.
func (q *Quoter) Check() error {
	root, files := q.with()
	b, err := files.Read(path.Join(root, "attestation_type"))
	switch kind := string(bytes.TrimSpace(b)); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is not there: the program does not run in an SGX enclave of Gramine", coco.ErrNotFound, root)
	case err != nil:
		return fmt.Errorf("kind of attestation: %w", err)
	case kind != "dcap":
		return fmt.Errorf("%w: the enclave's attestation is %q, expected \"dcap\": set sgx.remote_attestation = \"dcap\" in its manifest", coco.ErrNotFound, kind)
	}
	return nil
}

// Quote implements host.Quoter.
func (q *Quoter) Quote(ctx context.Context, reportData [host.ReportDataSize]byte) ([]byte, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	quote, err := q.ask(ctx, reportData)
	if err != nil || q.Evidence == nil {
		return quote, err
	}
	return q.Evidence(quote)
}

func (q *Quoter) ask(ctx context.Context, reportData [host.ReportDataSize]byte) ([]byte, error) {
	root, files := q.with()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := files.Write(path.Join(root, "user_report_data"), reportData[:]); err != nil {
		return nil, fmt.Errorf("give the report data to Gramine: %w", err)
	}
	quote, err := files.Read(path.Join(root, "quote"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("quote from Gramine: %w; the machine needs a quoting enclave (aesmd) and a provider of certificates (qcnl, PCCS)", err)
	case len(quote) == 0 || len(quote) > MaxQuote:
		return nil, fmt.Errorf("quote from Gramine: %d bytes: expected 1 to %d", len(quote), MaxQuote)
	}
	return quote, nil
}
