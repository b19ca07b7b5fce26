package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/cocoframework/coco/internal/localnet"
)

// docs/governance.md is one script: its code blocks run in their order, in one folder, and each command prints what the page shows.
// Comments of the page, which readers do not see, stand in the line before a block:
//
//	<!-- not run: REASON -->     the block is not run
//	<!-- before: COMMAND -->     a command that runs before the block
//
// A command is a line that begins with "$ ", and what follows it, up to the next one, is its output; "…" stands for any text, alone
// in a line for any lines. Ids, times, addresses and the widths of columns may differ. A block without "$ " is a script that must
// succeed. $ADMIN is the administrative address of bravo's node.
func TestTheGovernancePageRunsFromTopToBottom(t *testing.T) {
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("starts a network of processes from a shell")
	}
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the page uses openssl")
	}
	blocks, err := codeBlocks(document(t, "docs/governance.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	defer func() { _, _ = localnet.Down(context.Background(), filepath.Join(dir, localnet.DefaultDir)) }()
	sh := func(command string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "NO_COLOR=1")
		if info, err := localnet.Load(filepath.Join(dir, localnet.DefaultDir)); err == nil {
			n, err := info.Node("bravo")
			if err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(cmd.Env, "ADMIN="+n.Admin)
		}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("%s: %v", command, err)
		}
		return string(out), err
	}
	ran := 0
	for _, b := range blocks {
		if b.notRun != "" {
			continue
		}
		for _, command := range b.before {
			if out, err := sh(command); err != nil {
				t.Fatalf("line %d: before it: %s: %v\n%s", b.line, command, err, out)
			}
		}
		for _, c := range b.commands {
			ran++
			out, err := sh(c.text)
			switch {
			case c.script && err != nil:
				t.Fatalf("docs/governance.md:%d: %s: %v\n%s", c.line, c.text, err, out)
			case !c.script:
				if fault := differs(c.output, out); fault != "" {
					t.Errorf("docs/governance.md:%d: $ %s\n%s\nIt prints\n%s", c.line, c.text, fault, out)
				}
			}
		}
	}
	if ran < 30 {
		t.Errorf("%d commands were run: the test reads the page wrongly", ran)
	}
}

// block is a code block of a page.
type block struct {
	line     int // where it begins
	notRun   string
	before   []string
	commands []shown
}

// shown is a command, and what a page shows of its output.
type shown struct {
	line   int
	text   string
	output []string
	script bool // no output is shown
}

var pageComment = regexp.MustCompile(`^ *<!-- (not run|before): (.*) -->$`)

// codeBlocks returns the blocks of a page that are indented by four spaces or more. The error is a page that is not in the form
// that the test reads.
func codeBlocks(page string) ([]block, error) {
	var all []block
	var next block
	var lines []string // of the block
	flush := func(at int) error {
		for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
			lines = lines[:len(lines)-1]
		}
		if len(lines) == 0 {
			return nil
		}
		next.line = at
		indent := len(lines[0]) - len(strings.TrimLeft(lines[0], " "))
		for i, line := range lines {
			lines[i] = line[min(indent, len(line)-len(strings.TrimLeft(line, " "))):]
		}
		switch {
		case next.notRun != "":
		case strings.HasPrefix(lines[0], "$ "):
			for i, line := range lines {
				if text, ok := strings.CutPrefix(line, "$ "); ok {
					next.commands = append(next.commands, shown{line: at + i, text: text})
					continue
				}
				last := &next.commands[len(next.commands)-1]
				last.output = append(last.output, line)
			}
		case regexp.MustCompile(`^(coco|openssl|cat) `).MatchString(lines[0]):
			next.commands = []shown{{line: at, text: "set -e\n" + strings.Join(lines, "\n"), script: true}}
		default:
			return fmt.Errorf("line %d: the block is no command, and no comment says why it is not run: %q", at, lines[0])
		}
		all = append(all, next)
		next, lines = block{}, nil
		return nil
	}
	begun := 0
	previous := ""
	for i, line := range strings.Split(page, "\n") {
		code := strings.HasPrefix(line, "    ") && (len(lines) > 0 || previous == "" || pageComment.MatchString(previous)) || len(lines) > 0 && line == ""
		switch {
		case code && strings.TrimSpace(line) != "" && len(lines) == 0:
			begun = i + 1
			lines = append(lines, line)
		case code && len(lines) > 0:
			lines = append(lines, line)
		default:
			if err := flush(begun); err != nil {
				return nil, err
			}
			if m := pageComment.FindStringSubmatch(line); m != nil && m[1] == "before" {
				next.before = append(next.before, m[2])
			} else if m != nil {
				next.notRun = m[2]
			} else if strings.TrimSpace(line) != "" && (next.notRun != "" || next.before != nil) {
				return nil, fmt.Errorf("line %d: a comment about a block stands before text", i+1)
			}
		}
		previous = line
	}
	return all, flush(begun)
}

