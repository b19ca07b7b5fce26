package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

func TestOneBrokenNodeKeepsNoneOfTheOthersFromStarting(t *testing.T) {
	if testing.Short() {
		t.Skip("starts networks of processes")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	up := []string{"up", "--dir", dir, "--detach", "-o", "json"}
	run := func(args ...string) string {
		t.Helper()
		code, out := runCoco(t, filepath.Dir(dir), args...)
		if code != 0 {
			t.Fatalf("coco %s: exit code %d: %s", strings.Join(args, " "), code, out)
		}
		return out
	}
	run(up...)
	t.Cleanup(func() { _, _ = localnet.Down(context.Background(), dir) })
	run("down", "--dir", dir)
	lay := localnet.Layout{Dir: dir}
	notAProgram := func(node int) func() (func() error, error) {
		return func() (func() error, error) {
			info, err := localnet.Load(dir)
			if err != nil {
				return nil, err
			}
			info.Nodes[node].Code = "coco-none"
			file := filepath.Join(lay.Code(), "coco-none")
			return func() error { return os.Remove(file) }, errors.Join(info.Save(), os.WriteFile(file, []byte("some text"), 0o700))
		}
	}
	badSettings := func(name string) func() (func() error, error) {
		return func() (func() error, error) {
			file := lay.Node(name).Config()
			return func() error { return os.Remove(file) }, os.WriteFile(file, []byte("no settings"), 0o600)
		}
	}
	for _, test := range []struct {
		name    string
		harm    func() (mend func() error, err error)
		serving int // nodes
	}{
		{"the first one's own program is none", notAProgram(0), 3},
		{"another one's own program is none", notAProgram(2), 3},
		{"the first one's settings cannot be read", badSettings("alpha"), 2},
		{"another one's settings cannot be read", badSettings("bravo"), 2},
		{"the first one's folder is a file", func() (func() error, error) {
			folder := string(lay.Node("alpha"))
			mend := func() error { return errors.Join(os.Remove(folder), os.Rename(folder+"-kept", folder)) }
			return mend, errors.Join(os.Rename(folder, folder+"-kept"), os.WriteFile(folder, nil, 0o600))
		}, 2},
	} {
		mend, err := test.harm()
		if err != nil {
			t.Fatal(err)
		}
		out := run(up...)
		info, err := localnet.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		st, err := localnet.GetStatus(t.Context(), info)
		if err != nil {
			t.Fatal(err)
		}
		ready := 0
		for _, n := range st.Nodes {
			if n.Ready {
				ready++
			}
		}
		if ready < test.serving {
			t.Errorf("%s: %d nodes serve, expected %d: %s", test.name, ready, test.serving, out)
		}
		if err := putOnce(t.Context(), info.Nodes[2].HTTP); err != nil {
			t.Errorf("%s: a write: %v", test.name, err)
		}
		for _, n := range info.Nodes {
			if n.Code != "" {
				t.Errorf("%s: %s still is to run %s", test.name, n.Name, n.Code)
			}
		}
		run("down", "--dir", dir)
		if err := mend(); err != nil {
			t.Fatal(err)
		}
	}
	run(up...)
	run("down", "--dir", dir)
	if _, err := nodeconfig.Load(lay.Node("alpha").Config()); err != nil {
		t.Error(err)
	}
}
