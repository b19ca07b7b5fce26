package join

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/peer"
)

// OwnLedger is the ledger on a node's disk, in one life. Open sets the fields after the first.
type OwnLedger struct {
	Folder Folder
	Named  []byte // the certificate (DER) of the service that the operator named; empty if none is named
	Joins  bool   // the node joins a network
	Log    *slog.Logger
	Clock  host.Clock

	Files   *ledger.Log       // nil if it does not open
	Damaged error             // why it does not
	Held    *x509.Certificate // the service whose ledger it is; nil if nothing says it
}

func (l *OwnLedger) options() ledger.Options { return ledger.Options{Extra: l.Folder.Extra} }

// Open opens the ledger, unless it is another network's than the one that the operator named. A node that
// joins can do without: a ledger that does not open, as a loss of power may leave it, is set aside once the
// network has said which one it is, and the network's is fetched.
func (l *OwnLedger) Open() (err error) {
	if l.Held, err = l.Folder.Service(); err != nil {
		return err
	}
	if len(l.Named) > 0 {
		service, err := x509.ParseCertificate(l.Named)
		if err != nil {
			return fmt.Errorf("%w: the service certificate given: %w", coco.ErrInvalid, err)
		}
		if err := l.Folder.Admits(service); err != nil {
			return err
		}
	}
	l.Files, err = ledger.Open(l.Folder.Disk, l.Folder.Dir, l.options())
	if errors.Is(err, coco.ErrCorrupt) && l.Joins {
		l.Damaged, err = err, nil
	}
	return err
}

// Samples describes what of it can be read to the network.
func (l *OwnLedger) Samples(local catchup.Local) ([]peer.Sample, error) {
	if l.Files == nil {
		return nil, nil
	}
	return local.Samples()
}

// Replace sets the ledger aside that does not open, if it is known to be of a service, and opens an empty one.
func (l *OwnLedger) Replace(service *x509.Certificate) (err error) {
	if err := l.SetAside(service, l.Damaged); err != nil {
		return err
	}
	l.Files, err = ledger.Open(l.Folder.Disk, l.Folder.Dir, l.options())
	return err
}

// Close closes the ledger if it is open.
func (l *OwnLedger) Close() {
	if l.Files != nil {
		l.Files.Close()
	}
}

// SetAside moves the ledger's files to another folder, so that an operator can find out what happened to them. It touches none
// unless the ledger is known to be that of the service that the node takes part in.
func (l *OwnLedger) SetAside(service *x509.Certificate, why error) error {
	if err := l.Folder.Belongs(service); err != nil {
		return fmt.Errorf("this node's ledger is of no use (%w): %w", why, err)
	}
	dir := l.Folder.Dir
	aside := dir + "-damaged-" + l.Clock.Now().UTC().Format("20060102T150405.000")
	l.Log.Error("this node's ledger does not open: setting it aside and fetching the network's", logevent.LedgerSetAside.Attr(), "entry", ledger.DamagedEntry(why), "aside", aside, "error", why)
	names, err := l.Folder.Disk.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := l.Folder.Disk.Rename(dir+"/"+name, aside+"/"+name); err != nil {
			return fmt.Errorf("set the damaged ledger aside: %w", err)
		}
	}
	return nil
}

// Cut cuts the ledger, which is not open, behind an entry.
func (l *OwnLedger) Cut(last uint64) error {
	log, err := ledger.Open(l.Folder.Disk, l.Folder.Dir, l.options())
	if err != nil {
		return err
	}
	defer log.Close()
	if err := log.TruncateAfter(last); err != nil {
		return fmt.Errorf("cut the ledger after entry %d: %w", last, err)
	}
	return log.Sync()
}
