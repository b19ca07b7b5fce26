package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/proxy"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// DefaultMembers is how many members a sandbox has unless the user says otherwise.
const DefaultMembers = 3

// Options say which sandbox to start.
//
// Fields: one for each choice.
type Options struct {
	// Dir is the sandbox's folder.
	Dir string
	// Members is the number of organisations, each with one node; zero means DefaultMembers for a
	// new sandbox, one for a new one in development mode, and as many as there are for one that goes on.
	Members int
	// Names are the organisations of a new network, in order; nil means localnet.Names.
	Names []string
	// Fresh discards what is in the folder and starts a new network.
	Fresh bool
	// Port is where the loopback URLs begin; zero means DefaultPort.
	Port int
	// ChainID of a new network; zero means a random one.
	ChainID uint64
	// Development makes a new network in development mode: genesis.Options. A network that goes on must be in it.
	Development bool
	// Exe is the program that nodes run, with the arguments `node run --config FILE`, and Code its
	// measurement.
	Exe  string
	Code coco.Measurement
	// KeepCode copies Exe into the folder, so that the network can go on after Exe was replaced.
	KeepCode bool
	// AcceptLast is the last transaction of the ledgers, if the user accepts that what was committed after it is lost; zero if nothing may be.
	AcceptLast coco.TxID
	// Verifiers are the TEE platforms that count.
	Verifiers attest.Verifiers
	// Constitution, if set, changes a new network's constitution before it is completed, or refuses to. A network
	// that is there already is refused.
	Constitution func(*constitution.Constitution) error
	// CompleteSettings completes the settings of a new network's adapters. Required.
	CompleteSettings constitution.CompleteSettings
	// Report is told every step, from one goroutine at a time.
	Report func(localnet.Step)
	Log    *slog.Logger
}

// completeMembers says how many members a new network has if the user does not.
func (o *Options) completeMembers() {
	switch {
	case o.Members != 0:
	case o.Development:
		o.Members = 1
	default:
		o.Members = DefaultMembers
	}
}

func (o *Options) validate() error {
	if o.Members < 0 || o.Members > len(localnet.Names) {
		return fmt.Errorf("%w: %d members: expected 1 to %d", coco.ErrInvalid, o.Members, len(localnet.Names))
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("%w: port %d: expected 1 to 65535", coco.ErrInvalid, o.Port)
	}
	if o.ChainID >= 1<<31 {
		return fmt.Errorf("%w: chain id %d: expected one below %d, which every tool can hold", coco.ErrInvalid, o.ChainID, uint64(1)<<31)
	}
	if o.Dir == "" || o.Exe == "" || o.Code == "" || len(o.Verifiers) == 0 || o.CompleteSettings == nil {
		return fmt.Errorf("%w: a sandbox needs a folder, a program, its measurement, verifiers, and who completes settings", coco.ErrInvalid)
	}
	if o.Report == nil {
		o.Report = func(localnet.Step) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// genesis returns what a new network begins with.
func (o *Options) genesis(report func(localnet.Step)) genesis.Options {
	return genesis.Options{
		Members: o.Members, Names: o.Names, ChainID: o.ChainID, Development: o.Development, Exe: o.Exe, Code: o.Code, KeepCode: o.KeepCode, Replace: o.Fresh, Constitution: o.Constitution,
		CompleteSettings: o.CompleteSettings, Report: report,
	}
}

// Sandbox is a running network.
type Sandbox struct {
	opts Options
	lay  localnet.Layout
	lock *flock.Flock
	exe  string // what the nodes run

	reporting sync.Mutex // of opts.Report

	mu    sync.Mutex
	info  localnet.Info // written by the supervising goroutine only, the nodes' programs apart, under mu
	state []localnet.NodeState
	// starting says that the network is being brought up.
	starting bool

	restarts chan int // nodes that are to be restarted
	control  *control
	front    front
	known    known
	end      end
}

// front is how users reach the nodes: for each that has not retired, a loopback listener, its proxy, and the proxy's connections.
type front struct {
	listeners []net.Listener
	proxies   []*proxy.Proxy
	upstreams []*client.Transport
}

// known is what the supervisor knows of the network, which members and the service change; see follow. It is
// under the sandbox's mu once nodes run.
type known struct {
	asking sync.Mutex                 // one asks at a time
	moved  bool                       // the nodes have other addresses than their ledgers say
	con    *constitution.Constitution // in force
	trust  client.Policy              // for nodes; its Service is learnt from the first one
}

// end is how the sandbox ends.
type end struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when everything has ended
	err    error         // why, once done is closed
}

// errStopped is the cause of an end that was asked for.
var errStopped = errors.New("stopped")

// Start starts a sandbox, or lets one go on, and returns when it is ready. It runs until ctx is
// done, Stop is called, or the control endpoint is told to stop; Wait tells the end.
func Start(ctx context.Context, opts Options) (*Sandbox, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	lay, err := Prepare(opts.Dir)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{opts: opts, lay: lay, exe: opts.Exe, starting: true, restarts: make(chan int, 1), end: end{done: make(chan struct{})}}
	if err := s.lockFolder(); err != nil {
		return nil, err
	}
	ctx, s.end.cancel = context.WithCancelCause(ctx)
	children := &processes{s: s}
	if err := s.open(ctx, children); err != nil {
		if context.Cause(ctx) == errStopped {
			err = fmt.Errorf("%w before the network was ready", errStopped)
		}
		s.end.cancel(err)
		children.stopAll()
		if s.control != nil {
			err = errors.Join(err, s.control.wait())
		}
		s.release()
		return nil, err
	}
	go s.run(ctx, children)
	info := s.Info()
	for _, i := range s.readyNodes() {
		n := info.Nodes[i]
		s.report(localnet.Step{Step: "open", Node: n.Name, URL: n.HTTP, Text: fmt.Sprintf("%s answers at %s", n.Name, n.HTTP)})
	}
	s.report(s.readyStep())
	return s, nil
}

// lockFolder locks the folder.
func (s *Sandbox) lockFolder() error {
	s.lock = flock.New(s.lay.LockFile(), flock.SetPermissions(0o600))
	ok, err := s.lock.TryLock()
	if err != nil {
		return fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, err)
	}
	if ok {
		return nil
	}
	where := ""
	if info, err := localnet.Load(s.lay.Dir); err == nil && info.Pid != 0 {
		where = fmt.Sprintf(" (process %d, %s)", info.Pid, info.Nodes[0].HTTP)
	}
	return fmt.Errorf("%w%s: %s: look at it with `coco status%s`, end it with `coco down%s`, or start another one with --dir", ErrRunning, where, s.lay.Dir,
		localnet.DirHint(s.lay.Dir), localnet.DirHint(s.lay.Dir))
}

