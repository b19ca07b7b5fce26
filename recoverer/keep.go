package recoverer

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/keys/recovery"
)

// Keep is where a recovery keeps what it must not lose when its node is started again: the key that releases are encrypted to, sealed to this code and
// machine, and the releases, as members encrypted them. The host may lose or alter any of it: then members are asked again.
type Keep struct {
	// Save writes a file as a whole, and Load returns all of them by their names.
	Save func(name string, data []byte) error
	Load func() (map[string][]byte, error)
	// Wipe removes all of them.
	Wipe func() error
	// Seal encrypts so that the same code on the same machine alone opens it.
	Seal, Unseal func(ctx context.Context, data []byte) ([]byte, error)
}

// The names of the files: the receiver's, and how those of releases begin.
const (
	receiverFile  = "receiver"
	releasePrefix = "release-"
)

// Receiver returns what opens the members' releases: the one that was kept, if it is for the same end of the ledger, or a new one.
func (r *Recoverer) Receiver(ctx context.Context, p recovery.Point, resume bool) (*recovery.Receiver, error) {
	k := r.cfg.Keep
	if k == nil {
		return recovery.NewReceiver(p, resume)
	}
	if kept := k.receiver(ctx); kept != nil {
		if rq := kept.Request(); rq.Point == p && rq.Resume == resume {
			return kept, nil
		}
	}
	fresh, err := recovery.NewReceiver(p, resume)
	if err != nil {
		return nil, err
	}
	secret, err := fresh.Marshal()
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	sealed, err := k.Seal(ctx, secret)
	if err == nil {
		err = k.Save(receiverFile, sealed)
	}
	if err != nil {
		r.cfg.Log.Warn("the key of the recovery is not kept: started again, the node asks members again", "error", err)
	}
	return fresh, nil
}

// receiver returns the one that was kept; nil if there is none that opens.
func (k *Keep) receiver(ctx context.Context) *recovery.Receiver {
	files, err := k.Load()
	if err != nil || files[receiverFile] == nil {
		return nil
	}
	secret, err := k.Unseal(ctx, files[receiverFile])
	if err != nil {
		return nil
	}
	defer clear(secret)
	kept, err := recovery.ParseReceiver(secret)
	if err != nil {
		return nil
	}
	return kept
}

// keep keeps a release that is right.
func (r *Recoverer) keep(in recovery.Release) {
	if r.cfg.Keep == nil {
		return
	}
	b, err := in.Marshal()
	if err == nil {
		err = r.cfg.Keep.Save(releasePrefix+in.Lock.String()[:16]+"-"+in.Actor.String(), b)
	}
	if err != nil {
		r.cfg.Log.Warn("a member's release is not kept: started again, the node asks the member again", "actor", in.Actor.Short(), "error", err)
	}
}

// Recovered removes what was kept, once the network goes on: with the releases this code could open the ledger again from the same end, without asking members.
func (r *Recoverer) Recovered() {
	if r.cfg.Keep == nil {
		return
	}
	if err := r.cfg.Keep.Wipe(); err != nil {
		r.cfg.Log.Error("the key and the releases of the recovery are not removed: remove the folder `recovery` of this node", "error", err)
	}
}

// again submits the releases that were kept. Those for another key, another end or another lock do not count, and say nothing about a member.
func (r *Recoverer) again(round *recovery.Round) {
	if r.cfg.Keep == nil {
		return
	}
	files, err := r.cfg.Keep.Load()
	if err != nil {
		r.cfg.Log.Warn("the releases that were kept cannot be read", "error", err)
		return
	}
	for name, b := range files {
		if !strings.HasPrefix(name, releasePrefix) {
			continue
		}
		in, err := recovery.ParseRelease(b)
		if err == nil {
			err = round.Resubmit(in)
		}
		if err == nil {
			r.cfg.Log.Info("a member had released its part before this node was started again", "actor", in.Actor.Short())
		}
	}
}

// keepDir is the folder on the node's disk.
const keepDir = "recovery"

// maxKept bounds a file that is read back, in bytes.
const maxKept = 64 << 10

// KeepOn keeps on a node's disk what the machine's TEE seals.
func KeepOn(disk host.Disk, device host.Sealer) *Keep {
	const purpose = "coco recovery receiver"
	return &Keep{
		Save: func(name string, data []byte) error { return save(disk, name, data) },
		Load: func() (map[string][]byte, error) { return load(disk) },
		Wipe: func() error { return wipe(disk) },
		Seal: func(ctx context.Context, data []byte) ([]byte, error) {
			return attest.Seal(ctx, device, purpose, nil, data)
		},
		Unseal: func(ctx context.Context, data []byte) ([]byte, error) {
			return attest.Unseal(ctx, device, purpose, nil, data)
		},
	}
}

// partSuffix ends the name of a file that is being written.
const partSuffix = ".part"

// save writes a file as a whole. A crash leaves the old one or none.
func save(disk host.Disk, name string, data []byte) error {
	path := keepDir + "/" + name
	return host.Replace(disk, path, path+partSuffix, data)
}

func wipe(disk host.Disk) error {
	names, err := disk.List(keepDir)
	for _, name := range names {
		err = errors.Join(err, disk.Remove(keepDir+"/"+name))
	}
	return err
}

func load(disk host.Disk) (map[string][]byte, error) {
	names, err := disk.List(keepDir)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, name := range names {
		if strings.HasSuffix(name, partSuffix) {
			continue
		}
		f, err := disk.Open(keepDir + "/" + name)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.NewSectionReader(f, 0, maxKept))
		f.Close()
		if err != nil {
			return nil, err
		}
		out[name] = b
	}
	return out, nil
}
