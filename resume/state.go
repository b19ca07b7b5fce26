package resume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/peer"
)

// File is the file on a node's disk that holds its sealed state.
const File = "resume/state.sealed"

// purpose is what the state is sealed for.
const purpose = "coco resume"

// version is the version of the state's form.
const version = 1

// State is what a node needs to go on. It never leaves the enclave but sealed.
type State struct {
	Version    uint64                 `cbor:"1,keyasint"`
	Network    coco.Digest            `cbor:"2,keyasint"` // its id
	Service    []byte                 `cbor:"3,keyasint"` // the service's certificate, DER
	ServiceKey keys.SecretBytes       `cbor:"4,keyasint"`
	Origin     coco.NodeID            `cbor:"5,keyasint"` // the node that started the network
	Key        keys.SecretBytes       `cbor:"6,keyasint"` // the node's
	Secrets    map[uint64]keys.Secret `cbor:"7,keyasint"` // of the epochs
	Offers     []peer.Secret          `cbor:"8,keyasint"` // of epochs that may have been announced since
	View       uint64                 `cbor:"9,keyasint"` // of the last generation that the node has promised to
	Seats      seats.Kept             `cbor:"10,keyasint"`
	// The constitution that was in force, and its version. Absent in what was kept before there was it: then the ledger's counts.
	Decided      uint64 `cbor:"11,keyasint,omitempty"`
	Constitution []byte `cbor:"12,keyasint,omitempty"` // its canonical form
}

// judge returns the constitution that says which code may have what is kept: the newest that this node has followed. The ledger's may be older, because its host may
// have put an older one beside the state; code that members have removed since would be let in by that.
func (s *State) judge(l *Ledger) (*constitution.Constitution, error) {
	if s.Decided <= l.Decided {
		return l.Constitution, nil
	}
	return constitution.Decode(s.Constitution)
}

var limits = canon.Limits{Bytes: 64 << 20, Elements: 1 << 17, Pairs: 1 << 20}

// Vault is where a node keeps its state.
type Vault struct {
	Disk   host.Disk
	Device host.Sealer // nil if the machine cannot seal
}

// Holds reports whether there is a file of a state, whatever is in it.
func (v Vault) Holds() bool {
	f, err := v.Disk.Open(File)
	if err == nil {
		_ = f.Close()
	}
	return err == nil
}

// Load returns the state that is kept; nil if there is none. The error is attest.ErrSealed if it was sealed by other code or on another machine,
// and coco.ErrCorrupt if it does not decode.
func (v Vault) Load(ctx context.Context) (*State, error) {
	f, err := v.Disk.Open(File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the sealed state: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size > int64(limits.Bytes) {
		return nil, fmt.Errorf("%w: the sealed state has %d bytes: %w", coco.ErrCorrupt, size, err)
	}
	sealed := make([]byte, size)
	if _, err := f.ReadAt(sealed, 0); err != nil && size > 0 {
		return nil, fmt.Errorf("the sealed state: %w", err)
	}
	if v.Device == nil {
		return nil, fmt.Errorf("%w: this machine cannot seal", attest.ErrSealed)
	}
	plain, err := attest.Unseal(ctx, v.Device, purpose, []byte(v.Device.Platform()), sealed)
	if err != nil {
		return nil, fmt.Errorf("the sealed state %s: %w", File, err)
	}
	defer clear(plain)
	s := new(State)
	if err := canon.UnmarshalSecret(plain, s, limits); err != nil || s.Version != version {
		return nil, fmt.Errorf("%w: the sealed state has version %d, expected %d: %w", coco.ErrCorrupt, s.Version, version, err)
	}
	return s, nil
}

// Save replaces the state that is kept. A crash leaves the old one or the new one.
func (v Vault) Save(ctx context.Context, s *State) error {
	s.Version = version
	plain, err := canon.MarshalSecret(s)
	if err != nil {
		return fmt.Errorf("the sealed state: %w", err)
	}
	defer clear(plain)
	sealed, err := attest.Seal(ctx, v.Device, purpose, []byte(v.Device.Platform()), plain)
	if err != nil {
		return err
	}
	if err := host.Replace(v.Disk, File, File+".new", sealed); err != nil {
		return fmt.Errorf("the sealed state: %w", err)
	}
	return nil
}

// Wipe removes the state that is kept, if there is one.
func (v Vault) Wipe() error {
	for _, name := range []string{File, File + ".new"} {
		if err := v.Disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the sealed state: %w", err)
		}
	}
	return nil
}
