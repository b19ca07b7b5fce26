package recoverycmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/rehearsal"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/wire"
)

func splitPath(path string) (dir, name string) { return filepath.Dir(path), filepath.Base(path) }

// member is what a member says of itself and of what it knows.
type member struct {
	key          string // file
	ledger       string // folder of a copy of its own
	constitution string // file
	service      string // file
	accept       string // transaction
}

func (m *member) keyFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.key, "key", "", "the member's encryption key, a PEM `file`")
	_ = cmd.MarkFlagRequired("key")
	_ = cmd.MarkFlagFilename("key")
}

// trustFlags are for commands that release.
func (m *member) trustFlags(cmd *cobra.Command) {
	m.keyFlag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&m.ledger, "ledger", "", "`folder` of a copy of the ledger: its constitution says which code may have the part")
	fl.StringVar(&m.constitution, "constitution", "", "without a copy: the constitution that was in force, a TOML `file`")
	fl.StringVar(&m.service, "service", "", "the service certificate that the network had, a PEM `file`")
	fl.StringVar(&m.accept, "accept", "", "`transaction`, as view.seqno, that the ledger ends with: what the member consents to go on from, without a question")
	_ = cmd.MarkFlagFilename("service")
	_ = cmd.MarkFlagFilename("constitution", "toml")
}

// known is what a member knows of the network without the node that recovers.
type known struct {
	constitution *constitution.Constitution
	network      coco.Digest
	copy         *rehearsal.Copy // nil without a copy
}

// learn reads the member's own copy, or the constitution and the service certificate that it kept.
func (a *app) learn(ctx context.Context, m *member, seqnos ...uint64) (*known, error) {
	service, err := readService(m.service)
	if err != nil {
		return nil, err
	}
	switch {
	case m.ledger != "":
		c, err := a.verify(ctx, m.ledger, service, seqnos...)
		if err != nil {
			return nil, err
		}
		p, err := c.Point()
		return &known{c.Constitution(), p.Network, c}, err
	case m.constitution == "" || service == nil:
		return nil, fmt.Errorf("%w: which code may have the part? Name a copy of the ledger with --ledger, or the constitution that was in force and the service certificate with --constitution and --service", coco.ErrInvalid)
	}
	page, err := os.ReadFile(m.constitution)
	if err != nil {
		return nil, cli.FileError("constitution", err)
	}
	k := &known{}
	if k.constitution, err = constitution.Parse(page); err != nil {
		return nil, fmt.Errorf("%s: %w", m.constitution, err)
	}
	k.network, err = table.NetworkID(service.Raw)
	return k, err
}

// asked is a request that a member has verified.
type asked struct {
	request recovery.Request
	lock    *recovery.Lock
	actor   coco.ActorID
	claims  attest.Claims
}

// check verifies a request by what the member knows: the network, the code that holds the key to release to, and the end of the ledger.
func (k *known) check(in wire.RecoveryRequest, verifiers attest.Verifiers, key *keys.MemberKey) (*asked, error) {
	q := &asked{}
	var err error
	if q.request, err = recovery.ParseRequest(in.Request); err != nil {
		return nil, err
	}
	if q.lock, err = recovery.ParseLock(in.Lock); err != nil {
		return nil, err
	}
	if q.request.Point.Network != k.network {
		return nil, fmt.Errorf("%w: the node recovers the network %s, and the member's is %s: nothing was released", coco.ErrVerify, q.request.Point.Network.Short(), k.network.Short())
	}
	if q.claims, err = verifiers.Verify(attest.Evidence{Platform: in.Platform, Quote: in.Quote}, time.Now()); err != nil {
		return nil, fmt.Errorf("the evidence of the node that recovers: %w: nothing was released", err)
	}
	digest := q.request.Digest()
	if err := k.constitution.CheckEvidenceFor(recovery.Purpose, q.claims, q.request.Key, digest[:]); err != nil {
		return nil, fmt.Errorf("the evidence of the node that recovers: %w: nothing was released", err)
	}
	var ok bool
	if q.actor, ok = q.lock.ActorOf(key.Public()); !ok {
		return nil, fmt.Errorf("%w: %s has no part for this key: use the encryption key that the constitution lists for the member: nothing was released", coco.ErrVerify, q.lock)
	}
	return q, k.compare(q)
}

