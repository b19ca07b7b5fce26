package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

// Printer writes for people or for programs.
type Printer struct {
	W        io.Writer
	terminal bool
	color    bool
}

// NewPrinter returns a printer that paints and replaces lines if w is a terminal.
func NewPrinter(w io.Writer) *Printer {
	p := &Printer{W: w}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	p.color = p.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return p
}

// Terminal reports whether a person reads what is written.
func (p *Printer) Terminal() bool { return p.terminal }

// Printf writes formatted text.
func (p *Printer) Printf(format string, args ...any) { fmt.Fprintf(p.W, format, args...) }

// JSON writes one line.
func (p *Printer) JSON(v any) error {
	enc := json.NewEncoder(p.W)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (p *Printer) paint(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// The colours of a terminal, where there is one.
func (p *Printer) Red(s string) string   { return p.paint("1;31", s) }
func (p *Printer) Green(s string) string { return p.paint("32", s) }
func (p *Printer) Bold(s string) string  { return p.paint("1", s) }
func (p *Printer) Dim(s string) string   { return p.paint("2", s) }

// Line replaces the last line of a terminal; elsewhere it prints nothing. An empty one clears it.
func (p *Printer) Line(format string, args ...any) {
	if p.terminal {
		p.Printf("\r\x1b[K"+format, args...)
	}
}

// OK writes a line about something that holds or was done.
func (p *Printer) OK(format string, args ...any) {
	p.Printf("  %s %s\n", p.Green("✓"), fmt.Sprintf(format, args...))
}

// Insecure writes the warning that nothing is confidential.
func (p *Printer) Insecure() {
	p.Printf("%s\n", p.Red("INSECURE: the TEE is simulated. Nothing here is confidential; for development and tests only."))
}

// Plural is a number of things, such as "3 batches".
func Plural[N int | uint64](n N, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "ch"):
		return fmt.Sprintf("%d %ses", n, thing)
	case strings.HasSuffix(thing, "try"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(thing, "y"))
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Table writes columns, each as wide as its widest cell. The first row is the heading.
func (p *Printer) Table(rows [][]string) {
	var width []int
	for _, r := range rows {
		for i, cell := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for k, r := range rows {
		var b strings.Builder
		for i, cell := range r {
			b.WriteString("  " + cell)
			if i < len(r)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-len([]rune(cell))))
			}
		}
		if k == 0 {
			p.Printf("%s\n", p.Bold(b.String()))
			continue
		}
		p.Printf("%s\n", b.String())
	}
}

// OutputJSON is the value of -o for programs.
const OutputJSON = "json"

// OutputFlag gives a command the flag -o.
func (a *App) OutputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.output, "output", "o", "text", "`text` or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", OutputJSON}, cobra.ShellCompDirectiveNoFileComp))
}

func (a *App) checkOutput(cmd *cobra.Command) error {
	if f := cmd.Flags().Lookup("output"); f != nil && a.output != "text" && a.output != OutputJSON {
		return fmt.Errorf("%w: output %q: expected text or json", coco.ErrInvalid, a.output)
	}
	return nil
}

// askedForJSON looks for -o json in arguments that could not be understood.
func askedForJSON(args []string) bool {
	for i, arg := range args {
		switch {
		case arg == "--":
			return false
		case arg == "-o"+OutputJSON, arg == "-o="+OutputJSON, arg == "--output="+OutputJSON:
			return true
		case (arg == "-o" || arg == "--output") && i+1 < len(args) && args[i+1] == OutputJSON:
			return true
		}
	}
	return false
}

// WantsJSON reports whether the output is for programs.
func (a *App) WantsJSON() bool { return a.output == OutputJSON }

// showError tells the user why a command failed.
func (a *App) showError(err error) {
	if a.WantsJSON() {
		_ = a.Err.JSON(map[string]any{"error": map[string]any{"exit_code": wire.ExitCode(err), "message": err.Error()}})
		return
	}
	a.Err.Printf("%s %v\n", a.Err.Red("coco:"), err)
}

// Unwrap makes a usage error of kind coco.ErrInvalid, whatever the parser of flags says.
func (e *usageError) Unwrap() error { return coco.ErrInvalid }

// DirFlag gives a command the flag --dir.
func DirFlag(cmd *cobra.Command, dir *string, usage string) {
	cmd.Flags().StringVar(dir, "dir", localnet.DefaultDir, usage)
	_ = cmd.MarkFlagDirname("dir")
}
