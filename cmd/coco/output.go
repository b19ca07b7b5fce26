package main

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

// printer writes for people or for programs.
type printer struct {
	w        io.Writer
	terminal bool
	color    bool
}

func newPrinter(w io.Writer) *printer {
	p := &printer{w: w}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	p.color = p.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return p
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// json writes one line.
func (p *printer) json(v any) error {
	enc := json.NewEncoder(p.w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// The colours of a terminal.
func (p *printer) paint(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) red(s string) string   { return p.paint("1;31", s) }
func (p *printer) green(s string) string { return p.paint("32", s) }
func (p *printer) bold(s string) string  { return p.paint("1", s) }
func (p *printer) dim(s string) string   { return p.paint("2", s) }

// line replaces the last line of a terminal; elsewhere it prints nothing. An empty one clears it.
func (p *printer) line(format string, args ...any) {
	if p.terminal {
		p.printf("\r\x1b[K"+format, args...)
	}
}

func (p *printer) ok(format string, args ...any) {
	p.printf("  %s %s\n", p.green("✓"), fmt.Sprintf(format, args...))
}

func (p *printer) insecure() {
	p.printf("%s\n", p.red("INSECURE: the TEE is simulated. Nothing here is confidential; for development and tests only."))
}

// plural is a number of things, in words.
func plural[N int | uint64](n N, thing string) string {
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

// table writes columns, each as wide as its widest cell. The first row is the heading.
func (p *printer) table(rows [][]string) {
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
			p.printf("%s\n", p.bold(b.String()))
			continue
		}
		p.printf("%s\n", b.String())
	}
}

const outputJSON = "json"

// outputFlag gives a command the flag -o.
func (a *app) outputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.output, "output", "o", "text", "`text` or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", outputJSON}, cobra.ShellCompDirectiveNoFileComp))
}

func (a *app) checkOutput(cmd *cobra.Command) error {
	if f := cmd.Flags().Lookup("output"); f != nil && a.output != "text" && a.output != outputJSON {
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
		case arg == "-o"+outputJSON, arg == "-o="+outputJSON, arg == "--output="+outputJSON:
			return true
		case (arg == "-o" || arg == "--output") && i+1 < len(args) && args[i+1] == outputJSON:
			return true
		}
	}
	return false
}

func (a *app) wantsJSON() bool { return a.output == outputJSON }

// showError tells the user why a command failed.
func (a *app) showError(err error) {
	if a.wantsJSON() {
		_ = a.err.json(map[string]any{"error": map[string]any{"exit_code": wire.ExitCode(err), "message": err.Error()}})
		return
	}
	a.err.printf("%s %v\n", a.err.red("coco:"), err)
}

// Unwrap makes a usage error of kind coco.ErrInvalid, whatever the parser of flags says.
func (e *usageError) Unwrap() error { return coco.ErrInvalid }

// dirFlag gives a command the flag --dir.
func dirFlag(cmd *cobra.Command, dir *string, usage string) {
	cmd.Flags().StringVar(dir, "dir", localnet.DefaultDir, usage)
	_ = cmd.MarkFlagDirname("dir")
}
