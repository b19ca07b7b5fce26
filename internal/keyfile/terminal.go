package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// errInterrupted is a signal to end while a passphrase was asked for.
var errInterrupted = errors.New("interrupted")

// maxPassphrase bounds what is read of a terminal.
const maxPassphrase = 1024

// console is the terminal that the program was started at, whatever its standard input and output are.
type console struct{ in, out *os.File }

// openTerminal opens the program's terminal. It fails if there is none.
func openTerminal() (asker, error) {
	in, err := os.OpenFile(consoleIn, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	out := in
	if consoleOut != consoleIn {
		if out, err = os.OpenFile(consoleOut, os.O_RDWR, 0); err != nil {
			in.Close()
			return nil, err
		}
	}
	return &console{in, out}, nil
}

// ask implements asker. An interrupt or another signal to end ends it, with the terminal as it was.
func (c *console) ask(prompt string) ([]byte, error) {
	fd := int(c.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(interrupted)
	c.write(prompt)
	type answer struct {
		line []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() { // it ends with the line, or with the program: a read of a terminal cannot be interrupted
		line, err := term.ReadPassword(fd)
		typed <- answer{line, err}
	}()
	select {
	case a := <-typed:
		c.say("")
		switch {
		case errors.Is(a.err, io.EOF):
			return nil, errors.New("the terminal was closed")
		case len(a.line) > maxPassphrase:
			clear(a.line)
			return nil, fmt.Errorf("%d bytes, expected at most %d", len(a.line), maxPassphrase)
		}
		return bytes.TrimSuffix(a.line, []byte("\r")), a.err
	case <-interrupted:
		_ = term.Restore(fd, before)
		c.say("")
		return nil, errInterrupted
	}
}

func (c *console) say(line string) { c.write(line + "\n") }

func (c *console) write(text string) { _, _ = io.WriteString(c.out, text) }

// Close implements asker.
func (c *console) Close() error {
	if c.out != c.in {
		_ = c.out.Close()
	}
	return c.in.Close()
}
