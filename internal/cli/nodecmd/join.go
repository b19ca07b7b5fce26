package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/sdnotify"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/node"
)

func (a *app) joinCommand() *cobra.Command {
	var file, digest, log string
	cmd := &cobra.Command{
		Use:   "join",
		Short: "Join a network, and run the node until it is told to end",
		Long: `Shows the network's identity, its constitution with the digest, and what each of its nodes has proven
to run, asks for approval, and then runs the node: it asks to be admitted until it is, fetches the
ledger, and serves. It ends in good order with SIGTERM or Ctrl-C. systemd is told when it serves
(Type=notify) and that it still does (WatchdogSec).

Before approval not one byte of the ledger is fetched. What is approved is noted in node.toml: the
same command starts the node again without a question, as a service manager wants it.

A node that has kept what it needs to go on with the others after all of them have stopped says how many
wait, how many are needed and which are missing; so do ` + "`coco node status`" + ` and ` + "`coco doctor`" + ` then.

While the network refuses the node, each reason is said once, in plain words, and the node goes on
asking: members may have to vote about it first. Its log is node.log in its folder, or what --log
names. With SIGHUP it opens the log anew and reads the settings of the log again, unless it was
started at a terminal, whose end is the node's.

` + "`coco restart --config FILE`" + ` has it start again, as the program that is at this one's path then.`,
		Example: "  coco node join --config delta/node.toml\n  coco node join --config delta/node.toml --approve 1f0e… -o json\n  coco node join --config delta/node.toml --log -   # for journald",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.OutlivePipes()
			program := invoked()
			cfg, err := nodeconfig.Load(file)
			if err != nil {
				return err
			}
			if recovered(cfg) {
				if err := a.takesPart(file, &cfg); err != nil {
					return err
				}
			}
			if cfg.Start != nodeconfig.StartJoin {
				return fmt.Errorf("%w: %s: start = %q: expected %q", coco.ErrInvalid, file, cfg.Start, nodeconfig.StartJoin)
			}
			if cfg.Approve == (coco.Digest{}) || cfg.Service == "" || digest != "" && !approves(digest, cfg.Approve) {
				if err := a.approve(cmd.Context(), file, &cfg, digest); err != nil {
					return err
				}
			}
			for {
				asked, err := a.runForeground(cmd.Context(), file, log, cfg)
				if err != nil || !asked {
					return err
				}
				if err := again(program); err != nil {
					return err
				}
				if cfg, err = nodeconfig.Load(file); err != nil {
					return err
				}
			}
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&digest, "approve", "", "`digest` of the constitution to approve, whole or as fingerprint, without a question")
	cmd.Flags().StringVar(&log, "log", "", "`file` of the log, or - for the standard error (default: node.log in the node's folder)")
	a.OutputFlag(cmd)
	return cmd
}

// runForeground runs a node until ctx ends, or it is asked to start again: then it reports true, once the node has ended in good order.
func (a *app) runForeground(ctx context.Context, file, logName string, cfg nodeconfig.Config) (asked bool, err error) {
	log, err := a.openLog(logName, cfg)
	if err != nil {
		return false, err
	}
	defer log.close()
	defer log.reloads(a.Hangups(), file)()
	manager := newManager(log)
	defer manager.watch(cfg.Client)()
	defer context.AfterFunc(ctx, func() { manager.tell(sdnotify.Stopping) })()
	tell := &joinTeller{a: a, cfg: cfg, manager: manager}
	dir := nodeconfig.Dir(cfg.Dir)
	dir.TakeRestart() // of a process that has ended
	running, end := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		if dir.AwaitRestart(running) {
			asked = true
			end()
		}
	})
	err = a.startNode(running, cfg, keyfile.Read, nodeEvents{log: log, refused: tell.refused, waits: tell.waits, ready: tell.ready})
	end()
	watch.Wait()
	switch {
	case errors.Is(err, nodeconfig.ErrAddressInUse):
		err = fmt.Errorf("%w: another process listens there: end it, or give the node another address in %s", err, file)
	case err != nil:
	case ctx.Err() != nil:
		asked = false
		tell.say(joinEvent{Event: "stopped", Text: "the node has ended"})
	case asked:
		tell.say(joinEvent{Event: "restarting", Text: "the node was asked to start again"})
	default:
		tell.say(joinEvent{Event: nodeconfig.EventRetired, Text: "the node has left the network for good"})
	}
	return asked, err
}

// joinEvent is a line of output of `coco node join -o json`.
type joinEvent struct {
	Event  string      `json:"event"`            // "refused", "waits", "ready", "restarting", "retired" or "stopped"
	Reason string      `json:"reason,omitempty"` // the rule, of a refusal
	At     string      `json:"at,omitempty"`     // the node that refused
	Node   coco.NodeID `json:"node,omitzero"`
	Peer   string      `json:"peer,omitempty"`
	Client string      `json:"client,omitempty"`
	Text   string      `json:"text"` // for people
}

