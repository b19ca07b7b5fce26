package localnet

import "github.com/cocoframework/coco/internal/shell"

// DirHint is what a command that people are shown needs after its name to find the network in a folder: nothing for
// the default one, else " --dir FOLDER", which can be pasted into a shell.
func DirHint(dir string) string {
	if lay, err := NewLayout(dir); err == nil {
		if own, err := NewLayout(DefaultDir); err == nil && own.Dir == lay.Dir {
			return ""
		}
	}
	return " --dir " + shell.Quote(dir)
}
