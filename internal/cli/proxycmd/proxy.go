// Package proxycmd is `coco proxy`: plain JSON-RPC and HTTP on this machine, in front of a network whose nodes are verified.
//
//	wallet, ethers, viem ─ http, ws ─▶ internal/proxy ─▶ internal/fleet ─ mutual TLS ─▶ nodes
//	                                   Host, Origin      evidence, constitution, leader
//
// pin.go is the constitution that a person approved and what members have made of it since; access.go is which network and whose credential.
//
// Trust: host
package proxycmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/extsigner"
	"github.com/cocoframework/coco/internal/fleet"
	"github.com/cocoframework/coco/internal/proxy"
)

const (
	defaultListen = "127.0.0.1:9545" // beside those of a network of `coco up`
	// reverify is how long a node's evidence counts.
	reverify = 10 * time.Minute
	// keep is up to which size, in bytes, a request can be sent again: the largest transaction in hexadecimal, several times over.
	keep = 1 << 20
)

type app struct{ *cli.App }

// flags are those of `coco proxy`.
type flags struct {
	network.Flags
	as           string
	token        string
	constitution string
	pin          string
	onVote       string
	listen       string
	origins      []string
	sealed       string
	sealedCA     string
	verbose      bool
	signer       string
	signerAPI    string
}

