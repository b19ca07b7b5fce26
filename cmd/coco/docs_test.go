package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/cli"
)

// document reads a page of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// Every command line in the documents and in the commands' own help names commands and flags that are there.
func TestDocumentsNameCommandsThatAreThere(t *testing.T) {
	app := &cli.App{Program: program(), In: strings.NewReader(""), Out: cli.NewPrinter(&bytes.Buffer{}), Err: cli.NewPrinter(&bytes.Buffer{})}
	root := root(app.Version)
	app.Add(root, groups())
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		names, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			pages[filepath.Base(name)] = document(t, filepath.Join(filepath.FromSlash(filepath.Dir(pattern)), filepath.Base(name)))
		}
	}
	collectHelp(root, pages)
	lines := 0
	for name, page := range pages {
		for _, line := range commandLines(page) {
			lines++
			for _, fault := range unknown(root, line) {
				t.Errorf("%s: `%s`: %s", name, strings.Join(line, " "), fault)
			}
		}
	}
	if lines < 250 {
		t.Errorf("the test read %d command lines: it looks at the wrong places", lines)
	}
	for _, gone := range []string{"coco tunnel", "coco gov elect alpha", "coco up --quick", "coco node snapshot take", `coco bench erc20\|join\|web3`} {
		if line := commandLines("    " + gone + "\n"); len(line) != 1 || len(unknown(root, line[0])) == 0 {
			t.Errorf("`%s` is taken for a command", gone)
		}
	}
}

// The word that a flag's help shows for its value is one word: of several words in back quotes the first one counts.
func TestFlagsNameTheirValueByOneWord(t *testing.T) {
	app := &cli.App{Program: program(), In: strings.NewReader(""), Out: cli.NewPrinter(&bytes.Buffer{}), Err: cli.NewPrinter(&bytes.Buffer{})}
	root := root(app.Version)
	app.Add(root, groups())
	flags := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			flags++
			if name, _ := pflag.UnquoteUsage(f); strings.Contains(name, " ") {
				t.Errorf("%s: the value of --%s is called %q", cmd.CommandPath(), f.Name, name)
			}
		})
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	if flags < 100 {
		t.Errorf("the test read %d flags: it looks at the wrong places", flags)
	}
}

// collectHelp adds the help of a command and of those below it to pages.
func collectHelp(cmd *cobra.Command, pages map[string]string) {
	pages[cmd.CommandPath()+" --help"] = cmd.Long + "\n" + cmd.Example + "\n"
	for _, sub := range cmd.Commands() {
		collectHelp(sub, pages)
	}
}

var (
	codeLine   = regexp.MustCompile(`(?m)^(?:    |  |)(?:\$ )?(?:\./|go run \./cmd/)?coco ([a-z-].*)$`)
	inlineCode = regexp.MustCompile("`(?:\\./|go run \\./cmd/)?coco ([a-z-][^`]*)`")
	fenced     = regexp.MustCompile("(?s)```.*?```")
	quoted     = regexp.MustCompile(`"[^"]*"`)
)

// commandLines returns the arguments of each command line of a page: in code blocks, and in code within text.
func commandLines(page string) (lines [][]string) {
	page = strings.ReplaceAll(page, "\\\n", " ")
	add := func(matches [][]string) {
		for _, m := range matches {
			line, _, _ := strings.Cut(m[1], " #")
			line = quoted.ReplaceAllString(strings.ReplaceAll(line, `\|`, "|"), "TEXT")
			if line != "receipt 1" && line != "receipt 2" { // names of formats
				lines = append(lines, strings.Fields(line))
			}
		}
	}
	prose := fenced.ReplaceAllString(page, "")
	for _, block := range fenced.FindAllString(page, -1) {
		add(codeLine.FindAllStringSubmatch(block, -1))
	}
	for _, m := range codeLine.FindAllStringSubmatch(prose, -1) {
		if strings.HasPrefix(m[0], "  ") { // else it is text that begins a line
			add([][]string{m})
		}
	}
	add(inlineCode.FindAllStringSubmatch(strings.ReplaceAll(prose, "\n", " "), -1))
	return lines
}

// unknown returns what the words of a command line name that is not there. `a|b` stands for either.
func unknown(root *cobra.Command, words []string) (faults []string) {
	at := []*cobra.Command{root}
	descending := true
	for _, word := range words {
		word = strings.Trim(word, "[]();,.:")
		switch {
		case word == "|" || word == ">" || word == ">>" || word == "&&":
			return faults
		case strings.HasPrefix(word, "-"):
			descending = false // what follows may be the flag's value
			name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
			if name != "" && name != "help" && !slices.ContainsFunc(at, func(c *cobra.Command) bool {
				if strings.HasPrefix(word, "--") {
					return c.Flags().Lookup(name) != nil || c == root && name == "version"
				}
				return len(name) == 1 && c.Flags().ShorthandLookup(name) != nil
			}) {
				faults = append(faults, "there is no flag "+word)
			}
		case descending && at[0].HasAvailableSubCommands() && !slices.Contains([]string{"completion", "help"}, word):
			var next []*cobra.Command
			for _, name := range strings.Split(word, "|") {
				i := slices.IndexFunc(at[0].Commands(), func(c *cobra.Command) bool { return c.Name() == name })
				if i < 0 {
					return append(faults, "there is no command "+at[0].CommandPath()+" "+name)
				}
				next = append(next, at[0].Commands()[i])
			}
			at = next
		default:
			descending = false
		}
	}
	return faults
}

// docs/tables.md lists the tables of the core and of the adapters.
func TestTheDocumentListsTheTables(t *testing.T) {
	listed := map[string]string{} // the table's name, and what its row says
	settings := false
	for line := range strings.Lines(document(t, "docs/tables.md")) {
		settings = strings.HasPrefix(line, "| setting |") || settings && strings.HasPrefix(line, "|")
		if settings {
			continue // names of settings look alike
		}
		if m := regexp.MustCompile("^(?:\\| )?`([a-z]+\\.[a-z]+)` ?(.*)").FindStringSubmatch(line); m != nil {
			listed[m[1]] += m[2]
		}
	}
	tables := table.All()
	for _, a := range program().Adapters {
		tables = append(tables, a.Manifest().Tables...)
	}
	for _, table := range tables {
		row, ok := listed[table.Name]
		if !ok {
			t.Errorf("docs/tables.md does not list %s", table.Name)
		}
		if public := strings.Contains(row, "public"); public == table.Private {
			t.Errorf("docs/tables.md says of %s %q; it is private: %v", table.Name, row, table.Private)
		}
		if strings.Contains(row, "(archive)") != table.Archive {
			t.Errorf("docs/tables.md says of %s %q; it is an archive: %v", table.Name, row, table.Archive)
		}
		delete(listed, table.Name)
	}
	for name := range listed {
		t.Errorf("docs/tables.md lists %s, which is not there", name)
	}
}

// docs/tables.md has what each adapter's code says of its settings: values, default, and whether and when a vote counts.
func TestTheDocumentListsEveryAdaptersSettings(t *testing.T) {
	page := document(t, "docs/tables.md")
	for _, a := range program().Adapters {
		want := "### Settings of " + a.Manifest().Name + "\n\n" + a.Settings().Markdown()
		if !strings.Contains(page, want) {
			t.Errorf("docs/tables.md does not hold the settings of %s as the code makes them:\n%s", a.Manifest().Name, want)
		}
	}
}
