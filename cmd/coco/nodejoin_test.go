package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/join"
)

// freeport NAME...: sets each NAME to a loopback address that nobody uses.
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

// serves CONFIG: waits until the node of a node.toml serves as a voter.
func serves(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serves CONFIG")
	}
	cfg, err := nodeconfig.Load(ts.MkAbs(args[0]))
	ts.Check(err)
	until(ts, "the node of "+args[0]+" does not serve", func(ctx context.Context) bool {
		s, err := ownStatus(ctx, cfg)
		return err == nil && s.Role != "joining" && s.Voter && s.Problem == ""
	})
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

// TestEveryRefusalHasPlainWords: whatever rule refuses a node, its operator is told what it means, once.
func TestEveryRefusalHasPlainWords(t *testing.T) {
	seen := map[string]gov.Reason{}
	for reason, want := range map[gov.Reason]string{
		gov.NotVotedIn: "too early", gov.UnlistedOwner: "too early", gov.UnlistedCode: "wrong code", gov.BadOwner: "wrong owner",
		gov.BadSignature: "wrong owner's signature", gov.StaleEvidence: "stale evidence", gov.BadEvidence: "bad evidence",
		gov.DebugTEE: "debug TEE", gov.InsecureTEE: "simulated TEE", gov.UnlistedPlatform: "wrong platform", gov.OldTEE: "old TEE", gov.TEEPolicy: "unfit TEE",
	} {
		var out bytes.Buffer
		tell := &joinTeller{a: &app{&cli.App{Program: program(), Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}, cfg: nodeconfig.Config{Peer: "here:7000"}}
		for range 3 {
			tell.refused(&join.RefusedError{Reason: reason})
		}
		text := out.String()
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: said %q, expected one line about %q", reason, text, want)
		}
		if other, ok := seen[text]; ok {
			t.Errorf("%s and %s are said in the same words", reason, other)
		}
		seen[text] = reason
	}
}
