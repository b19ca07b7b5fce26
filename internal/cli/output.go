package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/visible"
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

// Printf writes formatted text. What others wrote may be among the arguments: characters that cannot be seen, and
// sequences other than the printer's own colours, are written out (package visible).
func (p *Printer) Printf(format string, args ...any) {
	_, _ = io.WriteString(p.W, p.shown(fmt.Sprintf(format, args...), visible.Lines)) // a terminal that has gone
}

// Page writes a page that another program may read, as it is; on a terminal, what cannot be seen is written out.
func (p *Printer) Page(page []byte) error {
	if p.terminal {
		page = []byte(visible.Lines(string(page)))
	}
	_, err := p.W.Write(page)
	return err
}

// shown makes a text visible and keeps the printer's own colours.
func (p *Printer) shown(text string, visible func(string) string) string {
	if !p.color || !strings.Contains(text, "\x1b") {
		return visible(text)
	}
	var b strings.Builder
	for text != "" {
		at, end := ownColour(text)
		b.WriteString(visible(text[:at]))
		b.WriteString(text[at:end])
		text = text[end:]
	}
	return b.String()
}

// ownColour finds the first of the printer's sequences; it is empty at the end of a text that has none.
func ownColour(text string) (at, end int) {
	for at = 0; at < len(text); at++ {
		for _, code := range colours {
			if sequence := "\x1b[" + code + "m"; strings.HasPrefix(text[at:], sequence) {
				return at, at + len(sequence)
			}
		}
	}
	return len(text), len(text)
}

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
	return "\x1b[" + code + "m" + s + "\x1b[" + plain + "m"
}

// What a printer may change on a terminal. None of it hides anything.
const (
	plain = "0"
	red   = "1;31"
	green = "32"
	bold  = "1"
	dim   = "2"
)

var colours = []string{plain, red, green, bold, dim}

// The colours of a terminal, where there is one.
func (p *Printer) Red(s string) string   { return p.paint(red, s) }
func (p *Printer) Green(s string) string { return p.paint(green, s) }
func (p *Printer) Bold(s string) string  { return p.paint(bold, s) }
func (p *Printer) Dim(s string) string   { return p.paint(dim, s) }

// Line replaces the last line of a terminal; elsewhere it prints nothing. An empty one clears it.
func (p *Printer) Line(format string, args ...any) {
	if p.terminal {
		_, _ = io.WriteString(p.W, "\r\x1b[K"+p.shown(fmt.Sprintf(format, args...), visible.Text))
	}
}

// Bar returns what draws how far something is on the last line of a terminal, at most ten times a second, and how long it takes still if that is
// more than a moment.
func (p *Printer) Bar(what string) func(done, total int64) {
	var began, last time.Time
	return func(done, total int64) {
		now := time.Now()
		if began.IsZero() {
			began = now
		}
		if total > 0 && now.Sub(last) > 100*time.Millisecond {
			last = now
			const width = 30
			full := int(done * width / total)
			p.Line("%s [%s%s] %d%%%s", what, strings.Repeat("█", full), strings.Repeat("·", width-full), done*100/total, left(now.Sub(began), done, total))
		}
	}
}

// left says how long something takes still, by how long it took so far; nothing while that says little, or if it is at its end.
func left(took time.Duration, done, total int64) string {
	if took < 2*time.Second || done == 0 || done >= total {
		return ""
	}
	return fmt.Sprintf(", %v left", max(time.Second, time.Duration(float64(took)*float64(total-done)/float64(done)).Round(time.Second)))
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
	case strings.HasSuffix(thing, "ch") && !strings.HasSuffix(thing, "epoch"):
		return fmt.Sprintf("%d %ses", n, thing)
	case strings.HasSuffix(thing, "try"), strings.HasSuffix(thing, "ony"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(thing, "y"))
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Table writes columns, each as wide as its widest cell. The first row is the heading.
func (p *Printer) Table(rows [][]string) {
	var width []int
	for _, r := range rows {
		for i := range r {
			r[i] = p.shown(r[i], visible.Text)
			cell := r[i]
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
