package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/wire"
)

// rolledBack is a network of one member whose host put an older copy of its disk in place. It returns the last transaction of the
// copy, and one that was committed after it.
func (n *network) rolledBack() (kept, lost coco.TxID) {
	n.t.Helper()
	n.waitReady(n.Start(0, n.Found))
	var err error
	if kept, err = put(n.client(0, 0), "k", "old"); err != nil {
		n.t.Fatal(err)
	}
	_ = n.Halt(0)
	files := n.World.Files(hostName(0), "")
	n.waitReady(n.Start(0, n.Recover))
	for range 40 { // so that what the network commits by itself has not reached its number when it is asked for
		if lost, err = put(n.client(0, 0), "k", "new"); err != nil {
			n.t.Fatal(err)
		}
	}
	_ = n.Halt(0)
	n.World.SetFiles(hostName(0), files)
	return kept, lost
}

func TestALedgerThatLacksWhatWasCommittedIsNotGoneOnFrom(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		kept, lost := n.rolledBack()
		asked := false
		recoverWith := func(atLeast coco.TxID) *node.Recover {
			return &node.Recover{AtLeast: atLeast, Release: func(ctx context.Context, round *recovery.Round) ([]error, error) {
				asked = true
				return n.Release(ctx, round)
			}}
		}
		for name, atLeast := range map[string]coco.TxID{
			"a later transaction":                 lost,
			"the same seqno in another history":   {View: kept.View + 1, Seqno: kept.Seqno},
			"a later seqno of the view that ends": {View: kept.View, Seqno: kept.Seqno + 1},
		} {
			r := n.Start(0, func(c *node.Config) { n.Recover(c); c.Recover = recoverWith(atLeast) })
			var loss *node.LossError
			if err := r.Await(time.Minute); !errors.As(err, &loss) || loss.Point.Last() != kept || loss.Lacks != atLeast || !errors.Is(err, coco.ErrVerify) {
				t.Errorf("%s: %v", name, err)
			}
			n.Forget(0)
		}
		if asked {
			t.Error("members were asked for their shares of a ledger that was rolled back")
		}
		n.waitReady(n.Start(0, func(c *node.Config) { n.Recover(c); c.Recover = recoverWith(kept) }))
		if v, err := get(n.client(0, 0), "/app/kv/k"); err != nil || v != "old" || !asked {
			t.Errorf("the ledger ends with what is asked for: %q, %v", v, err)
		}
	})
}

// Members that remember nothing go on from an older copy. A client that has seen a transaction which is lost by that is not answered from another history: it
// waits for the transaction's number, and once another one has that, it is told.
func TestASessionThatSawALostTransactionIsToldSo(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		kept, lost := n.rolledBack()
		n.waitReady(n.Start(0, n.Recover))
		since := func(seen coco.TxID) (int, string) {
			req, err := http.NewRequest(http.MethodGet, "https://node/app/kv/k", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(wire.HeaderAtLeast, seen.String())
			resp, err := n.client(0, 0).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			return resp.StatusCode, string(body)
		}
		newest := kept
		for _, want := range []int{http.StatusServiceUnavailable, http.StatusBadRequest} {
			if status, body := since(lost); status != want || want == http.StatusBadRequest && !strings.Contains(body, lost.String()) {
				t.Errorf("at %s, a read as of the lost transaction %s at least is answered %d %s", newest, lost, status, body)
			}
			if status, body := since(kept); status != http.StatusOK || body != "old" {
				t.Errorf("at %s, a read as of %s at least is answered %d %s", newest, kept, status, body)
			}
			for newest.Seqno <= lost.Seqno+1 {
				var err error
				if newest, err = put(n.client(0, 0), "other", "x"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if text, err := get(n.client(0, 0), "/node/tx/"+lost.String()); err != nil || !strings.Contains(text, string(wire.TxInvalid)) {
			t.Errorf("the lost transaction is %s (%v)", text, err)
		}
	})
}

func TestTheEndOfALedgerIsShownBeforeAnyKeyIsUsed(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.waitReady(n.Start(0, n.Found))
		last, err := put(n.client(0, 0), "k", "v")
		if err != nil {
			t.Fatal(err)
		}
		_ = n.Halt(0)
		var steps []string
		var shown recovery.Point
		refuse := true
		with := func(c *node.Config) {
			n.Recover(c)
			c.Recover.Show = func(e node.Ending) error {
				steps, shown = append(steps, "shown"), e.Point
				if refuse {
					return fmt.Errorf("%w: not this one", coco.ErrDenied)
				}
				return nil
			}
			c.Recover.Release = func(ctx context.Context, round *recovery.Round) ([]error, error) {
				if steps = append(steps, "asked"); round.Request().Point != shown {
					t.Errorf("shown %+v, members are asked for %+v", shown, round.Request().Point)
				}
				return n.Release(ctx, round)
			}
		}
		if err := n.Start(0, with).Await(time.Minute); !errors.Is(err, coco.ErrDenied) || len(steps) != 1 {
			t.Errorf("the end was refused: %v after %v", err, steps)
		}
		n.Forget(0)
		steps, refuse = nil, false
		n.waitReady(n.Start(0, with))
		if len(steps) < 2 || steps[0] != "shown" || steps[1] != "asked" {
			t.Errorf("steps are %v, expected that the end is shown first", steps)
		}
		if shown.Last() != last || shown.Time == 0 || shown.Root == (coco.Digest{}) || shown.Network == (coco.Digest{}) {
			t.Errorf("shown %+v, expected the end after %s", shown, last)
		}
	})
}

