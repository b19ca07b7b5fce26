package join

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/succession"
)

// ServiceFile is the file in a ledger's folder that says whose ledger it is: the service's certificate in PEM form. The
// ledger's first batch says the same, where it is there: a node that began with a snapshot may not have fetched it yet.
const ServiceFile = "service.pem"

// Folder is a ledger's folder on a node's disk, before it is opened. What it says of itself is the host's word. It may
// therefore keep a node out of a network and the node's hands off the folder, and allow nothing that a network has not proven.
type Folder struct {
	Disk  host.Disk
	Dir   string
	Extra []host.Disk // folders of chunks that were moved away
}

// Service returns the certificate of the service whose ledger the folder holds, nil if nothing there says it.
func (f Folder) Service() (*x509.Certificate, error) {
	raw, err := ledger.FirstBatch(f.Disk, f.Dir, f.Extra...)
	if err == nil {
		if service := serviceOf(raw); service != nil {
			return service, nil
		}
	} else if !errors.Is(err, coco.ErrNotFound) {
		return nil, err
	}
	return f.noted()
}

// serviceOf returns the certificate that the first batch of a network names; nil if it is no such batch.
func serviceOf(raw []byte) *x509.Certificate {
	b, err := batch.Decode(raw)
	if err != nil {
		return nil
	}
	public, err := b.PublicRecords()
	if err != nil || len(public) == 0 {
		return nil
	}
	writes, err := store.DecodeWrites(public[0])
	if err != nil {
		return nil
	}
	for _, w := range writes {
		if w.Table == table.ServiceTable && string(w.Key) == table.CertificateKey {
			service, err := members.ParseService(w.Value)
			if err != nil {
				return nil
			}
			return service
		}
	}
	return nil
}

// noted reads ServiceFile. One that a crash left empty or cut says nothing.
func (f Folder) noted() (*x509.Certificate, error) {
	file, err := f.Disk.Open(f.Dir + "/" + ServiceFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whose ledger this is: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.NewSectionReader(file, 0, 2*table.MaxServiceBytes))
	if err != nil {
		return nil, fmt.Errorf("read whose ledger this is: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, nil
	}
	service, err := members.ParseService(block.Bytes)
	if err != nil {
		return nil, nil
	}
	return service, nil
}

// Note writes ServiceFile, unless it names the service already. It MUST be called before the first entry is written. A crash leaves
// no file or one that says nothing; the next life of the node writes it.
func (f Folder) Note(service *x509.Certificate) error {
	if old, err := f.noted(); err != nil || old != nil && SameService(old, service) {
		return err
	}
	file, err := f.Disk.Create(f.Dir + "/" + ServiceFile)
	if err != nil {
		return fmt.Errorf("note whose ledger this is: %w", err)
	}
	defer file.Close()
	if _, err = file.WriteAt(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Raw}), 0); err == nil {
		err = file.Sync()
	}
	if err != nil {
		return fmt.Errorf("note whose ledger this is: %w", err)
	}
	return nil
}

// Admits returns an error of kind coco.ErrVerify if the folder holds another service's ledger than the one given, a certificate.
// The error is nil too if nothing there says whose ledger it is.
func (f Folder) Admits(service *x509.Certificate) error {
	held, err := f.Service()
	if err != nil || held == nil || SameService(held, service) {
		return err
	}
	return fmt.Errorf("%w: the folder %q holds the ledger of %s, and this node is to take part in %s: nothing in it was changed: give the node a folder of its own",
		coco.ErrVerify, f.Dir, showService(held), showService(service))
}

// Belongs returns an error of kind coco.ErrVerify unless the folder is known to hold the ledger of the service given: only then
// its files may be moved away for those of the network.
func (f Folder) Belongs(service *x509.Certificate) error {
	held, err := f.Service()
	switch {
	case err != nil:
		return err
	case held == nil:
		return fmt.Errorf("%w: nothing in the folder %q says whose ledger it holds, and the network has none of it: nothing was changed: move the files away, or give the node a folder of its own",
			coco.ErrVerify, f.Dir)
	}
	return f.Admits(service)
}

// SameService reports whether two certificates are of one network's services: a certificate is renewed, and its key stays; a recovery gives a network a service
// that follows the one before.
func SameService(a, b *x509.Certificate) bool {
	x, err1 := succession.ID(a)
	y, err2 := succession.ID(b)
	return err1 == nil && err2 == nil && x == y
}

// showService names a service for people.
func showService(service *x509.Certificate) string {
	return fmt.Sprintf("network %q (service %s)", service.Subject.CommonName, serviceID(service).Short())
}
