package host_test

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/mem"
)

func TestReplaceLeavesTheOldFileOrTheNewOne(t *testing.T) {
	broken := errors.New("broken")
	for _, op := range []string{"create", "write", "sync", "rename", ""} {
		d := mem.New()
		if err := host.Replace(d, "dir/f", "dir/f.part", []byte("a longer one")); err != nil {
			t.Fatal(err)
		}
		d.Before = func(o, _ string) error {
			if o == op {
				return broken
			}
			return nil
		}
		err := host.Replace(d, "dir/f", "dir/f.part", []byte("new"))
		if (op != "") != errors.Is(err, broken) {
			t.Errorf("%s fails: error %v", op, err)
		}
		d.Before = nil
		want := "a longer one"
		if op == "" {
			want = "new"
		}
		if got := string(d.Data("dir/f")); got != want {
			t.Errorf("%s fails: found %q, expected %q", op, got, want)
		}
	}
}