// compare compares the end that the node goes on from with the member's own copy.
func (k *known) compare(q *asked) error {
	if k.copy == nil {
		return nil
	}
	p, err := k.copy.Point()
	if err != nil {
		return err
	}
	theirs := q.request.Point
	if theirs.Seqno == p.Seqno && (theirs.View != p.View || theirs.Root != p.Root) {
		return fmt.Errorf("%w: the node's ledger and the member's copy both have %d transactions, and differ: transaction %s with root %s, and %s with root %s: nothing was released",
			coco.ErrVerify, p.Seqno, theirs.Last(), theirs.Root.Short(), p.Last(), p.Root.Short())
	}
	if view := k.copy.ViewOf(theirs.Seqno); theirs.Seqno < p.Seqno && view != theirs.View {
		return fmt.Errorf("%w: the node's ledger ends with transaction %s, and the member's copy has %d.%d in its place: nothing was released", coco.ErrVerify, theirs.Last(), view, theirs.Seqno)
	}
	return nil
}

// show shows what a member consents to.
func (a *app) show(k *known, q *asked) {
	p, c, pt := a.Out, k.constitution, q.request.Point
	if c.Network.Insecure {
		p.Insecure()
	}
	p.Printf("%s is to go on from this end of its ledger:\n\n", p.Bold(c.Network.Name))
	p.Printf("  last transaction  %s of %s\n  root              %s\n  point             %s\n", pt.Last(), stamp(pt.Time), pt.Root, q.request.Point.Digest())
	p.Printf("  code              %s, attested\n", q.claims.Measurement)
	p.Printf("  opens             %s, with %d of %d members' parts; this one is %q's\n", q.lock, q.lock.Threshold(), len(q.lock.Holders()), c.Name(q.actor))
	a.warnOfOwner(q.lock.Threshold(), len(q.lock.Holders()))
	if q.request.Resume {
		p.Printf("  then              it goes on at once, under the same service\n")
	} else {
		p.Printf("  then              members vote to open it, under a new service\n")
	}
	if c.Recovery.Unattended == constitution.Yes {
		p.Printf("  beware            the network's nodes go on by themselves once enough of them start again (recovery.unattended): whoever starts the recovery\n" +
			"                    confirms that too few are left, since there would be two networks\n")
	}
	switch mine := k.copy; {
	case mine == nil:
	case mine.Report.Last.Seqno > pt.Seqno:
		p.Printf("\n%s\n", p.Red(fmt.Sprintf("Your copy goes further, up to %s: %s would be lost.", mine.Report.Last, cli.Plural(mine.Report.Last.Seqno-pt.Seqno, "transaction"))))
	case mine.Report.Last.Seqno < pt.Seqno:
		p.Printf("\n  your copy         ends before, with %s\n", mine.Report.Last)
	default:
		p.Printf("\n  your copy         ends with the same transaction and root\n")
	}
}

// consent has the member accept the end of the ledger.
func (a *app) consent(m *member, k *known, q *asked) error {
	last := q.request.Point.Last()
	if m.accept != "" {
		accepted, err := coco.ParseTxID(m.accept)
		if err != nil {
			return fmt.Errorf("--accept: %w", err)
		}
		if accepted != last {
			return fmt.Errorf("%w: the node's ledger ends with transaction %s, and what is accepted is %s: nothing was released", coco.ErrDenied, last, accepted)
		}
		return nil
	}
	if !a.WantsJSON() {
		a.show(k, q)
	}
	if !a.Asks() {
		return fmt.Errorf("%w: the node's ledger ends with transaction %s of %s, root %s: nothing was released: consent with --accept %s", coco.ErrDenied, last, stamp(q.request.Point.Time), q.request.Point.Root, last)
	}
	yes, err := a.Ask(fmt.Sprintf("\nRelease the part of %q for this end?", k.constitution.Name(q.actor)))
	if err == nil && !yes {
		err = fmt.Errorf("%w: nothing was released", coco.ErrDenied)
	}
	return err
}

