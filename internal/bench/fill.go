package bench

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync/atomic"

	crand "crypto/rand"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"golang.org/x/sync/errgroup"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
)

// FillOptions say what state a network is to hold.
type FillOptions struct {
	Targets []link.Target
	// Keys are written under /app/kv/ with values of ValueBytes, so many that are not there yet.
	Keys, ValueBytes int
	// Accounts receive one wei each, from the Funders: private keys in hexadecimal.
	Accounts int
	Funders  []string
}

const (
	fillClients = 8
	fillOps     = 1000 // of one transaction of kv
)

// Fill puts keys and accounts into a network. Everything is committed when it returns.
func Fill(ctx context.Context, o FillOptions, progress func(Sample)) error {
	base := Options{Work: Transfer, Targets: o.Targets, Funders: o.Funders, Clients: fillClients}
	if o.Accounts == 0 {
		base.Work = KV
	}
	if err := base.validate(); err != nil {
		return err
	}
	r := &run{Options: base, meter: meter{progress: progress}}
	if o.Keys > 0 {
		if err := r.fillKeys(ctx, o.Keys, o.ValueBytes); err != nil {
			return r.explain(ctx, err)
		}
	}
	if o.Accounts > 0 {
		if err := r.fillAccounts(ctx, o.Accounts); err != nil {
			return r.explain(ctx, err)
		}
	}
	return nil
}

// share runs fn for every client's turns until all are taken.
func (r *run) share(ctx context.Context, turns int, fn func(ctx context.Context, client, turn int) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for c := range fillClients {
		g.Go(func() error {
			for {
				turn := int(next.Add(1)) - 1
				if turn >= turns {
					return nil
				}
				if err := fn(ctx, c, turn); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// fillKeys writes keys, fillOps in one transaction.
func (r *run) fillKeys(ctx context.Context, keys, size int) error {
	clients, err := r.connectAll(ctx, fillClients)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	random := make([]byte, max(size, 8))
	_, _ = crand.Read(random) // never fails
	prefix := "fill-" + hex.EncodeToString(random[:4]) + "-"
	value := base64.StdEncoding.EncodeToString(random[:size])
	var count counters
	return r.during("keys", keys, &count, func() error {
		return r.share(ctx, (keys+fillOps-1)/fillOps, func(ctx context.Context, c, turn int) error {
			first := turn * fillOps
			n := min(fillOps, keys-first)
			body := []byte("[")
			for i := range n {
				if i > 0 {
					body = append(body, ',')
				}
				key := base64.StdEncoding.EncodeToString([]byte(prefix + strconv.Itoa(first+i)))
				body = append(body, `{"op":"put","key":"`+key+`","value":"`+value+`"}`...)
			}
			body = append(body, ']')
			s := clients[c].session
			p := s.patience()
			_, err := s.send(&p, func(l link.Link) ([]byte, error) {
				h, ok := l.(*link.HTTP)
				if !ok {
					return nil, fmt.Errorf("%w: bench: keys are written over HTTP", coco.ErrInvalid)
				}
				return h.Do("POST", strings.TrimSuffix(kvPath, "/"), body)
			})
			if err == nil {
				count.done.Add(uint64(n))
			}
			return err
		})
	})
}

// fillAccounts sends one wei to each of many accounts that were not there before.
func (r *run) fillAccounts(ctx context.Context, accounts int) error {
	clients, err := r.connectAll(ctx, min(fillClients, len(r.Funders)))
	if err != nil {
		return err
	}
	defer closeAll(clients)
	w := &ethWork{run: r}
	var id hexutil.Big
	if err := clients[0].askOne(&id, "eth_chainId"); err != nil {
		return err
	}
	w.chainID = id.ToInt()
	w.signer = types.LatestSignerForChainID(w.chainID)
	fresh, err := crypto.GenerateKey()
	if err != nil {
		return err
	}
	owner := crypto.PubkeyToAddress(fresh.PublicKey)
	var count counters
	return r.during("accounts", accounts, &count, func() error {
		g, ctx := errgroup.WithContext(ctx)
		for i, c := range clients {
			g.Go(func() error {
				key, err := crypto.HexToECDSA(strings.TrimPrefix(r.Funders[i], "0x"))
				if err != nil {
					return fmt.Errorf("%w: bench: a funder's private key: expected 64 hexadecimal digits", coco.ErrInvalid)
				}
				s := w.senderOf(c.session, key)
				if s.next, err = s.chainNonce(); err != nil {
					return err
				}
				return s.scatter(ctx, owner, i, len(clients), accounts, &count)
			})
		}
		return g.Wait()
	})
}

// scatter sends to every step-th of so many accounts, from first on.
func (s *sender) scatter(ctx context.Context, owner common.Address, first, step, accounts int, count *counters) error {
	for at := first; at < accounts; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var raws [][]byte
		for ; at < accounts && len(raws) < maxQueries; at += step {
			to := crypto.CreateAddress(owner, uint64(at))
			tx, err := types.SignNewTx(s.key, s.work.signer, s.work.data(s.next+uint64(len(raws)), &to, big.NewInt(1), gasEther, nil))
			if err != nil {
				return err
			}
			raw, err := tx.MarshalBinary()
			if err != nil {
				return err
			}
			raws = append(raws, raw)
		}
		n, err := s.submit(raws, false)
		s.next += uint64(n)
		count.done.Add(uint64(n))
		if err == nil && n < len(raws) {
			err = errors.New("transactions were left out")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.close()
	}
}