// varying are the parts of an output that differ from run to run.
var varying = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\b20[0-9]{2}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2} UTC|T[0-9:.]+Z)?( \([^()]*\))?`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{4}( [0-9a-f]{4}){4}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b|\b[0-9a-f]{8}\b`), "ID"},
	{regexp.MustCompile(`\b127\.0\.0\.1:[0-9]+`), "ADDRESS"},
	{regexp.MustCompile(`"sandbox [0-9]+,`), "NETWORK"},
	{regexp.MustCompile(`\b[0-9]+\.[0-9]+ MiB`), "SIZE"},
	// How many transactions there are beside those of the page is the network's affair.
	{regexp.MustCompile(`\b[0-9]+ (entries|signed batches|transactions)\b`), "N $1"},
	{regexp.MustCompile(`\b(entry|seqno) [0-9]+\b`), "$1 N"},
	{regexp.MustCompile(`\b[0-9]+\.[0-9]+\b`), "TX"},
	{regexp.MustCompile(`^ *[0-9]+  (constitution|#|alpha|bravo|charlie)`), "N $1"}, // of watch
	{regexp.MustCompile(`(TIME +)[0-9]+( +)`), "${1}N$2"},                           // of history
	{regexp.MustCompile(`[ \t]+`), " "},
}

// plain returns a line without what differs from run to run.
func plain(line string) string {
	for _, v := range varying {
		line = v.pattern.ReplaceAllString(line, v.name)
	}
	return strings.TrimSpace(line)
}

// differs says where an output is not what a page shows; empty if it is. A page that shows nothing says nothing.
func differs(want []string, got string) string {
	if len(want) == 0 {
		return ""
	}
	var lines []string
	for line := range strings.SplitSeq(got, "\n") {
		if line = plain(line); line != "" {
			lines = append(lines, line)
		}
	}
	any := false
	for _, w := range want {
		w = plain(w)
		if w == "" {
			continue
		}
		if w == "…" {
			any = true
			continue
		}
		parts := strings.Split(w, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")
		for any && len(lines) > 0 && !pattern.MatchString(lines[0]) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			return fmt.Sprintf("the page shows %q, and the output ends before", w)
		}
		if !pattern.MatchString(lines[0]) {
			return fmt.Sprintf("the page shows  %q\nthe output has  %q", w, lines[0])
		}
		lines, any = lines[1:], false
	}
	if len(lines) > 0 && !any {
		return fmt.Sprintf("the output goes on: %q", lines[0])
	}
	return ""
}

func TestOutputIsComparedButForWhatVaries(t *testing.T) {
	for _, c := range []struct {
		want string
		got  string
		same bool
	}{
		{"  #1  ce68c479  open   2026-12-06 23:05 UTC (in 7 days)", "#1 00000000 open 2027-01-01 00:00 UTC (in 6 days)\n", true},
		{"#1  ce68c479  open", "#2 ce68c479 open", false},
		{"a\n…", "a\nb\nc\n", true},
		{"a\n…\nc", "a\nb\nc\n", true},
		{"a\n…\nd", "a\nb\nc\n", false},
		{"a …", "a b\n", true},
		{"a", "a\nb\n", false},
		{"a\nb", "a\n", false},
		{"", "anything", true},
	} {
		var want []string
		if c.want != "" {
			want = strings.Split(c.want, "\n")
		}
		if fault := differs(want, c.got); (fault == "") != c.same {
			t.Errorf("%q and %q: %q", c.want, c.got, fault)
		}
	}
	for page, ok := range map[string]bool{
		"text\n\n    $ coco up\n    out\n": true, "text\n\n    out\n": false, "<!-- not run: x -->\n\n    out\n": true, "<!-- not run: x -->\ntext\n": false,
	} {
		if _, err := codeBlocks(page); (err == nil) != ok {
			t.Errorf("%q: %v", page, err)
		}
	}
}