// seal makes the member's release, once the member has consented.
func (a *app) seal(ctx context.Context, m *member, in wire.RecoveryRequest) (out wire.RecoveryRelease, q *asked, k *known, err error) {
	rq, err := recovery.ParseRequest(in.Request)
	if err != nil {
		return out, nil, nil, err
	}
	key, err := identity.ReadMemberKey(m.key, keyfile.Read)
	if err != nil {
		return out, nil, nil, err
	}
	if k, err = a.learn(ctx, m, rq.Point.Seqno); err != nil {
		return out, nil, nil, err
	}
	if q, err = k.check(in, a.Verifiers(), key); err != nil {
		return out, nil, nil, err
	}
	if err := a.consent(m, k, q); err != nil {
		return out, nil, nil, err
	}
	r, err := recovery.New(q.request, q.lock, q.actor, key)
	if err != nil {
		return out, nil, nil, err
	}
	out.Release, err = r.Marshal()
	return out, q, k, err
}

// checked is the answer of `coco recovery share check -o json`.
type checked struct {
	OK    bool         `json:"ok"`
	Actor coco.ActorID `json:"actor,omitzero"`
	Name  string       `json:"name,omitempty"`
	Lock  string       `json:"lock"`
	Last  coco.TxID    `json:"last"`
	Error string       `json:"error,omitempty"`
}

func (a *app) checkCommand() *cobra.Command {
	m := &member{}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Does this key open its part of the ledger? Reveals nothing",
		Long: `Verifies a copy of the ledger without any key, and then opens the part that is encrypted to the member's key, as in earnest.
The part stays in this process. Nothing is asked of anybody: it works on a machine without a network.

Do it after each change of members or of keys, and before a key goes into the safe. Exits with 3 if the key has no part, or the part
does not open.`,
		Example: "  coco recovery share check --ledger /backup/alpha --key delta/encryption.key",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			service, err := readService(m.service)
			if err != nil {
				return err
			}
			key, err := identity.ReadMemberKey(m.key, keyfile.Read)
			if err != nil {
				return err
			}
			c, err := a.verify(cmd.Context(), m.ledger, service)
			if err != nil {
				return err
			}
			actor, lock, err := c.CheckKey(key)
			out := checked{OK: err == nil, Actor: actor, Name: c.Constitution().Name(actor), Last: c.Report.Last}
			if lock != nil {
				out.Lock = lock.String()
			}
			if a.WantsJSON() {
				if err != nil {
					out.Error = err.Error()
				}
				return errors.Join(a.Out.JSON(out), err)
			}
			if err != nil {
				return err
			}
			a.Out.OK("%s opens the part of %q in %s, which %d of %d members open together", m.key, out.Name, out.Lock, lock.Threshold(), len(lock.Holders()))
			a.Out.Printf("      the ledger ends with transaction %s; nothing was revealed\n", out.Last)
			a.warnOfOwner(lock.Threshold(), len(lock.Holders()))
			return nil
		},
	}
	m.keyFlag(cmd)
	cmd.Flags().StringVar(&m.ledger, "ledger", "", "`folder` of a copy of the ledger, or of a node")
	cmd.Flags().StringVar(&m.service, "service", "", "the service certificate that the network must have, a PEM `file`")
	_ = cmd.MarkFlagRequired("ledger")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) submitCommand() *cobra.Command {
	m, address := &member{}, ""
	cmd := &cobra.Command{
		Use:   "submit",
		Short: "Release this member's part to the node that recovers",
		Long: `Asks the node that recovers what it needs, verifies by the member's own copy of the ledger that attested code which the
constitution lists holds the key to release to, and shows where the ledger ends. Once the member consents, its part goes to that enclave, for
that end alone. The key itself stays here.

A release that is wrong is named at once, and changes nothing about those of others. Exits with 3 if the key has no part, as check does. ` + "`coco recovery status`" + ` says who is missing.`,
		Example: "  coco recovery share submit --node 10.0.0.9:9000 --ledger /backup/alpha --key delta/encryption.key\n  coco recovery share submit --node 10.0.0.9:9000 --constitution constitution.toml --service service.pem --key encryption.key --accept 2.1733",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n := a.node(address)
			defer n.close()
			rq, err := n.request(cmd.Context())
			if err != nil {
				return err
			}
			release, q, k, err := a.seal(cmd.Context(), m, rq)
			if err != nil {
				return err
			}
			return a.bring(cmd.Context(), n, release, fmt.Sprintf("the part of %q for transaction %s is with the node", k.constitution.Name(q.actor), q.request.Point.Last()))
		},
	}
	nodeFlag(cmd, &address)
	m.trustFlags(cmd)
	a.OutputFlag(cmd)
	return cmd
}

