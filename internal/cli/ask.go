package cli

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Asks reports whether a person can be asked: the standard input is a terminal.
func (a *App) Asks() bool {
	f, ok := a.In.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Ask writes a question, and reports whether the answer is yes. Anything else than y and yes is no.
func (a *App) Ask(question string) (bool, error) {
	a.Err.Printf("%s [y/N] ", question)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// AskWord writes a question that is answered by typing a word, and reports whether it was typed.
func (a *App) AskWord(question, word string) (bool, error) {
	a.Err.Printf("%s ", question)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return strings.TrimSpace(line) == word, nil
}
