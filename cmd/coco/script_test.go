package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/cli/nodecmd"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// The scripts run the program itself: the test binary installs itself as `coco`, and so do the
// nodes that it starts.
//
// Most of the time a test waits for processes, so more tests than there are cores run at once.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))) // -parallel on the command line wins
	testscript.Main(m, map[string]func(){"coco": main, "balancer": balancer, "signer": externalSigner})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "1")
			env.Defer(func() { downAll(env.WorkDir) })
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "mounts" { // whether file systems can be mounted here, in a namespace of one's own
				return exec.Command("unshare", "-rm", "true").Run() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"jsonenv": jsonenv,
			"flip":    flip,
			"crash":   crash,
			"health":  health,
			"rpc":     rpc,
			"ends":    ends,
			"gone":    gone,

			"issuer":  issuer,
			"login":   login,
			"issues":  issues,
			"rotates": rotates,
			"signs":   signs,
			"signin":  signin,

			"example": example,
			"deploys": deploys,
			"mines":   mines,
			"sends":   sends,
			"calls":   calls,
			"events":  events,

			"freeport":     freeport,
			"appears":      appears,
			"logged":       logged,
			"serves":       serves,
			"collects":     collects,
			"waits":        waits,
			"answers":      answers,
			"epoch":        epoch,
			"prints":       prints,
			"fetches":      fetches,
			"puts":         puts,
			"otherprogram": otherProgram,
		},
	})
}

// downAll ends what a script that failed has left running.
func downAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "sandbox.json" {
			_, _ = localnet.Down(context.Background(), filepath.Dir(path))
		}
		return nil
	})
}

// exits CODE PROGRAM ARG...: the program ends with the exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%s ends with exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// jsonenv NAME FILE FIELD: sets NAME to the field of the file's last line of JSON that has it. A
// field may be a path such as nodes.0.pid.
func jsonenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: jsonenv NAME FILE FIELD")
	}
	value, ok := "", false
	for dec := json.NewDecoder(strings.NewReader(ts.ReadFile(args[1]))); ; {
		var doc any
		if dec.Decode(&doc) != nil {
			break
		}
		if v, has := field(doc, args[2]); has {
			value, ok = v, true
		}
	}
	if !ok {
		ts.Fatalf("no line of %s has a field %s", args[1], args[2])
	}
	ts.Setenv(args[0], value)
}

