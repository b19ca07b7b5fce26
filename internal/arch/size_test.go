package arch

import (
	"go/ast"
	"path"
	"testing"
)

// A file longer than a reader likes is reported, not refused: the question is whether it is one
// room or two.
func TestFilesFitInAHead(t *testing.T) {
	const likes, refuses = 450, 800
	for _, p := range load(t) {
		for name, f := range p.files {
			lines := p.fset.Position(f.FileEnd).Line
			switch at := path.Join(p.rel, name); {
			case ast.IsGenerated(f):
			case lines > refuses:
				t.Errorf("%s has %d lines; split it (a file reads well up to about %d)", at, lines, likes)
			case lines > likes:
				t.Logf("%s has %d lines; a file reads well up to about %d", at, lines, likes)
			}
		}
	}
}
