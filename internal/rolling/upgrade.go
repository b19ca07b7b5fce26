package rolling

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/wire"
)

// CodeChange is a change of the constitution's code manifest.
type CodeChange struct {
	Remove      bool
	Measurement coco.Measurement
}

func (c CodeChange) String() string {
	if c.Remove {
		return "remove-code " + string(c.Measurement)
	}
	return "add-code " + string(c.Measurement)
}

// Candidate is what a program says of itself that has checked that it can be a node.
type Candidate struct {
	Version     string           `json:"version"`
	Platform    string           `json:"platform"` // operating system and processor, as linux/amd64
	Measurement coco.Measurement `json:"measurement"`
}

// UpgradeOptions say how Upgrade replaces the program that a sandbox's nodes run.
type UpgradeOptions struct {
	Dir       string
	To        string // the new program's file
	Verifiers attest.Verifiers
	// Try has the program in a file check that it can be a node, under the page of the constitution in force. It
	// runs the program.
	Try func(ctx context.Context, file string, page []byte) (Candidate, error)
	// Vote has the members accept a change, and returns once it is in force. It is called again for the
	// same change after an interruption: then it goes on with the proposal that is open.
	Vote   func(context.Context, CodeChange) error
	Report func(localnet.Step)
}

// Upgrade replaces the program of a running sandbox's nodes while the network goes on: members vote the new one
// in, the nodes are replaced one after the other, the leader last, and members vote the old one out. Each
// step looks at what is there already, so after an interruption the same call goes on.
func Upgrade(ctx context.Context, opts UpgradeOptions) error {
	u := &upgrade{UpgradeOptions: opts}
	var err error
	if u.info, err = localnet.Load(opts.Dir); err != nil {
		return err
	}
	if u.To, err = filepath.Abs(opts.To); err != nil {
		return fmt.Errorf("%w: %s: %w", coco.ErrInvalid, opts.To, err)
	}
	if u.code, err = localnet.Measure(u.To); err != nil {
		return fmt.Errorf("%w: the new program: %w", coco.ErrInvalid, err)
	}
	u.Report(localnet.Step{Step: "measured", Measurement: string(u.code), Text: fmt.Sprintf("the new program measures %s", u.code)})
	for _, step := range []func(context.Context) error{u.look, u.try, u.voteIn, u.replace, u.voteOut, u.adopt} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	u.Report(localnet.Step{Step: "upgraded", Measurement: string(u.code), Text: "every node runs the new program"})
	return nil
}

type upgrade struct {
	UpgradeOptions
	info localnet.Info
	code coco.Measurement   // the new program's
	old  []coco.Measurement // that nodes ran, or were to run
	todo []localnet.Node    // that do not run the new one yet
}

// look finds out what is to be done, and whether the network can be without one of its nodes.
func (u *upgrade) look(ctx context.Context) error {
	st, err := localnet.GetStatus(ctx, u.info)
	if err != nil {
		return err
	}
	if st.Starting {
		return fmt.Errorf("%w: the network in %s is starting: ask again in a moment", coco.ErrBusy, u.info.Dir)
	}
	if n := u.info.Active(); n < spare {
		return fmt.Errorf("%w: a network of %d nodes stops while one of them is replaced: it takes %d", coco.ErrInvalid, n, spare)
	}
	u.old = []coco.Measurement{coco.Measurement(u.info.Measurement)}
	for _, n := range u.info.Nodes {
		if n.Retired {
			continue
		}
		s, err := awaitServing(ctx, u.info, n, u.Verifiers)
		if err != nil || !serves(s) {
			return fmt.Errorf("%w: node %s does not serve as it should (%s): bring it back before nodes are replaced", coco.ErrBusy, n.Name, state(s, err))
		}
		if s.Measurement == u.code {
			continue
		}
		u.todo = append(u.todo, n)
		if !slices.Contains(u.old, s.Measurement) {
			u.old = append(u.old, s.Measurement)
		}
	}
	u.old = slices.DeleteFunc(u.old, func(m coco.Measurement) bool { return m == u.code })
	return nil
}