func field(doc any, path string) (string, bool) {
	for name := range strings.SplitSeq(path, ".") {
		switch at := doc.(type) {
		case map[string]any:
			doc = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(at) {
				return "", false
			}
			doc = at[i]
		default:
			return "", false
		}
	}
	switch v := doc.(type) {
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// flip FILE OFFSET: changes one bit.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	offset, err := strconv.Atoi(args[1])
	ts.Check(err)
	data := []byte(ts.ReadFile(args[0]))
	data[offset] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// crash DIR NODE|supervisor...: ends processes without warning.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: crash DIR NODE...")
	}
	var killed []*os.Process
	for _, name := range args[1:] {
		if len(killed) > 0 && pid(ts, ts.MkAbs(args[0]), name) == 0 {
			continue // without a majority, whoever runs the network has ended the others by now
		}
		killed = append(killed, kill(ts, ts.MkAbs(args[0]), name))
	}
	for _, p := range killed { // a node that is not gone yet may still say that all is well
		for began := time.Now(); time.Since(began) < time.Second && p.Signal(syscall.Signal(0)) == nil; {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// kill kills one process of a network. The network's page may name the process before, or none, for a moment at a
// restart, so it is looked up again.
func kill(ts *testscript.TestScript, dir, name string) *os.Process {
	const patience = 10 * time.Second
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		pid := pid(ts, dir, name)
		if pid == 0 && time.Since(began) < patience {
			continue
		}
		p, err := os.FindProcess(pid)
		ts.Check(err)
		err = p.Kill()
		if errors.Is(err, os.ErrProcessDone) && time.Since(began) < patience {
			continue
		}
		ts.Check(err)
		return p
	}
}

// pid returns the process of a node, or of the supervisor, by the network's page; 0 while there is none.
func pid(ts *testscript.TestScript, dir, name string) int {
	info, err := localnet.Load(dir)
	ts.Check(err)
	if name == "supervisor" {
		return info.Pid
	}
	n, err := info.Node(name)
	ts.Check(err)
	return n.Pid
}

// health DIR WANT: waits until the network's health is what is wanted: ok, degraded, no quorum, down.
func health(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: health DIR WANT")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	last := ""
	for ctx.Err() == nil {
		last = "down"
		if info, st, err := localnet.Running(ctx, ts.MkAbs(args[0])); err == nil {
			last = sandboxcmd.Ask(ctx, info, st, verifiers()).Health
		}
		if last == args[1] {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("the network's health is %q, want %q", last, args[1])
}

// rpc URL METHOD [PARAMS]: makes a plain JSON-RPC call as a wallet would, with curl's means.
func rpc(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: rpc URL METHOD [PARAMS]")
	}
	params := "[]"
	if len(args) > 2 {
		params = args[2]
	}
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"` + args[1] + `","params":` + params + `}`)
	resp, err := post(context.Background(), args[0], body)
	ts.Check(err)
	_, err = ts.Stdout().Write(append(bytes.TrimSpace(resp), '\n'))
	ts.Check(err)
}

// ends PROPOSAL STATE DIR MEMBER: waits until a proposal is in a state.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: ends PROPOSAL STATE DIR MEMBER")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f := &officer.Access{Verifiers: verifiers(), Flags: network.Flags{Dir: ts.MkAbs(args[2])}, As: args[3]}
	o, err := f.Connect(ctx)
	ts.Check(err)
	defer o.Close()
	state := ""
	for ctx.Err() == nil {
		p, err := o.Proposal(ctx, args[0])
		ts.Check(err)
		if state = p.State; state == args[1] {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("proposal %s is %s, want %s", args[0], state, args[1])
}

// gone DIR NODE: waits until a node has left its network for good.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: gone DIR NODE")
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		info, err := localnet.Load(ts.MkAbs(args[0]))
		ts.Check(err)
		n, err := info.Node(args[1])
		ts.Check(err)
		if n.Retired {
			return
		}
	}
	ts.Fatalf("node %s has not left the network", args[1])
}

// freeport NAME...: sets each NAME to a free loopback address.
func freeport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: freeport NAME...")
	}
	for _, name := range args {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer ln.Close() // after all are drawn
		ts.Setenv(name, ln.Addr().String())
	}
}

// logged FILE TEXT: waits until a file contains a text.
func logged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: logged FILE TEXT")
	}
	until(ts, args[0]+" has no "+args[1], func(context.Context) bool {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && bytes.Contains(data, []byte(args[1]))
	})
}

// [!] appears FILE...: waits until the files are there, or are there no more.
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] appears FILE...")
	}
	for _, file := range args {
		until(ts, fmt.Sprintf("%s is there: %v", file, neg), func(context.Context) bool {
			_, err := os.Stat(ts.MkAbs(file))
			return (err == nil) != neg
		})
	}
}

// serves CONFIG: waits until the node of a node.toml serves as a voter.
func serves(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serves CONFIG")
	}
	cfg, err := nodeconfig.Load(ts.MkAbs(args[0]))
	ts.Check(err)
	until(ts, "the node of "+args[0]+" does not serve", func(ctx context.Context) bool {
		s, err := nodecmd.Status(ctx, cfg, verifiers())
		return err == nil && s.Role != "joining" && (s.Voter || s.Learns) && s.Problem == ""
	})
}

// collects ADDRESS: waits until a node that recovers asks members for their parts there.
func collects(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: collects ADDRESS")
	}
	exe, err := exec.LookPath("coco")
	ts.Check(err)
	until(ts, "no node at "+args[0]+" collects releases", func(ctx context.Context) bool {
		out, _ := exec.CommandContext(ctx, exe, "recovery", "status", "--node", args[0], "-o", "json").Output()
		return bytes.Contains(out, []byte(`"state":"collecting"`))
	})
}

// waits ADDRESS: waits until the node there has recovered its network, and waits for its members to open it.
func waits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waits ADDRESS")
	}
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	until(ts, "the node at "+args[0]+" does not wait for a vote", func(ctx context.Context) bool {
		_, text := exchange(ctx, ts, hc, http.MethodGet, "https://"+args[0]+"/readyz?verbose", "")
		return strings.Contains(text, "members vote to open it")
	})
}

// answers URL TEXT: waits until a JSON-RPC call there is answered, by whatever status, with a text.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: answers URL TEXT")
	}
	last := ""
	defer func() { ts.Logf("%s answers: %s", args[0], last) }()
	until(ts, args[0]+" does not answer "+args[1], func(ctx context.Context) bool {
		status := 0
		status, last = exchange(ctx, ts, http.DefaultClient, http.MethodPost, args[0], `{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}`)
		return status > 0 && strings.Contains(last, args[1])
	})
}

// fetches URL TEXT: waits until a GET there is answered with a text.
func fetches(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fetches URL TEXT")
	}
	last := ""
	defer func() { ts.Logf("%s answers: %s", args[0], last) }()
	until(ts, args[0]+" does not answer "+args[1], func(ctx context.Context) bool {
		status := 0
		status, last = exchange(ctx, ts, http.DefaultClient, http.MethodGet, args[0], "")
		return status == http.StatusOK && strings.Contains(last, args[1])
	})
}

// puts URL BODY: makes a PUT there, which must be answered well.
func puts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: puts URL BODY")
	}
	if status, text := exchange(context.Background(), ts, http.DefaultClient, http.MethodPut, args[0], args[1]); status/100 != 2 {
		ts.Fatalf("%s answers %d: %s", args[0], status, text)
	}
}

// exchange makes a request, whose body is JSON if it is a POST. It returns the status of the answer and its text; 0 and the error's text if there is none.
func exchange(ctx context.Context, ts *testscript.TestScript, hc *http.Client, method, url, body string) (status int, text string) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	ts.Check(err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := hc.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(data)
}

func until(ts *testscript.TestScript, otherwise string, is func(context.Context) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for !is(ctx) {
		if ctx.Err() != nil {
			ts.Fatalf("%s after a minute", otherwise)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// epoch NAME MEMBER ADDRESS [BEFORE]: waits until the node seals under a later epoch than BEFORE (0), as its metrics tell a user of the member in that folder, and sets NAME to it.
func epoch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: epoch NAME MEMBER ADDRESS [BEFORE]")
	}
	before, found := uint64(0), uint64(0)
	var err error
	if len(args) == 4 {
		before, err = strconv.ParseUint(args[3], 10, 64)
		ts.Check(err)
	}
	user, err := tls.LoadX509KeyPair(ts.MkAbs(filepath.Join(args[1], "user.pem")), ts.MkAbs(filepath.Join(args[1], "user-key.pem")))
	ts.Check(err)
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{user}}}}
	defer hc.CloseIdleConnections()
	// An epoch that is announced begins a moment later: the one that has been in use for a while is the newest.
	const settled = 1500 * time.Millisecond
	last, since := uint64(0), time.Now()
	until(ts, fmt.Sprintf("the node at %s seals under no later epoch than %d", args[2], before), func(ctx context.Context) bool {
		status, text := exchange(ctx, ts, hc, http.MethodGet, "https://"+args[2]+"/metrics", "")
		if status == 0 {
			return false
		}
		for line := range strings.Lines(text) {
			if value, is := strings.CutPrefix(strings.TrimSpace(line), "coco_epoch "); is {
				found, _ = strconv.ParseUint(value, 10, 64)
			}
		}
		if found != last {
			last, since = found, time.Now()
		}
		return found > before && time.Since(since) >= settled
	})
	ts.Setenv(args[0], strconv.FormatUint(found, 10))
}

// prints PATTERN PROGRAM ARG...: runs a program until it succeeds and its output has a match.
func prints(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: prints PATTERN PROGRAM ARG...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	until(ts, strings.Join(args[1:], " ")+" does not print "+args[0], func(context.Context) bool {
		return ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout"))
	})
}

// otherProgram FOLDER: puts a program into a folder that does the same and measures something else.
func otherProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: otherprogram FOLDER")
	}
	exe, err := exec.LookPath("coco")
	ts.Check(err)
	program, err := os.ReadFile(exe)
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	file := filepath.Join(dir, filepath.Base(exe))
	ts.Check(os.WriteFile(file, append(program, '!'), 0o700))
	// A process that another script forks at this moment holds the file open for writing until it executes.
	until(ts, file+" cannot be executed", func(ctx context.Context) bool { return exec.CommandContext(ctx, file, "version").Run() == nil })
}

// verifiers are the platforms whose evidence the tests read.
func verifiers() attest.Verifiers {
	p := program()
	return p.Verifiers()
}
