package nodeconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cocoframework/coco/internal/atomicfile"
)

// A node that waits for others to go on with serves nothing yet: whoever asks it hears nothing, as of a node that does not run. So its process writes what it
// waits for beside its log, for commands on its machine. The file is written again as long as the node waits: one that is older is of a process that has ended.

const (
	waitsEvery = 5 * time.Second
	waitsCount = 4 * waitsEvery
)

// maxWaits bounds what is read of the file, in bytes.
const maxWaits = 64 << 10

func (d Dir) waits() string { return filepath.Join(string(d), "waiting") }

// Waits returns what the node of a folder waits for, as its process has written it in the last seconds; empty if it does not wait.
func (d Dir) Waits(now time.Time) string {
	info, err := os.Stat(d.waits())
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxWaits || now.Sub(info.ModTime()).Abs() > waitsCount {
		return ""
	}
	text, err := os.ReadFile(d.waits())
	if err != nil {
		return ""
	}
	return string(text)
}

// WaitsNote writes for a node's process what the node waits for. It is safe for concurrent use.
type WaitsNote struct {
	dir  Dir
	mu   sync.Mutex
	text string    // of the file; under mu
	at   time.Time // when it was written; under mu
}

// NoteWaits returns the note of a folder, and removes what an earlier process has left.
func (d Dir) NoteWaits() (*WaitsNote, error) {
	n := &WaitsNote{dir: d}
	return n, n.Remove()
}

// Write writes what the node waits for, unless the file has said it for a moment only.
func (n *WaitsNote) Write(text string, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if text == n.text && now.Sub(n.at).Abs() < waitsEvery {
		return nil
	}
	if err := atomicfile.Write(n.dir.waits(), []byte(text)); err != nil {
		return err
	}
	n.text, n.at = text, now
	return nil
}

// Remove removes the file, once the node does not wait any more.
func (n *WaitsNote) Remove() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text = ""
	if err := os.Remove(n.dir.waits()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
