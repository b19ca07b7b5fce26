package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/cocoframework/coco"
)

// OutlivePipes has the program go on when what reads its output ends, as in `coco up | head`: what it does matters
// more than who watches. By default a program that writes to such a pipe is ended by SIGPIPE. Programs that this one
// starts do not inherit it.
func (a *App) OutlivePipes() {
	// A signal that is caught, rather than ignored, is at its default again in a program that is started. Nothing has
	// to receive it: that a write failed is its own result.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// Hangups has SIGHUP no longer end the program, and returns what receives it: service managers and logrotate mean by it
// that a log is to be opened anew. At a terminal, whose end is told by the same signal, the program still ends, and Hangups returns nil.
func (a *App) Hangups() <-chan os.Signal {
	if f, ok := a.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return nil
	}
	c := make(chan os.Signal, 1)
	signal.Ignore(syscall.SIGHUP) // takes it from all who were told of it before
	signal.Notify(c, syscall.SIGHUP)
	return c
}

// Confirm asks the person at the terminal whether to do what cannot be undone, and fails with coco.ErrInvalid unless
// the answer is yes. Without a terminal at the standard input nobody is asked: a script has said what it wants. flag
// is what a person gives in order not to be asked.
func (a *App) Confirm(ctx context.Context, flag, format string, args ...any) error {
	f, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	a.Err.Printf("%s Type yes to go on: ", fmt.Sprintf(format, args...))
	answer := make(chan string, 1)
	go func() { // it ends with the line, or with the program: a read of a terminal cannot be interrupted
		line, _ := bufio.NewReader(f).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		a.Err.Printf("\n")
		return ErrInterrupted
	case line := <-answer:
		if strings.EqualFold(line, "yes") || strings.EqualFold(line, "y") {
			return nil
		}
		return fmt.Errorf("%w: expected yes, found %q: nothing was changed; %s does not ask", coco.ErrInvalid, line, flag)
	}
}
