// Command mutate shows whether the simulation bites: it breaks a copy of the code in one way after the other, plays
// seeds on each, and prints which invariant was the first to notice, and at which seed. What no seed brings about, as an attack on
// the arithmetic of keys, or too seldom, a mutant leaves to one test of a package, which it names.
//
//	go run ./internal/sim/mutate                     every mutant, 20 seeds each
//	go run ./internal/sim/mutate -seeds 60 sync once two of them
//	go run ./internal/sim/mutate -tests              those that a named test must notice
//	go run ./internal/sim/mutate -check              only whether each still applies and compiles
//
// The copy is a temporary folder; nothing of the checkout is changed. docs/testing.md keeps the results.
//
// Trust: host
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cocoframework/coco/internal/sim/replay"
)

func main() {
	seeds := flag.Int("seeds", 20, "how many seeds a mutant is given to be noticed in")
	first := flag.Int("first", 1, "the first of them")
	only := flag.Bool("check", false, "apply and compile every mutant, and play no seed")
	tests := flag.Bool("tests", false, "only the mutants that a named test must notice, which takes seconds each")
	flag.Parse()
	err := error(nil)
	if *only {
		if err = check(mutants); err == nil {
			fmt.Printf("%d mutants apply and compile\n", len(mutants))
		}
	} else {
		list := mutants
		if *tests {
			list = tested
		}
		err = run(list, *first, *seeds, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(list []mutant, first, seeds int, names []string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "coco-mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{root: root, dir: dir, first: first, seeds: seeds}
	if err := b.copyModule(); err != nil {
		return err
	}
	survived := 0
	fmt.Println("| mutant | caught by | seed |\n|---|---|---|")
	for _, m := range list {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		caught, seed, err := b.try(m)
		if err != nil {
			return fmt.Errorf("mutant %s: %w", m.name, err)
		}
		if caught == "" {
			survived++
			caught, seed = "**survived**", fmt.Sprintf("%d to %d", first, first+seeds-1)
			if m.test != "" {
				caught, seed = "**survived** "+m.test, ""
			}
		}
		fmt.Printf("| `%s`: %s | %s | %s |\n", m.name, m.what, caught, seed)
	}
	if survived > 0 {
		fmt.Printf("\n%d survived: each is a missing check, a fault that is drawn too seldom, or code that is guarded twice.\n", survived)
	}
	return nil
}

// moduleRoot is the folder of the main module.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// bench is a copy of the module to break.
type bench struct {
	root, dir    string
	first, seeds int
}

// copyModule copies the module's own files, without what builds and tests of other languages leave behind.
func (b *bench) copyModule() error {
	files, err := exec.Command("git", "-C", b.root, "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("list the module's files: %w", err)
	}
	for file := range strings.Lines(string(files)) {
		file = strings.TrimSpace(file)
		if strings.HasPrefix(file, "test/") || strings.HasPrefix(file, "docs/") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(b.root, file))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			return err
		}
		if err := write(filepath.Join(b.dir, file), content); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// library copies a module that this one requires, so that it can be broken, too.
func (b *bench) library(module string) (string, error) {
	c := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	c.Dir = b.root
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", module, err)
	}
	to := filepath.Join(b.dir, "library")
	if err := os.CopyFS(to, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		return "", err
	}
	c = exec.Command("go", "mod", "edit", "-replace", module+"="+to)
	c.Dir = b.dir
	return to, c.Run()
}

// try breaks the copy, plays seeds, and mends it.
func (b *bench) try(m mutant) (caught, seed string, err error) {
	in := b.dir
	if m.library != "" {
		mod, err := os.ReadFile(filepath.Join(b.dir, "go.mod"))
		if err != nil {
			return "", "", err
		}
		if in, err = b.library(m.library); err != nil {
			return "", "", err
		}
		defer func() {
			err = errors.Join(err, write(filepath.Join(b.dir, "go.mod"), mod), os.RemoveAll(in))
		}()
	}
	path := filepath.Join(in, m.file)
	whole, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	broken, err := m.apply(whole)
	if err != nil {
		return "", "", err
	}
	if err := errors.Join(os.Chmod(path, 0o644), write(path, broken)); err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, write(path, whole)) }()
	if m.test != "" {
		return b.runTest(m)
	}
	return b.play()
}

// runTest runs the test that must notice a mutant.
func (b *bench) runTest(m mutant) (caught, seed string, err error) {
	if out, err := b.command("go", "vet", "./"+m.tests()).CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("it does not compile:\n%s", out)
	}
	out, err := b.command("go", "test", "-run", "^"+m.test+"$", "-count", "1", "-timeout", "5m", "./"+m.tests()).CombinedOutput()
	switch {
	case err == nil:
		return "", "", nil
	case !bytes.Contains(out, []byte("--- FAIL: "+m.test)) && !bytes.Contains(out, []byte("panic:")):
		return "", "", fmt.Errorf("%s failed to run:\n%s", m.test, out[max(0, len(out)-4000):])
	}
	return "`" + m.test + "` of " + m.tests(), "", nil
}

var (
	violated = regexp.MustCompile(`VIOLATED (\w+)`)
	failed   = regexp.MustCompile(`--- FAIL: \w+/(\d+)`)
	running  = regexp.MustCompile(`=== RUN +\w+/(\d+)`)
)

// play plays seeds until one fails. It returns the invariants that the seed reported, in the order of its report.
func (b *bench) play() (caught, seed string, err error) {
	if out, err := b.command("go", "vet", "./internal/sim").CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("it does not compile:\n%s", out)
	}
	flags, err := replay.Flags()
	if err != nil {
		return "", "", err
	}
	args := append([]string{"test", "-run", "^TestNothingIsLostWhateverTheSeed$", "-count", "1", "-failfast", "-v", "-timeout", "1h"}, flags...)
	c := b.command("go", append(args, "./internal/sim")...)
	c.Env = append(c.Environ(), "GOMAXPROCS=1", fmt.Sprintf("FIRST=%d", b.first), fmt.Sprintf("SEEDS=%d", b.seeds))
	out, err := c.CombinedOutput()
	if err == nil {
		return "", "", nil
	}
	var names []string
	for _, v := range violated.FindAllSubmatch(out, -1) {
		if name := string(v[1]); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if s := failed.FindSubmatch(out); s != nil {
		seed = string(s[1])
	} else if all := running.FindAllSubmatch(out, -1); len(all) > 0 {
		seed = string(all[len(all)-1][1]) // the process died in it
	}
	if bytes.Contains(out, []byte("panic:")) {
		names = append(names, "panic")
	}
	if len(names) == 0 {
		return "", "", fmt.Errorf("the test failed and says no invariant:\n%s", out[max(0, len(out)-4000):])
	}
	return strings.Join(names, ", "), seed, nil
}

func (b *bench) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = b.dir
	return c
}
