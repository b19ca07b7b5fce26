package democmd

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A number is found in each form in which a program may have written it, in a folder of any depth, and a like one is not.
func TestASearchOfADiskFindsANumberInEachForm(t *testing.T) {
	g, other := &goods{number: 0x1122334455667788}, &goods{number: 0x1122334455667789}
	dir := t.TempDir()
	write := func(name string, data []byte) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i, needle := range g.needles() {
		name := filepath.Join("a", string(rune('a'+i)))
		write(name, slices.Concat([]byte("before"), needle, []byte("after")))
		want = append(want, name)
	}
	for i, needle := range other.needles() {
		write(filepath.Join("b", string(rune('a'+i))), needle)
	}
	word := make([]byte, 32) // of a contract's call
	binary.BigEndian.PutUint64(word[24:], g.number)
	write("word", word)
	found, files, size, err := search(t.Context(), dir, g.needles())
	if err != nil || !slices.Equal(found, append(want, "word")) || files != 2*len(want)+1 || size == 0 {
		t.Errorf("found %v in %d files of %d bytes: %v; expected %v", found, files, size, err, want)
	}
}
