package nodecmd

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/node"
)

// TestEveryRefusalHasPlainWords: whatever rule refuses a node, its operator is told what it means, once.
func TestEveryRefusalHasPlainWords(t *testing.T) {
	seen := map[string]members.Reason{}
	for reason, want := range map[members.Reason]string{
		members.NotVotedIn: "too early", members.UnlistedOwner: "too early", members.UnlistedCode: "wrong code", members.BadOwner: "wrong owner",
		members.BadSignature: "wrong owner's signature", members.StaleEvidence: "stale evidence", members.BadEvidence: "bad evidence",
		members.DebugTEE: "debug TEE", members.InsecureTEE: "simulated TEE", members.UnlistedPlatform: "wrong platform", members.OldTEE: "old TEE", members.TEEPolicy: "unfit TEE",
	} {
		var out bytes.Buffer
		tell := &joinTeller{a: &app{&cli.App{Program: cli.Program{Platforms: []cli.Platform{{Measure: virtual.Self}}}, Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}, cfg: nodeconfig.Config{Peer: "here:7000"}}
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

func TestFoldersOfANodeAreWhereToolsLookForThem(t *testing.T) {
	if node.Dir != nodeconfig.LedgerDir || node.SnapshotDir != nodeconfig.SnapshotDir || node.HistoryDir != nodeconfig.HistoryDir {
		t.Errorf("a node keeps %q, %q and %q, and tools look for %q, %q and %q",
			node.Dir, node.SnapshotDir, node.HistoryDir, nodeconfig.LedgerDir, nodeconfig.SnapshotDir, nodeconfig.HistoryDir)
	}
}