// joinTeller says each refusal once.
type joinTeller struct {
	a       *app
	cfg     nodeconfig.Config
	manager *manager
	mu      sync.Mutex
	last    string // under mu
	waited  string // what it has waited for, to go on with others; under mu
}

func (t *joinTeller) say(e joinEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.a.WantsJSON():
		_ = t.a.Out.JSON(e)
	case e.Event == "refused", e.Event == "waits":
		t.a.Out.Printf("  %s %s\n", t.a.Out.Bold("…"), e.Text)
	default:
		t.a.Out.OK("%s", e.Text)
	}
}

func (t *joinTeller) refused(err *join.RefusedError) {
	kind := string(err.Reason)
	if kind == "" {
		kind = "waiting"
		if errors.Is(err, coco.ErrVerify) {
			kind = "not_verified"
		}
	}
	t.mu.Lock()
	again := t.last == kind || kind == "waiting" && t.waited != "" // that nobody admits it is what it waits for
	t.last = kind
	t.mu.Unlock()
	if !again {
		text := t.plain(err)
		t.manager.tell(sdnotify.Status(text))
		t.say(joinEvent{Event: "refused", Reason: kind, At: err.Address, Text: text})
	}
}

// waits says what the node waits for, each time that it changes.
func (t *joinTeller) waits(text string) {
	t.mu.Lock()
	again := t.waited == text
	t.waited = text
	t.mu.Unlock()
	if !again {
		t.manager.tell(sdnotify.Status(text))
		t.say(joinEvent{Event: "waits", Text: text})
	}
}

func (t *joinTeller) ready(i node.Info) {
	text := fmt.Sprintf("admitted as node %s: it serves clients at %s", i.ID.Short(), i.ClientAddress)
	t.manager.tell(sdnotify.Ready, sdnotify.Status(text))
	t.say(joinEvent{Event: nodeconfig.EventReady, Node: i.ID, Peer: i.PeerAddress, Client: i.ClientAddress, Text: text})
}

// measurement is what the node measures, as far as it can be known here: by the simulated TEE it is the program, by others their evidence says it.
func (t *joinTeller) measurement() string {
	platform, err := t.a.Platform(t.cfg.Platform)
	if err != nil || platform.Measure == nil {
		return "what `coco doctor tee` prints"
	}
	self, _ := platform.Measure()
	return string(self)
}

// plain says in plain words why a node is not admitted, and what to do.
func (t *joinTeller) plain(err *join.RefusedError) string {
	self := t.measurement()
	peer := t.cfg.Peer
	if t.cfg.PeerAddress != "" {
		peer = t.cfg.PeerAddress
	}
	words := map[members.Reason]string{
		members.NotVotedIn:       "too early: the members have not voted this node in. One of them proposes `coco gov propose add-node OWNER " + shell.Quote(peer) + "`; it is admitted once that is accepted",
		members.NotOpen:          "too early: members have recovered the network, and have yet to open it by a vote: coco gov propose open-network service.pem",
		members.UnlistedOwner:    "the organisation that owns this node is not in the constitution: it is too early, or members have removed it. A member proposes it, as a participant or member, with the organisation's own certificate (org.pem of `coco member keygen`), the last one in " + t.cfg.OwnerCertificate,
		members.UnlistedCode:     "wrong code: this program measures " + self + ", which the constitution does not list. Run a program that it lists, or have members vote this one in by `coco gov propose add-code`",
		members.BadOwner:         "wrong owner: the owner's certificate does not lead to an organisation of the constitution, is not valid now, was revoked, or is for something else than nodes (`coco member keygen --for nodes` makes one)",
		members.BadSignature:     "wrong owner's signature: owner_key does not belong to owner_certificate, or something changed what it signed",
		members.StaleEvidence:    "stale evidence: it was made too long ago or for another connection. Compare this machine's clock with the others'",
		members.BadEvidence:      "bad evidence: what the TEE says is not about this node",
		members.DebugTEE:         "debug TEE: its owner can look into it. Start the node's TEE without debugging",
		members.InsecureTEE:      "simulated TEE: this network takes real ones only",
		members.UnlistedPlatform: "wrong platform: the constitution does not list this kind of TEE",
		members.OldTEE:           "old TEE: its firmware is older than the constitution allows. Update it",
		members.TEEPolicy:        "unfit TEE: it is not set up as the constitution's policy for this platform demands",
	}
	if text, ok := words[err.Reason]; ok {
		return text
	}
	if errors.Is(err, coco.ErrVerify) {
		return "the network is not what was approved: " + err.Error() + ". Look at it with `coco node approve`"
	}
	return "waiting: " + err.Error()
}
