package genesis

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/localnet"
)

var errCrash = errors.New("a crash")

func options(t *testing.T, replace bool) Options {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "coco")
	if err := os.WriteFile(exe, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Options{
		Members: 1, Exe: exe, Code: virtual.Measure([]byte("program")), KeepCode: true, Replace: replace, Report: func(localnet.Step) {},
		CompleteSettings: func(_ string, settings []byte) ([]byte, error) { return settings, nil },
	}
}

// tree returns every file below a folder with its contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

// whole checks that a folder holds exactly one whole network.
func whole(t *testing.T, lay localnet.Layout) localnet.Info {
	t.Helper()
	info, err := localnet.Load(lay.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := info.LoadConstitution(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{lay.Member("alpha").OrgKey(), lay.ProgramFile()} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range []string{stageOf(lay).Dir, oldOf(lay).Dir} {
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
	return info
}

func TestANewNetworkIsMadeWholeOrNotAtAllWhereverItIsInterrupted(t *testing.T) {
	for crash := 0; ; crash++ {
		lay := localnet.Layout{Dir: t.TempDir()}
		o := options(t, false)
		staged, err := o.prepare(stageOf(lay))
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		err = place(lay, false, func(from, to string) error {
			if steps++; steps > crash {
				return errCrash
			}
			return os.Rename(from, to)
		})
		if err == nil {
			if crash < 5 {
				t.Errorf("it took %d steps: the test shows nothing", crash)
			}
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if err := Finish(lay); err != nil {
			t.Fatal(err)
		}
		if got := whole(t, lay); got.ChainID != staged.ChainID {
			t.Errorf("interrupted at step %d: chain %d, made was %d", crash, got.ChainID, staged.ChainID)
		}
	}
}

func TestANetworkThatIsDiscardedIsThereOrTheNewOneIsWhereverThatIsInterrupted(t *testing.T) {
	for crash := 0; ; crash++ {
		lay := localnet.Layout{Dir: t.TempDir()}
		old, err := Make(lay, options(t, false))
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{lay.Node("alpha").Config(): "node", lay.ServiceFile(): "service", lay.InForceFile(): "in force", lay.CommittedFile(): "2.17"} {
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		before := tree(t, lay.Dir)
		o := options(t, true)
		fresh, err := o.prepare(stageOf(lay))
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		err = place(lay, true, func(from, to string) error {
			if steps++; steps > crash {
				return errCrash
			}
			return os.Rename(from, to)
		})
		if err == nil {
			if crash < 11 {
				t.Errorf("it took %d steps: the test shows nothing", crash)
			}
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if err := Finish(lay); err != nil {
			t.Fatalf("interrupted at step %d: %v", crash, err)
		}
		got := whole(t, lay)
		switch {
		case crash == 0: // sandbox.json, the first to be moved, has not been
			if after := tree(t, lay.Dir); got.ChainID != old.ChainID || len(after) != len(before) || after[lay.ServiceFile()] != "service" {
				t.Errorf("the old network is not what it was: %d files, before %d", len(after), len(before))
			}
		case got.ChainID != fresh.ChainID:
			t.Errorf("interrupted at step %d: chain %d, made was %d", crash, got.ChainID, fresh.ChainID)
		default:
			for _, name := range []string{lay.Node("alpha").Config(), lay.ServiceFile(), lay.InForceFile(), lay.CommittedFile()} {
				if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("interrupted at step %d: %s of the old network is left", crash, name)
				}
			}
		}
	}
}

func TestWhatIsRefusedOrFailsChangesNothing(t *testing.T) {
	lay := localnet.Layout{Dir: t.TempDir()}
	if _, err := Make(lay, options(t, false)); err != nil {
		t.Fatal(err)
	}
	before := tree(t, lay.Dir)
	same := func(when string) {
		t.Helper()
		after := tree(t, lay.Dir)
		for name, text := range before {
			if after[name] != text {
				t.Errorf("%s: %s has changed", when, name)
			}
		}
		if len(after) != len(before) {
			t.Errorf("%s: %d files, before %d", when, len(after), len(before))
		}
	}
	if _, err := Make(lay, options(t, false)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("another network without being told to discard this one: %v", err)
	}
	same("another network")
	o := options(t, true)
	o.Constitution = func(*constitution.Constitution) error { return coco.ErrDenied }
	if _, err := Make(lay, o); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a constitution that is refused: %v", err)
	}
	same("a constitution that is refused")
	o = options(t, true)
	o.Exe += "-gone"
	if _, err := Make(lay, o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is gone: %v", err)
	}
	same("a program that is gone")
	parts, err := Parts(lay)
	if err != nil || !slices.Contains(parts, lay.Members()) {
		t.Errorf("parts %v, %v", parts, err)
	}
}