// ErrRunning says that a sandbox runs in the folder already.
var ErrRunning = errors.New("a sandbox is running in this folder already")

// open brings the network up: a new one, or the one in the folder.
func (s *Sandbox) open(ctx context.Context, n *processes) error {
	if err := s.listen(ctx); err != nil {
		return err
	}
	if err := localnet.AwaitNodes(ctx, s.lay); err != nil { // of a supervisor that was killed
		return err
	}
	resume, err := s.load()
	if err != nil {
		return err
	}
	if !resume {
		if s.info, err = genesis.Make(s.lay, s.opts.genesis(s.report)); err != nil {
			return err
		}
	}
	if err := s.assignPorts(); err != nil {
		return err
	}
	page, err := os.ReadFile(s.lay.ConstitutionFile())
	if err != nil {
		return partMissing(s.lay.ConstitutionFile(), err)
	}
	if s.known.con, err = constitution.Parse(page); err != nil {
		return fmt.Errorf("%s: %w", s.lay.ConstitutionFile(), err)
	}
	if got := s.known.con.Digest(); got != s.info.Constitution {
		return fmt.Errorf("%w: %s has digest %s, expected %s: it has been changed since the network started; restore it, or start anew with --fresh",
			coco.ErrVerify, s.lay.ConstitutionFile(), got.Short(), s.info.Constitution.Short())
	}
	changed, err := s.lay.InForce()
	if err != nil {
		return err
	}
	if changed != nil {
		s.known.con = changed
	}
	if err := s.chooseCode(s.known.con); err != nil {
		return err
	}
	s.known.trust = client.Policy{Code: s.known.con.Measurements(), TEE: s.known.con.TEEPolicies(), Verifiers: s.opts.Verifiers, Constitution: s.info.Constitution}
	if s.info.Committed {
		if s.known.trust.Service, err = identity.ReadCertificate(s.lay.ServiceFile()); err != nil {
			return partMissing(s.lay.ServiceFile(), err)
		}
	}
	s.info.Control, s.info.Token, s.info.Pid = s.control.url, s.control.token, os.Getpid()
	if err := s.info.Save(); err != nil {
		return err
	}
	if err := s.firstUp(ctx, n); err != nil {
		return err
	}
	for i := range s.info.Nodes {
		if s.info.Nodes[i].Retired { // it has no listener either
			continue
		}
		if err := s.addProxy(i); err != nil {
			return err
		}
	}
	s.setStarting(false)
	return nil
}

// listen starts the control endpoint, which answers before the network does: a client learns that the network starts,
// and can stop it.
func (s *Sandbox) listen(ctx context.Context) (err error) {
	if s.control, err = newControl(s); err != nil {
		return err
	}
	if err := (localnet.Supervisor{Pid: os.Getpid(), Control: s.control.url, Token: s.control.token}).Save(s.lay); err != nil {
		return fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, err)
	}
	s.control.start(ctx)
	return nil
}

// addProxy makes the loopback proxy of a node.
func (s *Sandbox) addProxy(i int) error {
	cfg, err := s.clientConfig(i)
	if err != nil {
		return err
	}
	up, err := client.NewTransport(cfg)
	if err != nil {
		return err
	}
	s.front.upstreams = append(s.front.upstreams, up)
	s.front.proxies = append(s.front.proxies, proxy.New(proxy.Config{Upstream: up, Page: landing(s.info, i), Log: s.opts.Log.With("proxy", s.info.Nodes[i].Name)}))
	return nil
}

