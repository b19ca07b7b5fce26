package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/lograte"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/replica"
)

// maxRepairs is how often in a row a node repairs a ledger that does not agree with the network before it
// gives up.
const maxRepairs = 2

// Run runs a node until ctx ends. It calls ready each time the node takes part in the network.
// A node whose ledger turns out damaged, or that the network went on without, begins another life under a new key.
func Run(ctx context.Context, cfg Config, ready func(Info)) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	cfg.Log = lograte.New(cfg.Log.Handler(), cfg.Host.Clock.Elapsed)
	cfg.past.began, cfg.past.known = cfg.Host.Clock.Now(), &known{}
	for repairs := 0; ; {
		cfg.past.lives++
		err := liveOnce(ctx, &cfg, ready)
		cfg.past.admitted = nil // of no use to the life after
		var behind *join.LeftBehindError
		if recovered, ok := errors.AsType[*join.RecoveredError](err); ok {
			return errors.Join(recovered, cfg.vault().Wipe())
		}
		if errors.As(err, &behind) {
			cfg.Log.Error("the network went on without this node: joining it again", logevent.NodeLeftBehind.Attr(), "error", err)
			cfg.again(behind)
			repairs = 0
			continue
		}
		if len(cfg.Join) == 0 || repairs == maxRepairs {
			return err // a ledger that no other node can replace stays as it is
		}
		repairs++
		if again, err := repair(cfg, err); !again {
			return err
		}
	}
}

// repair makes the ledger one that a joining node can go on with, if the error that ended its life says that it is not.
func repair(cfg Config, ended error) (again bool, _ error) {
	var damaged *replica.DamagedError
	var unusable *catchup.UnusableError
	switch {
	case errors.As(ended, &unusable):
		service, err := x509.ParseCertificate(cfg.service())
		if err == nil {
			own := cfg.ownLedger()
			err = own.SetAside(service, ended)
		}
		return err == nil, err
	case errors.As(ended, &damaged):
		cfg.Log.Error("this node's ledger is damaged: cutting it and fetching the rest again", logevent.LedgerCut.Attr(), "entry", damaged.Index, "error", damaged.Err)
		own := cfg.ownLedger()
		err := own.Cut(damaged.Index - 1)
		return err == nil, err
	}
	return false, ended
}

// liveOnce binds what the node is reached at, and runs one life.
func liveOnce(ctx context.Context, cfg *Config, ready func(Info)) error {
	at, err := listen(cfg)
	if err != nil {
		return err
	}
	defer at.close()
	return runOnce(ctx, *cfg, at, ready)
}

// listeners are what a node is reached at. The administrative one is nil if there is none.
type listeners struct{ peer, client, admin net.Listener }

// listen binds all listeners or none. It notes their addresses for another life.
func listen(cfg *Config) (_ listeners, err error) {
	var at listeners
	defer func() {
		if err != nil {
			at.close()
		}
	}()
	bind := func(l *net.Listener, address *string, whom string) error {
		bound, err := cfg.Host.Net.Listen(*address)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", whom, err)
		}
		*l, *address = bound, bound.Addr().String()
		return nil
	}
	if err := bind(&at.peer, &cfg.PeerListen, "nodes"); err != nil {
		return at, err
	}
	if err := bind(&at.client, &cfg.ClientListen, "clients"); err != nil {
		return at, err
	}
	if cfg.AdminListen == "" {
		return at, nil
	}
	return at, bind(&at.admin, &cfg.AdminListen, "members who govern")
}

// close closes the listeners that are bound. Closing one twice does no harm.
func (at listeners) close() {
	for _, l := range []net.Listener{at.peer, at.client, at.admin} {
		if l != nil {
			_ = l.Close()
		}
	}
}
