package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
)

// contents returns every file below a folder with what it holds, and where every link leads, but for the
// files that say that a supervisor runs.
func contents(t *testing.T, lay localnet.Layout) map[string]string {
	t.Helper()
	found := map[string]string{}
	if err := filepath.WalkDir(lay.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == lay.LockFile() || path == lay.LogFile() || d.Name() == ".coco.lock" {
			return err
		}
		switch {
		case d.IsDir():
			found[path] = "folder"
		case d.Type()&fs.ModeSymlink != 0:
			found[path], err = os.Readlink(path)
		default:
			var data []byte
			data, err = os.ReadFile(path)
			found[path] = string(data)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// withLedgers returns a network that has run once.
func withLedgers(t *testing.T) *Sandbox {
	t.Helper()
	s := made(t, 2)
	s.info.Committed = true
	if err := s.info.Save(); err != nil {
		t.Fatal(err)
	}
	for i := range s.info.Nodes {
		chunks(t, s.lay.Node(s.info.Nodes[i].Name))
	}
	if err := os.WriteFile(s.lay.ServiceFile(), []byte("service"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStartingNeverWipes(t *testing.T) {
	replace := func(name string, text string) func(localnet.Layout) error {
		return func(lay localnet.Layout) error {
			return os.WriteFile(filepath.Join(lay.Dir, name), []byte(text), 0o600)
		}
	}
	remove := func(names ...string) func(localnet.Layout) error {
		return func(lay localnet.Layout) (err error) {
			for _, name := range names {
				err = errors.Join(err, os.RemoveAll(filepath.Join(lay.Dir, name)))
			}
			return err
		}
	}
	for name, harm := range map[string]func(localnet.Layout) error{
		"no sandbox.json":       remove("sandbox.json"),
		"an empty sandbox.json": replace("sandbox.json", ""),
		"a blank sandbox.json":  replace("sandbox.json", "\n"),
		"a sandbox.json cut short": func(lay localnet.Layout) error {
			return os.Truncate(lay.InfoFile(), 100)
		},
		"a sandbox.json of zeros":           replace("sandbox.json", string(make([]byte, 4096))),
		"a sandbox.json of another version": replace("sandbox.json", `{"version":99,"nodes_of_tomorrow":[]}`),
		"a sandbox.json without nodes":      replace("sandbox.json", `{"version":1}`),
		"a sandbox.json that leads nowhere": func(lay localnet.Layout) error {
			return errors.Join(os.Remove(lay.InfoFile()), os.Symlink(filepath.Join(lay.Dir, "gone"), lay.InfoFile()))
		},
		"a sandbox.json that is a folder": func(lay localnet.Layout) error {
			return errors.Join(os.Remove(lay.InfoFile()), os.Mkdir(lay.InfoFile(), 0o700))
		},
		"ledgers only":                   remove("sandbox.json", "members", "bin", "constitution.toml", "service.pem"),
		"members' keys only":             remove("sandbox.json", "nodes", "bin", "constitution.toml", "service.pem"),
		"a constitution only":            remove("sandbox.json", "nodes", "bin", "members", "service.pem"),
		"no constitution":                remove("constitution.toml"),
		"an empty constitution":          replace("constitution.toml", ""),
		"no service certificate":         remove("service.pem"),
		"no ledger":                      remove("nodes"),
		"one ledger of two":              remove("nodes/alpha/ledger"),
		"an empty constitution in force": replace("constitution-in-force.toml", ""),
		"nodes that lead nowhere": func(lay localnet.Layout) error {
			return errors.Join(remove("sandbox.json", "nodes")(lay), os.Symlink(filepath.Join(lay.Dir, "gone"), lay.Nodes()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := withLedgers(t)
			if err := harm(s.lay); err != nil {
				t.Fatal(err)
			}
			before := contents(t, s.lay)
			opts := s.opts
			opts.Members = 0
			_, err := Start(t.Context(), opts)
			if err == nil || !strings.Contains(err.Error(), "--fresh") && !errors.Is(err, coco.ErrInvalid) && !errors.Is(err, coco.ErrCorrupt) {
				t.Errorf("Start: %v", err)
			}
			after := contents(t, s.lay)
			for path, had := range before {
				if now, ok := after[path]; (!ok || now != had) && path != s.lay.InfoFile() {
					t.Errorf("%s was %.40q and is %.40q, %v", path, had, now, ok)
				}
			}
			// A description that could be read may name other ports now; the network is the same.
			var had, has struct {
				Constitution string             `json:"constitution"`
				Accounts     []localnet.Account `json:"accounts"`
			}
			if path := s.lay.InfoFile(); after[path] != before[path] &&
				(json.Unmarshal([]byte(before[path]), &had) != nil || json.Unmarshal([]byte(after[path]), &has) != nil || had.Constitution != has.Constitution || !slices.Equal(had.Accounts, has.Accounts)) {
				t.Errorf("sandbox.json was %.60q and is %.60q", before[path], after[path])
			}
			if more := slices.Collect(maps.Keys(after)); len(after) > len(before) {
				for _, path := range more {
					if _, ok := before[path]; !ok {
						t.Errorf("%s is new", path)
					}
				}
			}

			// With --fresh there is a new network, whatever is left of the old one.
			opts.Fresh = true
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errStopped)
			if _, err := Start(ctx, opts); err == nil || !strings.Contains(err.Error(), "before the network was ready") {
				t.Fatalf("with --fresh: %v", err)
			}
			info, err := localnet.Load(s.lay.Dir)
			if err != nil || info.ChainID == s.info.ChainID || info.Committed {
				t.Errorf("with --fresh: %+v, %v", info, err)
			}
			if _, err := os.Lstat(s.lay.ServiceFile()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("with --fresh: something of the old network is left: %v", err)
			}
		})
	}
}

// A project has folders of the same names.
func TestFoldersOfAnotherKindAreRefusedAlsoWhenFresh(t *testing.T) {
	for _, name := range []string{"bin/tool", "members/list.txt", "nodes/a/data"} {
		dir := t.TempDir()
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("precious"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Prepare(dir); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "no part of a sandbox") {
			t.Errorf("%s: %v", name, err)
		}
	}
	older := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(older, "sandbox.log"), nil, 0o600), os.WriteFile(filepath.Join(older, "sandbox.log.1"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(older); err != nil {
		t.Errorf("a sandbox whose log went on in a new file: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(t.TempDir(), "gone"), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(link); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "is a link to something that is not there") {
		t.Errorf("a folder that is a dangling link: %v", err)
	}
}

func TestDownEndsANetworkWhateverBecameOfItsDescription(t *testing.T) {
	for name, harm := range map[string]func(localnet.Layout) error{
		"whole": func(localnet.Layout) error { return nil },
		"gone":  func(lay localnet.Layout) error { return os.Remove(lay.InfoFile()) },
		"cut":   func(lay localnet.Layout) error { return os.Truncate(lay.InfoFile(), 10) },
		"of another version": func(lay localnet.Layout) error {
			return os.WriteFile(lay.InfoFile(), []byte(`{"version":2}`), 0o600)
		},
		"a folder, so that it cannot be written": func(lay localnet.Layout) error {
			return errors.Join(os.Remove(lay.InfoFile()), os.Mkdir(lay.InfoFile(), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := made(t, 1)
			if err := s.lockFolder(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			s.end.cancel = cancel
			if err := s.listen(ctx); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				<-ctx.Done()
				_ = s.control.wait()
				s.release()
			}()
			if err := harm(s.lay); err != nil {
				t.Fatal(err)
			}
			if was, err := localnet.Down(t.Context(), s.lay.Dir); err != nil || !was {
				t.Errorf("Down = %v, %v", was, err)
			}
			cancel(nil)
			<-ended
			if !errors.Is(context.Cause(ctx), errStopped) {
				t.Errorf("the sandbox ended because of %v", context.Cause(ctx))
			}
			if was, err := localnet.Down(t.Context(), s.lay.Dir); err != nil || was {
				t.Errorf("a second time: Down = %v, %v", was, err)
			}
		})
	}
}