// Command returns `coco proxy`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	var f flags
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Offer a network's JSON-RPC on this machine, for wallets and web3 tools",
		Long: `Serves plain JSON-RPC (HTTP and WebSocket) and the rest of a node's interface on a loopback address, so that MetaMask, ethers, viem, Hardhat and
Foundry work unchanged. Every program on this machine that reaches the address acts with your credential. Pages of other sites do not reach it.

Before anything is sent to a node, its evidence must prove code that the constitution lists, and the network's service must have endorsed it; it proves so
again every ten minutes. The constitution is the one that you approve by its digest (--constitution). When members change it by a vote, a node that runs code
of the constitution before says so: the proxy shows what changed and goes on by the new one, or stops (--on-vote stop). --pin keeps it in a file for the next start.

With --signer, accounts whose keys Web3Signer or Clef has are unlocked: eth_accounts, eth_sendTransaction, eth_sign, personal_sign and eth_signTypedData_v4 over HTTP
are answered by it. Nodes have no keys of users. Whoever reaches the proxy then asks the signer, so have it ask you, or by rules of its own.

Requests go to the leader, or to another node while that one cannot be reached. When a node is lost under a request, reads and transactions are sent to the next one; a
transaction never executes twice. WebSockets are closed with status 1012, for clients that connect again.`,
		Example: `  coco proxy                                   # the network of coco up, as its first member
  coco proxy --as bravo --listen 127.0.0.1:9546
  coco proxy --node 10.0.0.1:8000,10.0.0.2:8000 --service service.pem --constitution 5f0c… --cert user.pem --key file:user-key.pem --pin pin.toml
  coco proxy --signer http://127.0.0.1:8550 --signer-api clef
  coco proxy --node 10.0.0.1:8000 --service service.pem --pin pin.toml --token /run/secrets/token
  coco proxy --sealed https://coco.example --service service.pem --pin pin.toml --token /run/secrets/token
  coco proxy --sealed https://coco.example --service service.pem --pin pin.toml --cert user.pem --key file:user-key.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context(), &f) },
	}
	f.Add(cmd, "`folder` of the running network, of `coco up`")
	f.AddNode(cmd, "several may be given, separated by commas; the network's others are asked for")
	fl := cmd.Flags()
	fl.StringVar(&f.as, "as", os.Getenv("COCO_MEMBER"), "`member` of that network whose application asks (default $COCO_MEMBER, or the first)")
	fl.StringVar(&f.token, "token", "", "bearer token in the place of a certificate: a `file`, read again when it changes")
	fl.StringVar(&f.constitution, "constitution", "", "`digest` of the constitution that you approve, or a file that holds it")
	fl.StringVar(&f.pin, "pin", "", "`file` that keeps the constitution as members have changed it since; made if it is not there")
	fl.StringVar(&f.onVote, "on-vote", "follow", "`what` to do when members change the constitution: follow or stop")
	fl.StringVar(&f.listen, "listen", defaultListen, "`address` of this machine to serve at; port 0 for a free one")
	fl.StringArrayVar(&f.origins, "origin", nil, "web `origin` whose pages may use the proxy beside those of this machine; may be repeated")
	fl.StringVar(&f.sealed, "sealed", "", "reach the network at this `URL`, where something else than a node ends TLS: every request and answer is encrypted for the nodes; --cert signs requests")
	fl.StringVar(&f.sealedCA, "sealed-ca", "", "certificates that may issue the one of --sealed, a PEM `file` (default: those of the system)")
	fl.StringVar(&f.signer, "signer", "", "`URL` of an external signer, which has keys of accounts: https, or http on this machine")
	fl.StringVar(&f.signerAPI, "signer-api", string(extsigner.Web3Signer), "`whose` methods the signer has: "+strings.Join(extsigner.APIs(), " or "))
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log what fails to standard error")
	_ = cmd.MarkFlagFilename("token")
	_ = cmd.MarkFlagFilename("pin")
	_ = cmd.RegisterFlagCompletionFunc("on-vote", cobra.FixedCompletions([]string{"follow", "stop"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("signer-api", cobra.FixedCompletions(extsigner.APIs(), cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsMutuallyExclusive("token", "cert")
	cmd.MarkFlagsMutuallyExclusive("sealed", "node")
	_ = cmd.MarkFlagFilename("sealed-ca")
	a.OutputFlag(cmd)
	return cmd
}

func (f *flags) check() error {
	if f.onVote != "follow" && f.onVote != "stop" {
		return fmt.Errorf("%w: --on-vote %q: expected follow or stop", coco.ErrInvalid, f.onVote)
	}
	host, _, err := net.SplitHostPort(f.listen)
	ip, perr := netip.ParseAddr(host)
	if err != nil || host != "localhost" && (perr != nil || !ip.IsLoopback()) {
		return fmt.Errorf("%w: --listen %q: expected an address of this machine only, such as %s: whoever reaches the proxy acts with your credential", coco.ErrInvalid, f.listen, defaultListen)
	}
	for _, origin := range f.origins {
		if !proxy.IsOrigin(origin) {
			return fmt.Errorf("%w: --origin %q: expected scheme and host, such as https://dapp.example", coco.ErrInvalid, origin)
		}
	}
	if _, err := f.upstream(nil); err != nil {
		return err
	}
	return f.Check()
}

// upstream is what the proxy passes requests to: the network, or before it whoever signs.
func (f *flags) upstream(network http.RoundTripper) (http.RoundTripper, error) {
	if f.signer == "" && f.signerAPI == string(extsigner.Web3Signer) {
		return network, nil
	}
	return extsigner.New(extsigner.Config{URL: f.signer, API: extsigner.API(f.signerAPI), Upstream: network})
}

func (a *app) run(ctx context.Context, f *flags) error {
	if err := f.check(); err != nil {
		return err
	}
	acc, err := a.access(ctx, f)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", f.listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: --listen %s is in use: name another one, or port 0 for a free one", coco.ErrInvalid, f.listen)
	}
	if err != nil {
		return fmt.Errorf("%w: --listen: %w", coco.ErrInvalid, err)
	}
	defer ln.Close()
	log := slog.New(slog.DiscardHandler)
	if f.verbose {
		log = slog.New(slog.NewTextHandler(a.Err.W, nil))
	}
	s := &session{app: a, pin: acc.pin, stop: f.onVote == "stop"}
	acc.client.Reverify = reverify
	fl, err := fleet.New(fleet.Config{
		Nodes: acc.nodes, Alone: acc.client.Sealed != nil, Client: acc.client, Terms: acc.pin.terms, Read: readTerms, Accept: s.accept, Service: acc.service, Moved: s.moved, Log: log,
	})
	if err != nil {
		return err
	}
	defer fl.Close()
	home, err := fl.Start(ctx)
	if err != nil {
		return acc.explain(err)
	}
	if err := s.pin.save(); err != nil {
		return err
	}
	s.ready(ln.Addr().String(), home, acc)
	upstream, err := f.upstream(fl)
	if err != nil {
		return err
	}
	return serve(ctx, fl, ln, proxy.Config{Upstream: upstream, Origins: f.origins, Keep: keep, Log: log})
}

// serve runs until ctx is done.
func serve(ctx context.Context, fl *fleet.Fleet, ln net.Listener, cfg proxy.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { fl.Run(ctx) })
	defer following.Wait()
	defer cancel()
	return proxy.New(cfg).Serve(ctx, ln)
}

// session tells the user what goes on. The fleet calls it from one goroutine at a time.
type session struct {
	*app
	pin  *pin
	stop bool // at the next vote

	telling sync.Mutex
	begun   bool // ready was told
}

// step is a line of `coco proxy -o json`.
type step struct {
	Step         string      `json:"step"` // "ready", "moved", "constitution", "stopped"
	RPC          string      `json:"rpc,omitempty"`
	WS           string      `json:"ws,omitempty"`
	Node         string      `json:"node,omitempty"` // host:port
	Leader       bool        `json:"leader,omitempty"`
	Network      string      `json:"network,omitempty"`
	Insecure     bool        `json:"insecure,omitempty"`
	Constitution coco.Digest `json:"constitution,omitzero"`
	Version      uint64      `json:"version,omitempty"`
	Message      string      `json:"message,omitempty"`
}

func (s *session) tell(line step, format string, args ...any) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.WantsJSON() {
		_ = s.Out.JSON(line) // a reader that has gone
		return
	}
	s.Out.Printf(format+"\n", args...)
}

func (s *session) ready(addr string, home fleet.Home, acc *access) {
	t := s.pin.terms
	line := step{
		Step: "ready", RPC: "http://" + addr, WS: "ws://" + addr, Node: home.Address, Leader: home.Leader,
		Network: s.pin.network, Insecure: s.pin.insecure, Constitution: t.Digest, Version: t.Version,
	}
	s.telling.Lock()
	s.begun = true
	s.telling.Unlock()
	if !s.WantsJSON() {
		if s.pin.insecure {
			s.Out.Insecure()
		}
		s.Out.OK("constitution %s, version %d of network %q", t.Digest, t.Version, s.pin.network)
		s.Out.OK("node %s has proven code of it; the network's service endorsed the node", home.Address)
		s.Out.OK("as %s", acc.who)
	}
	s.tell(line, "ready: http://%s  ws://%s  (Ctrl-C ends it)", addr, addr)
}

// moved implements fleet.Config.Moved.
func (s *session) moved(h fleet.Home) {
	s.telling.Lock()
	begun := s.begun
	s.telling.Unlock()
	if !begun {
		return
	}
	what := "another node"
	if h.Leader {
		what = "the leader"
	}
	s.tell(step{Step: "moved", Node: h.Address, Leader: h.Leader}, "  requests go to %s from now on, %s", h.Address, what)
}

// accept implements fleet.Config.Accept.
func (s *session) accept(from, to fleet.Terms, node string) error {
	change := changed(from.Code, to.Code)
	if s.stop {
		message := fmt.Sprintf("members have changed the constitution: version %d, %s, is in force, and you approved version %d, %s%s. Nothing is sent any more. If you approve it, start again with --constitution %s",
			to.Version, to.Digest, from.Version, from.Digest.Short(), change, to.Digest)
		s.tell(step{Step: "stopped", Node: node, Constitution: to.Digest, Version: to.Version, Message: message}, "%s", message)
		return fmt.Errorf("%w: %s", coco.ErrVerify, message)
	}
	if err := s.pin.follow(to); err != nil {
		return err
	}
	s.tell(step{Step: "constitution", Node: node, Constitution: to.Digest, Version: to.Version},
		"  constitution %s, version %d, is in force by a vote, as %s says, which has proven code of version %d%s", to.Digest, to.Version, node, from.Version, change)
	return nil
}

// changed says which code was listed and is listed no more, and which came.
func changed(from, to []coco.Measurement) string {
	var parts []string
	for _, m := range to {
		if !slices.Contains(from, m) {
			parts = append(parts, "adds code "+string(m))
		}
	}
	for _, m := range from {
		if !slices.Contains(to, m) {
			parts = append(parts, "removes code "+string(m))
		}
	}
	if len(parts) == 0 {
		return "; the code is the same"
	}
	return "; it " + strings.Join(parts, " and ")
}