// bring submits a release, and shows who is still missing.
func (a *app) bring(ctx context.Context, n *node, release wire.RecoveryRelease, done string) error {
	s, err := n.submit(ctx, release)
	if err != nil {
		return err
	}
	if a.WantsJSON() {
		return a.Out.JSON(s)
	}
	a.Out.OK("%s", done)
	a.showState(s)
	return nil
}

func (a *app) sealCommand() *cobra.Command {
	m := &member{}
	var request, out string
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "Release this member's part into a file, on a machine without a network",
		Long: `Does what submit does, with a request that ` + "`coco recovery request`" + ` wrote, and writes the release to a file. The file is encrypted to the
node that recovers: whoever carries it learns nothing. ` + "`coco recovery share open`" + ` brings it to the node.`,
		Example: "  coco recovery share seal --request request.json --ledger /backup/alpha --key delta/encryption.key --out delta.release",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := atomicfile.Free(out); err != nil {
				return err
			}
			var rq wire.RecoveryRequest
			if err := readJSON(request, "request of a node that recovers", &rq); err != nil {
				return err
			}
			release, q, k, err := a.seal(cmd.Context(), m, rq)
			if err != nil {
				return err
			}
			if err := writeJSON(out, release); err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]string{"file": out})
			}
			a.Out.OK("the part of %q for transaction %s is in %s, for the node that asked alone", k.constitution.Name(q.actor), q.request.Point.Last(), out)
			a.Out.Printf("Next: coco recovery share open %s --node HOST:PORT\n", shell.Quote(out))
			return nil
		},
	}
	cmd.Flags().StringVar(&request, "request", "", "the node's request, a `file` of `coco recovery request`")
	cmd.Flags().StringVar(&out, "out", "", "`file` to write, which must not exist")
	_ = cmd.MarkFlagRequired("request")
	_ = cmd.MarkFlagRequired("out")
	m.trustFlags(cmd)
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) openCommand() *cobra.Command {
	address := ""
	cmd := &cobra.Command{
		Use:   "open FILE",
		Short: "Bring a release that was sealed elsewhere to the node that recovers, which opens it",
		Long: `Brings a file of ` + "`coco recovery share seal`" + ` to the node that recovers, which alone can open it. No key is needed for this.

A release that is wrong, or for another end or another node, is named at once.`,
		Example: "  coco recovery share open delta.release --node 10.0.0.9:9000",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var release wire.RecoveryRelease
			if err := readJSON(args[0], "release", &release); err != nil {
				return err
			}
			if len(release.Release) == 0 {
				return fmt.Errorf("%w: %s holds no release: name the file that `coco recovery share seal` wrote", coco.ErrInvalid, args[0])
			}
			n := a.node(address)
			defer n.close()
			return a.bring(cmd.Context(), n, release, args[0]+" is with the node")
		},
	}
	nodeFlag(cmd, &address)
	a.OutputFlag(cmd)
	return cmd
}

func writeJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return atomicfile.Create(file, append(b, '\n'), 0o600)
}
