package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, b Bounds) (*File, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "node.log")
	f, err := Open(name, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, name
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestALogHoldsNoMoreThanItsBounds(t *testing.T) {
	const size, kept, line = 10_000, 3, 100
	f, name := open(t, Bounds{Bytes: size, Files: kept})
	const records = 20 * size / line
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < records; i += 4 {
				fmt.Fprintf(f, "%-*d\n", line-1, i)
			}
		})
	}
	wg.Wait()
	files, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(files) != 1+kept {
		t.Fatalf("%d files, %v; want the log and %d older ones", len(files), err, kept)
	}
	seen := map[string]bool{}
	for i := kept; i >= 0; i-- {
		of := name
		if i > 0 {
			of = fmt.Sprintf("%s.%d", name, i)
		}
		text := read(t, of)
		if len(text) > size || i > 0 && len(text) < size-line {
			t.Errorf("%s has %d bytes, want up to %d", of, len(text), size)
		}
		for record := range strings.Lines(text) {
			if len(record) != line || seen[record] {
				t.Errorf("%s has %q, which is torn or there twice", of, record)
			}
			seen[record] = true
		}
	}
	if len(seen) < kept*size/line {
		t.Errorf("%d records are left, want %d at least", len(seen), kept*size/line)
	}
}

func TestWhatWasThereCountsTowardsTheBound(t *testing.T) {
	f, name := open(t, Bounds{Bytes: 100, Files: 1})
	fmt.Fprintln(f, strings.Repeat("a", 90))
	f.Close()
	again, err := Open(name, Bounds{Bytes: 100, Files: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	fmt.Fprintln(again, strings.Repeat("b", 90))
	if got := read(t, name); !strings.HasPrefix(got, "b") {
		t.Errorf("the log begins with %.10q, want the record that had no room beside those of the process before", got)
	}
}

func TestWithoutBoundsALogIsNotRotated(t *testing.T) {
	f, name := open(t, Bounds{Bytes: -1})
	for range 1000 {
		fmt.Fprintln(f, strings.Repeat("a", 99))
	}
	if got := len(read(t, name)); got != 100_000 {
		t.Errorf("%d bytes, want 100000", got)
	}
	f.Bound(Bounds{Bytes: 1000, Files: 1})
	fmt.Fprintln(f, "b")
	if got := read(t, name); got != "b\n" {
		t.Errorf("bounds that are set later do not hold: %d bytes", len(got))
	}
}

// logrotate renames the file and then says so.
func TestAReopenedLogGoesOnInANewFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no open file is renamed there")
	}
	f, name := open(t, Bounds{})
	fmt.Fprintln(f, "one")
	if err := os.Rename(name, name+"-20261130"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "two")
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "three")
	if old, now := read(t, name+"-20261130"), read(t, name); old != "one\ntwo\n" || now != "three\n" {
		t.Errorf("%q and %q", old, now)
	}
	// A file that cannot be opened leaves the one that is there.
	if err := os.Mkdir(name+"-dir", 0o700); err != nil {
		t.Fatal(err)
	}
	f.name = name + "-dir"
	if err := f.Reopen(); err == nil {
		t.Error("a folder was opened as a log")
	}
	fmt.Fprintln(f, "four")
	if now := read(t, name); now != "three\nfour\n" {
		t.Errorf("%q", now)
	}
}

// A disk has room again after it was full: the log says how many records it lacks, and no record is mixed with a torn one.
func TestALogSaysWhatItLacks(t *testing.T) {
	f, name := open(t, Bounds{})
	fmt.Fprintln(f, "one")
	room := f.write
	f.write = func(p []byte) (int, error) {
		n, _ := room(p[:min(3, len(p))])
		return n, fmt.Errorf("no space left on device")
	}
	for range 5 {
		if n, err := fmt.Fprintln(f, "lost"); err == nil || n != 0 {
			t.Fatalf("%d, %v", n, err)
		}
		f.write = func([]byte) (int, error) { return 0, fmt.Errorf("no space left on device") }
	}
	f.write = room
	fmt.Fprintln(f, "two")
	lines := strings.Split(read(t, name), "\n")
	if len(lines) != 5 || lines[0] != "one" || lines[1] != "los" || !strings.Contains(lines[2], `"level":"WARN"`) || !strings.Contains(lines[2], `"lost":5`) || lines[3] != "two" {
		t.Errorf("%q", lines)
	}
}
