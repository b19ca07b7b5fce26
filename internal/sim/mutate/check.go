package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// check applies every mutant and compiles the packages that are broken. Nothing is copied but the
// libraries: the compiler is given the broken files in an overlay.
//
// Mutants whose texts do not overlap are compiled together, so that most of them cost one compilation;
// if that one fails, each is compiled alone to find the culprits.
func check(list []mutant) error {
	c, err := newChecker()
	if err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	var errs []error
	rounds, err := c.rounds(list)
	errs = append(errs, err)
	for _, round := range rounds {
		err := c.compile(round)
		if err == nil || len(round) == 1 {
			errs = append(errs, err)
			continue
		}
		alone := 0
		for _, m := range round {
			if err := c.compile([]mutant{m}); err != nil {
				alone++
				errs = append(errs, err)
			}
		}
		if alone == 0 {
			errs = append(errs, fmt.Errorf("each compiles alone, but not together: %w", err))
		}
	}
	return errors.Join(errs...)
}

type checker struct {
	root, dir string
	libraries map[string]string // module → a copy of it that may be broken
}

func newChecker() (*checker, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "coco-mutate-")
	if err != nil {
		return nil, err
	}
	return &checker{root: root, dir: dir, libraries: map[string]string{}}, nil
}

// folder returns where a mutant's module lies.
func (c *checker) folder(m mutant) (string, error) {
	if m.library == "" {
		return c.root, nil
	}
	if dir, ok := c.libraries[m.library]; ok {
		return dir, nil
	}
	out, err := c.command("go", "list", "-m", "-f", "{{.Dir}}", m.library).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", m.library, err)
	}
	to := filepath.Join(c.dir, fmt.Sprintf("library%d", len(c.libraries)))
	c.libraries[m.library] = to
	return to, os.CopyFS(to, os.DirFS(strings.TrimSpace(string(out))))
}

// rounds spreads mutants over as few compilations as their texts allow. Its error names those that
// do not apply; they are in no round.
func (c *checker) rounds(list []mutant) ([][]mutant, error) {
	var rounds [][]mutant
	var errs []error
	for _, m := range list {
		if _, err := c.broken([]mutant{m}); err != nil {
			errs = append(errs, err)
			continue
		}
		i := slices.IndexFunc(rounds, func(round []mutant) bool {
			_, err := c.broken(append(slices.Clone(round), m))
			return err == nil
		})
		if i < 0 {
			rounds = append(rounds, []mutant{m})
			continue
		}
		rounds[i] = append(rounds[i], m)
	}
	return rounds, errors.Join(errs...)
}

// broken returns the files that mutants change, as they leave them.
func (c *checker) broken(list []mutant) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, m := range list {
		dir, err := c.folder(m)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, m.file)
		whole, ok := files[path]
		if !ok {
			if whole, err = os.ReadFile(path); err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.name, err)
			}
		}
		after, err := m.apply(whole)
		if err != nil {
			return nil, fmt.Errorf("mutant %s: %w", m.name, err)
		}
		if string(after) == string(whole) {
			return nil, fmt.Errorf("mutant %s changes nothing", m.name)
		}
		files[path] = after
	}
	return files, nil
}

func (c *checker) compile(list []mutant) error {
	files, err := c.broken(list)
	if err != nil {
		return err
	}
	args := []string{"build"}
	overlay := map[string]string{}
	for i, path := range slices.Sorted(maps.Keys(files)) {
		to := filepath.Join(c.dir, fmt.Sprintf("broken%d.go", i))
		if err := write(to, files[path]); err != nil {
			return err
		}
		overlay[path] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return err
	}
	if err := write(filepath.Join(c.dir, "overlay.json"), b); err != nil {
		return err
	}
	args = append(args, "-overlay", filepath.Join(c.dir, "overlay.json"))
	if len(c.libraries) > 0 {
		mod, err := c.modfile()
		if err != nil {
			return err
		}
		args = append(args, "-modfile", mod)
	}
	packages := map[string]bool{}
	for _, m := range list {
		dir := filepath.ToSlash(filepath.Dir(m.file))
		if m.library == "" {
			packages["./"+dir] = true
		} else {
			packages[strings.TrimSuffix(m.library+"/"+dir, "/.")] = true
		}
	}
	args = append(args, slices.Sorted(maps.Keys(packages))...)
	if out, err := c.command("go", args...).CombinedOutput(); err != nil {
		names := make([]string, len(list))
		for i, m := range list {
			names[i] = m.name
		}
		return fmt.Errorf("mutants %s do not compile: %w\n%s", strings.Join(names, ", "), err, out)
	}
	return nil
}

// modfile returns a go.mod that names the copies of the libraries, beside its go.sum.
func (c *checker) modfile() (string, error) {
	mod := filepath.Join(c.dir, "check.mod")
	for from, to := range map[string]string{"go.mod": "check.mod", "go.sum": "check.sum"} {
		b, err := os.ReadFile(filepath.Join(c.root, from))
		if err != nil {
			return "", err
		}
		if err := write(filepath.Join(c.dir, to), b); err != nil {
			return "", err
		}
	}
	for module, dir := range c.libraries {
		if out, err := c.command("go", "mod", "edit", "-replace", module+"="+dir, mod).CombinedOutput(); err != nil {
			return "", fmt.Errorf("replace %s: %w: %s", module, err, out)
		}
	}
	return mod, nil
}

func (c *checker) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.root
	return cmd
}