// constitution asks a node for the one in force.
func (u *upgrade) constitution(ctx context.Context) (*constitution.Constitution, error) {
	var con *constitution.Constitution
	return con, u.ask(ctx, func(c *client.Client) (err error) {
		con, _, err = reach.Constitution(ctx, c)
		return err
	})
}

// ask asks one node after the other until one answers.
func (u *upgrade) ask(ctx context.Context, do func(*client.Client) error) (err error) {
	for _, n := range u.info.Nodes {
		if n.Retired {
			continue
		}
		var c *client.Client
		if c, err = u.info.Connect(n, u.Verifiers); err != nil {
			return err
		}
		err = do(c)
		c.Close()
		if err == nil {
			return nil
		}
	}
	return err
}

// try runs the new program before anybody is asked to list it: members vote on a measurement, which a file of any kind has.
func (u *upgrade) try(ctx context.Context) error {
	var page []byte
	if err := u.ask(ctx, func(c *client.Client) (err error) {
		_, page, err = reach.Constitution(ctx, c)
		return err
	}); err != nil {
		return err
	}
	got, err := u.Try(ctx, u.To, page)
	if err != nil {
		return err
	}
	if got.Measurement != u.code {
		return fmt.Errorf("%w: %s measures %s, and says of itself that it measures %s: it starts another program: name that one", coco.ErrInvalid, u.To, u.code, got.Measurement)
	}
	u.Report(localnet.Step{
		Step: "checked", Measurement: string(u.code),
		Text: fmt.Sprintf("it is coco %s for %s: it reads the constitution in force, attests itself, and starts", got.Version, got.Platform),
	})
	return nil
}

func (u *upgrade) voteIn(ctx context.Context) error {
	con, err := u.constitution(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(con.Measurements(), u.code) {
		u.Report(localnet.Step{Step: "listed", Measurement: string(u.code), Text: "the constitution lists it already"})
		return nil
	}
	if err := u.Vote(ctx, CodeChange{Measurement: u.code}); err != nil {
		return err
	}
	u.Report(localnet.Step{Step: "listed", Measurement: string(u.code), Text: "the constitution lists it"})
	return nil
}

func (u *upgrade) replace(ctx context.Context) error {
	if len(u.todo) == 0 {
		return nil
	}
	if err := localnet.Ask(ctx, u.info, http.MethodPost, "/code?file="+url.QueryEscape(u.To), nil); err != nil {
		return err
	}
	for len(u.todo) > 0 {
		i, old, err := nextRestart(ctx, u.info, u.todo, u.Verifiers)
		if err != nil {
			return err
		}
		if err := restartOne(ctx, u.info, u.todo[i], old, u.code, u.Verifiers, u.Report); err != nil {
			return err
		}
		u.todo = slices.Delete(u.todo, i, i+1)
	}
	return nil
}

// voteOut has every old program removed that no node of the network runs any more.
func (u *upgrade) voteOut(ctx context.Context) error {
	con, err := u.constitution(ctx)
	if err != nil {
		return err
	}
	var nodes []wire.Node
	if err := u.ask(ctx, func(c *client.Client) (err error) { nodes, err = c.Nodes(ctx); return err }); err != nil {
		return err
	}
	for _, old := range u.old {
		if !slices.Contains(con.Measurements(), old) {
			continue
		}
		if i := slices.IndexFunc(nodes, func(n wire.Node) bool { return n.State == "trusted" && n.Measurement == old }); i >= 0 {
			u.Report(localnet.Step{
				Step: "kept", Measurement: string(old), NodeID: nodes[i].Node.String(),
				Text: fmt.Sprintf("%s stays in the constitution: a node of %s at %s runs it", old.Short(), nodes[i].OwnerName, nodes[i].Address),
			})
			continue
		}
		if err := u.Vote(ctx, CodeChange{Remove: true, Measurement: old}); err != nil {
			return err
		}
		u.Report(localnet.Step{Step: "removed", Measurement: string(old), Text: "the constitution does not list " + old.Short() + " any more"})
	}
	return nil
}

func (u *upgrade) adopt(ctx context.Context) error {
	if now, err := localnet.Load(u.info.Dir); err == nil && now.Measurement == string(u.code) {
		return nil
	}
	return localnet.Ask(ctx, u.info, http.MethodPost, "/code?adopt="+url.QueryEscape(string(u.code)), nil)
}
