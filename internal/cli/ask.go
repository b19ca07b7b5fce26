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
	answer, err := a.answer(question + " [y/N]")
	answer = strings.ToLower(answer)
	return err == nil && (answer == "y" || answer == "yes"), err
}

// AskWord writes a question that is answered by typing a word, and reports whether it was typed.
func (a *App) AskWord(question, word string) (bool, error) {
	answer, err := a.answer(question)
	return err == nil && answer == word, err
}

// answer writes a question, and returns the line that is typed, without spaces around it. The end of the input ends the line.
func (a *App) answer(question string) (string, error) {
	a.Err.Printf("%s ", question)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimSpace(line), err
}