// load reads the folder's description and decides whether its network goes on or a new one is made. A new one is
// made in a folder that holds nothing of any network, or with --fresh.
func (s *Sandbox) load() (resume bool, err error) {
	if err := genesis.Finish(s.lay); err != nil {
		return false, err
	}
	info, err := describe(s.lay)
	switch {
	case errors.Is(err, coco.ErrNotFound), s.opts.Fresh:
		s.opts.completeMembers()
		return false, nil
	case err != nil:
		return false, err
	}
	if s.opts.Members != 0 && s.opts.Members != len(info.Members) {
		return false, fmt.Errorf("%w: the network in %s has %d members, not %d: leave --members out, or start a new network with --fresh",
			coco.ErrInvalid, s.lay.Dir, len(info.Members), s.opts.Members)
	}
	if s.opts.ChainID != 0 && s.opts.ChainID != info.ChainID {
		return false, fmt.Errorf("%w: the network in %s has chain id %d, not %d: leave --chain-id out, or start a new network with --fresh",
			coco.ErrInvalid, s.lay.Dir, info.ChainID, s.opts.ChainID)
	}
	if s.opts.Development && !info.Development {
		return false, fmt.Errorf("%w: the network in %s is not in development mode, and no vote brings it there: leave --dev out, name another folder with --dir, or start a new network with --fresh",
			coco.ErrInvalid, s.lay.Dir)
	}
	if s.opts.Constitution != nil {
		return false, fmt.Errorf("%w: the network in %s has its constitution already: leave --set out, and --closed and --genesis, or start a new network with --fresh; its members change settings by vote (`coco gov propose set`)",
			coco.ErrInvalid, s.lay.Dir)
	}
	s.info = info
	s.info.Control, s.info.Token, s.info.Pid = "", "", 0
	for i := range s.info.Nodes {
		s.info.Nodes[i].Pid = 0
	}
	return true, nil
}

// run supervises until the end and then cleans up.
func (s *Sandbox) run(ctx context.Context, n *processes) {
	defer close(s.end.done)
	g := new(errgroup.Group)
	fail := func(err error) error {
		if err != nil {
			s.end.cancel(err)
		}
		return err
	}
	for i, p := range s.front.proxies {
		g.Go(func() error { return fail(p.Serve(ctx, s.front.listeners[i])) })
	}
	g.Go(func() error { return fail(s.control.wait()) })
	g.Go(func() error { return fail(s.keepFollowing(ctx)) })
	g.Go(func() error { return fail(s.keepNoting(ctx)) })
	g.Go(func() error { return fail(s.supervise(ctx, n)) })
	err := g.Wait()
	s.end.cancel(err)
	n.stopAll()
	s.release()
	if err == nil {
		s.report(localnet.Step{Step: "stopped", Dir: s.lay.Dir, Text: fmt.Sprintf("stopped; `coco up%s` goes on where it ended", localnet.DirHint(s.lay.Dir))})
	}
	s.end.err = err
}

// release gives the folder back.
func (s *Sandbox) release() {
	for _, ln := range s.front.listeners {
		ln.Close()
	}
	if s.control != nil {
		s.control.ln.Close()
	}
	if err := os.Remove(s.lay.SupervisorFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.opts.Log.Error("removing the supervisor's file", "error", err) // the next one replaces it
	}
	if s.info.Version != 0 {
		s.mu.Lock()
		s.info.Control, s.info.Token, s.info.Pid = "", "", 0
		for i := range s.info.Nodes {
			s.info.Nodes[i].Pid = 0
		}
		if err := s.info.Save(); err != nil {
			s.opts.Log.Error("saving the sandbox's description", "error", err)
		}
		s.mu.Unlock()
	}
	_ = s.lock.Unlock()
}

func (s *Sandbox) report(step localnet.Step) {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	s.opts.Log.Info(step.Step, "node", step.Node, "text", step.Text)
	s.opts.Report(step)
}

func (s *Sandbox) readyStep() localnet.Step {
	info := s.Info()
	step := localnet.Step{Step: "ready", ChainID: info.ChainID, Dir: info.Dir, Insecure: info.Insecure, Constitution: info.Constitution.String()}
	// Programs take the first one: those that are not up come last.
	order := s.readyNodes()
	for i, n := range info.Nodes {
		if !n.Retired && !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	for _, i := range order {
		step.RPC = append(step.RPC, info.Nodes[i].HTTP)
		step.WS = append(step.WS, info.Nodes[i].WS)
	}
	return step
}

// Info returns the sandbox's description.
func (s *Sandbox) Info() localnet.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := s.info
	info.Nodes = append([]localnet.Node(nil), info.Nodes...)
	return info
}

// Stop ends the sandbox and waits for it.
func (s *Sandbox) Stop() error {
	s.end.cancel(errStopped)
	return s.Wait()
}

// Wait waits for the end. It returns nil if the end was asked for.
func (s *Sandbox) Wait() error {
	<-s.end.done
	return s.end.err
}

// startPatience bounds the start of a new network, whose ledger is empty.
const startPatience = time.Minute
