package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pkg is what `go list` says of one package, with its files parsed. Tests are left out: a test may
// import what it likes.
type pkg struct {
	Dir, ImportPath string
	GoFiles         []string
	CgoFiles        []string
	IgnoredGoFiles  []string // other platforms'

	rel   string
	fset  *token.FileSet
	files map[string]*ast.File
}

// load returns the packages of the module. They are read once for all tests, which change nothing in them.
func load(t *testing.T) []*pkg {
	t.Helper()
	pkgs, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(pkgs) // a test may leave some out
}

var packages = sync.OnceValues(func() ([]*pkg, error) {
	root := filepath.Join("..", "..")
	if err := listFolders(root); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "list", "-json=Dir,ImportPath,GoFiles,CgoFiles,IgnoredGoFiles", "./...")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{fset: token.NewFileSet(), files: map[string]*ast.File{}}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		p.rel, _ = relative(p.ImportPath)
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(p.fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			p.files[name] = f
		}
		if len(p.files) > 0 {
			pkgs = append(pkgs, p)
		}
	}
	if len(pkgs) < 5 {
		return nil, fmt.Errorf("go list found %d packages: the test looks at the wrong folder", len(pkgs))
	}
	return pkgs, nil
})

func (p *pkg) at(pos token.Pos) string {
	at := p.fset.Position(pos)
	return fmt.Sprintf("%s:%d", path.Join(p.rel, filepath.Base(at.Filename)), at.Line)
}

// listFolders reads the folders of the module. The go command remembers a test's result for as long
// as the files that the test itself read are the same, and `go list` is another process: without
// this, a package that is new would not be looked at.
func listFolders(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name != ".." && strings.HasPrefix(name, ".") || name == "node_modules" {
			return fs.SkipDir
		}
		return nil
	})
}

// source is a package with one file of these declarations, for the tests of the checks themselves.
func source(t *testing.T, rel, trust string, decls ...string) *pkg {
	t.Helper()
	p := &pkg{rel: rel, fset: token.NewFileSet()}
	src := "// Package x is made for a test.\n//\n// Trust: " + trust + "\npackage x\n" + strings.Join(decls, "\n")
	f, err := parser.ParseFile(p.fset, "x.go", src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	p.files = map[string]*ast.File{"x.go": f}
	return p
}
