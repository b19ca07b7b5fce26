package govcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/signer"
	"github.com/cocoframework/coco/wire"
)

// watching says where news goes.
type watching struct {
	after   uint64
	state   string // file
	command string
	webhook string
	limit   int
}

func (a *app) govWatchCommand(f *officer.Access) *cobra.Command {
	w := &watching{}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Tell what happens in governance, as it happens",
		Long: `Waits for proposals, votes, decisions, new versions of the constitution, and nodes that ask to join,
and tells each: on standard output, to a command (--exec), which gets the event as JSON on its
standard input, or to a web address (--webhook), which gets it by POST.

It goes on when the node goes away and comes back. With --state FILE it also goes on after it was
stopped itself, from the last event that was told; an event may then be told twice, but none is
left out. An event that a command or web address does not take is told again, until it is taken.`,
		Example: `  coco gov watch --as alpha
  coco gov watch --as alpha --after 0 --limit 10 -o json
  coco gov watch --as alpha --state seen --webhook https://chat.example/hook
  coco gov watch --as alpha --state seen --exec "/usr/bin/mail -s governance board@alpha.example"`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := w.begin(cmd.Flags().Changed("after")); err != nil {
			return err
		}
		err := a.watchGovernance(cmd.Context(), f, w)
		if cmd.Context().Err() != nil && err != nil {
			return nil // Ctrl-C is how it ends
		}
		return err
	}
	f.ConnectFlags(a.App, cmd)
	fl := cmd.Flags()
	fl.Uint64Var(&w.after, "after", 0, "also what happened after a `seqno`; 0 for everything (default: only what happens from now on)")
	fl.StringVar(&w.state, "state", "", "keep in a `file` how far it has come, and go on from there")
	fl.StringVar(&w.command, "exec", "", "run a `command` for each event")
	fl.StringVar(&w.webhook, "webhook", "", "POST each event to a `URL`")
	fl.IntVar(&w.limit, "limit", 0, "end after so many events (default: never)")
	return cmd
}

// fromNow stands for the seqno of the first answer.
const fromNow = ^uint64(0)

// begin finds out where to go on.
func (w *watching) begin(told bool) error {
	if !told {
		w.after = fromNow
	}
	if w.command != "" {
		if _, err := signer.Split(w.command); err != nil {
			return fmt.Errorf("%w: --exec: %w", coco.ErrInvalid, err)
		}
	}
	if w.state == "" {
		return nil
	}
	text, err := os.ReadFile(w.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: --state %s: expected a seqno, as this command writes it, found %.40q", coco.ErrInvalid, w.state, text)
	}
	if !told {
		w.after = n
	}
	return nil
}

// The pause after a node could not be asked.
const (
	watchPauseLow  = 500 * time.Millisecond
	watchPauseHigh = 15 * time.Second
)

// errKey ends a watch: a token that is asked again and again locks itself.
var errKey = errors.New("the key does not sign")

// watchGovernance tells news until ctx ends, or the limit is reached.
func (a *app) watchGovernance(ctx context.Context, f *officer.Access, w *watching) error {
	pause := watchPauseLow
	for told := 0; ; {
		n, err := a.watchNode(ctx, f, w, told)
		told += n
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, errKey), errors.Is(err, coco.ErrDenied), errors.Is(err, coco.ErrVerify), errors.Is(err, coco.ErrInvalid), errors.Is(err, coco.ErrCorrupt):
			return err // asking again cannot help
		}
		if n > 0 {
			pause = watchPauseLow
		}
		a.Err.Printf("%s\n", a.Err.Dim(fmt.Sprintf("%v; trying again in %s", err, pause)))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, watchPauseHigh)
	}
}

// watchNode tells the news of one node until it fails; nil is the end. It returns how much it told.
func (a *app) watchNode(ctx context.Context, f *officer.Access, w *watching, before int) (told int, err error) {
	o, err := f.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer o.Close()
	for {
		after := w.after
		if after == fromNow {
			after = 0
		}
		events, seqno, err := o.Watch(ctx, after)
		if kerr := o.KeyError(); err != nil && kerr != nil {
			return told, fmt.Errorf("%w: %w", errKey, kerr)
		}
		if err != nil {
			return told, err
		}
		if w.after == fromNow {
			events = nil // they are old
		}
		for _, e := range events {
			if err := a.tell(ctx, w, e); err != nil {
				return told, err
			}
			if told++; w.limit > 0 && before+told == w.limit {
				return told, w.save(e.Since - 1) // another event may have the same seqno
			}
		}
		if err := w.save(seqno); err != nil {
			return told, err
		}
	}
}

// save notes how far it has come.
func (w *watching) save(seqno uint64) error {
	w.after = seqno
	if w.state == "" {
		return nil
	}
	return atomicfile.Write(w.state, []byte(strconv.FormatUint(seqno, 10)+"\n"))
}

// tell writes one event, hands it to the command, and posts it, as the flags say.
func (a *app) tell(ctx context.Context, w *watching, e wire.GovEvent) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if w.command != "" {
		words, err := signer.Split(w.command)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(append(text, '\n')), a.Out.W, a.Err.W
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("--exec %s: %w", words[0], err)
		}
	}
	if w.webhook != "" {
		if err := post(ctx, w.webhook, text); err != nil {
			return fmt.Errorf("--webhook: %w", err)
		}
	}
	switch {
	case a.WantsJSON():
		return a.Out.JSON(e)
	case w.command == "" && w.webhook == "":
		a.Out.Printf("%s  %s\n", a.Out.Dim(fmt.Sprintf("%8d", e.Since)), e.Text)
	}
	return nil
}

// post sends an event to a web address.
func post(ctx context.Context, url string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
