package nodeconfig

import (
	"os"
	"testing"
	"time"
)

// What a node waits for is read as long as its process says it.
func TestWhatANodeWaitsForIsReadWhileItWaits(t *testing.T) {
	dir, now := Dir(t.TempDir()), time.Now()
	if got := dir.Waits(now); got != "" {
		t.Errorf("a node that does not wait: %q", got)
	}
	note, err := dir.NoteWaits()
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string, at time.Time) {
		t.Helper()
		if err := note.Write(text, at); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, at time.Time, want string) {
		t.Helper()
		if got := dir.Waits(at); got != want {
			t.Errorf("%s: %q, expected %q", what, got, want)
		}
	}
	write("1 of 2", now)
	expect("it waits", now, "1 of 2")
	write("2 of 3", now)
	expect("it waits for others", now, "2 of 3")
	expect("its process has ended long ago", now.Add(waitsCount+time.Minute), "")

	old := now.Add(-time.Hour)
	if err := os.Chtimes(dir.waits(), old, old); err != nil {
		t.Fatal(err)
	}
	write("2 of 3", now.Add(waitsEvery/2))
	expect("it was said a moment before", now, "")
	write("2 of 3", now.Add(2*waitsEvery))
	expect("it waits still", time.Now(), "2 of 3")

	if _, err := dir.NoteWaits(); err != nil {
		t.Fatal(err)
	}
	expect("another process has begun", time.Now(), "")
	if err := note.Remove(); err != nil {
		t.Errorf("there is none: %v", err)
	}
}