// A node that shows one end of the ledger to members, and asks in the name of another, opens nothing.
func TestSharesThatWereReleasedForAnotherEndOpenNothing(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.waitReady(n.Start(0, n.Found))
		_ = n.Halt(0)
		r := n.Start(0, func(c *node.Config) {
			n.Recover(c)
			c.Recover.Release = func(_ context.Context, round *recovery.Round) ([]error, error) {
				rq := round.Request()
				rq.Point.Seqno++ // what the members have read
				for _, r := range n.releases(round, rq) {
					_ = round.Submit(r)
				}
				return nil, nil
			}
		})
		var fault *recovery.Fault
		if err := r.Await(time.Minute); !errors.As(err, &fault) {
			t.Errorf("the network was recovered from another end: %v", err)
		}
		n.Forget(0)
	})
}

// releases are those of all members, for a request.
func (n *network) releases(round *recovery.Round, rq recovery.Request) (all []recovery.Release) {
	for _, m := range n.Members {
		r, err := recovery.New(rq, round.Lock(), m.Actor(), m.Share)
		if err != nil {
			n.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// Two of three are needed: it is enough that two are there, whichever they are, and the third is named.
func TestARecoveryNeedsAThresholdOfMembersAndNoMore(t *testing.T) {
	for away := range 3 {
		for name, spoil := range map[string]func(r *recovery.Release){
			"missing": nil, "damaged": func(r *recovery.Release) { r.Box[len(r.Box)-1] ^= 1 },
		} {
			t.Run(fmt.Sprintf("%d %s", away, name), func(t *testing.T) {
				simulate(t, 3, func(t *testing.T, n *network) {
					n.waitReady(n.Start(0, n.Found))
					_ = n.Halt(0)
					log := n.listen(0)
					n.waitReady(n.Start(0, func(c *node.Config) {
						n.Recover(c)
						c.Recover.Release = func(_ context.Context, round *recovery.Round) (missing []error, _ error) {
							for i, r := range n.releases(round, round.Request()) {
								switch {
								case i != away:
								case spoil == nil:
									missing = append(missing, fmt.Errorf("%w: %s is away", coco.ErrUnreachable, n.Members[away].Name))
									continue
								default:
									spoil(&r)
								}
								_ = round.Submit(r)
							}
							return missing, nil
						}
					}))
					who := n.Members[away].Name
					if spoil != nil {
						who = n.Members[away].Actor().Short()
					}
					if said := log.String(); !strings.Contains(said, string(logevent.ShareUnusable)) || !strings.Contains(said, who) {
						t.Errorf("%s: the log does not name %s:\n%s", name, who, log)
					}
				})
			})
		}
	}
}
