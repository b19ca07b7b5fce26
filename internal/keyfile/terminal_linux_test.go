package keyfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// openPTY returns both ends of a new terminal.
func openPTY(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine has no terminals to open: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, program // which stays open: what still reads there, when a question has ended, changes its settings once more
}

// A service manager, a supervisor and a terminal that is closed end a program by different signals. One that waits for a passphrase
// ends by each, and what is typed there is shown again.
func TestASignalEndsTheQuestionForAPassphrase(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			person, program := openPTY(t)
			before, err := term.GetState(int(program.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			failed := make(chan error, 1)
			go func() {
				c := &console{in: program, out: program}
				_, err := c.ask("Passphrase: ")
				failed <- err
			}()
			asked := make([]byte, 64)
			if n, err := person.Read(asked); err != nil || !strings.HasPrefix("Passphrase: ", string(asked[:n])) || n == 0 {
				t.Fatalf("asked %q, %v", asked[:n], err)
			}
			for { // until what is typed is hidden
				hidden, err := term.GetState(int(program.Fd()))
				if err != nil {
					t.Fatal(err)
				}
				if *hidden != *before {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-failed:
				if !errors.Is(err, errInterrupted) {
					t.Error(err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the signal is not heard")
			}
			after, err := term.GetState(int(program.Fd()))
			if err != nil || *after != *before {
				t.Errorf("the terminal is not as it was: %+v, before %+v, %v", after, before, err)
			}
		})
	}
}
