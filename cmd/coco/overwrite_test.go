package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runCoco runs the program in a folder and returns its exit code and what it said.
func runCoco(t *testing.T, dir string, args ...string) (code int, out string) {
	t.Helper()
	exe, err := exec.LookPath("coco") // installed by TestMain
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, string(text)
}

// Every command that writes to a file or a folder which a person names: FILE in its arguments, and occupied, the
// name that is in its way. TestStartingNeverWipes of internal/sandbox is about `coco up`.
func TestNoCommandReplacesWhatIsThere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Parallel()
	dir := t.TempDir()
	must := func(args ...string) {
		t.Helper()
		if code, out := runCoco(t, dir, args...); code != 0 {
			t.Fatalf("coco %s: exit code %d: %s", strings.Join(args, " "), code, out)
		}
	}
	must("member", "keygen", "delta", "--out", "delta")
	prepare := []string{"gov", "prepare", "propose", "set", "limits.queue", "5000", "--service", "delta/org.pem", "--sign-cert", "delta/gov.pem", "--out"}
	must(append(prepare, "p.cose")...)
	must("gov", "sign", "p.cose", "--key", "file:delta/gov-key.pem")
	must(append(prepare, "unsigned.cose")...)
	for _, test := range []struct {
		args     string
		occupied string
	}{
		{"member keygen echo --out FILE", "FILE"},
		{"member keygen echo --under delta --out FILE", "FILE"},
		{"member csr Ann --key file:delta/gov-key.pem --out FILE", "FILE"},
		{strings.Join(prepare, " ") + " FILE", "FILE"},
		{strings.Join(prepare, " ") + " FILE", "FILE.tbs"},
		{strings.Join(prepare, " ") + " FILE", "FILE.sig"},
		{"gov sign unsigned.cose --key file:delta/gov-key.pem", "unsigned.cose.sig"},
		{"gov finish p.cose --envelope FILE", "FILE"},
		{"gov show 1 --dir nowhere --as delta --envelope FILE", "FILE"},
		{"receipt get 2.17 --dir nowhere -f FILE", "FILE"},
		{"node init FILE --owner-cert delta/org.pem --owner-key delta/org-key.pem --peer 127.0.0.1:1 --client 127.0.0.1:2 --join 127.0.0.1:3 --ask 127.0.0.1:4", "FILE/node.toml"},
	} {
		for kind, put := range map[string]func(name string) error{
			"a file":          func(name string) error { return os.WriteFile(name, []byte("precious"), 0o600) },
			"an empty file":   func(name string) error { return os.WriteFile(name, nil, 0o600) },
			"a dangling link": func(name string) error { return os.Symlink("gone", name) },
		} {
			t.Run(test.args+" over "+kind, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "file")
				in := strings.ReplaceAll(test.occupied, "FILE", file)
				if !filepath.IsAbs(in) {
					in = filepath.Join(dir, in)
				}
				if err := errors.Join(os.MkdirAll(filepath.Dir(in), 0o700), put(in)); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(in)
				before, err := os.ReadDir(filepath.Dir(in))
				if err != nil {
					t.Fatal(err)
				}
				code, out := runCoco(t, dir, strings.Fields(strings.ReplaceAll(test.args, "FILE", file))...)
				if code != 2 {
					t.Errorf("exit code %d: %s", code, out)
				}
				want, _ := os.Readlink(in)
				if kind == "a file" {
					want = "precious"
				}
				got, _ := os.Readlink(in)
				if got == "" {
					text, err := os.ReadFile(in)
					if err != nil {
						t.Error(err)
					}
					got = string(text)
				}
				if got != want {
					t.Errorf("it holds %q, expected %q", got, want)
				}
				if after, err := os.ReadDir(filepath.Dir(in)); err != nil || len(after) != len(before) {
					t.Errorf("beside it are %v, before %v (%v)", after, before, err)
				}
			})
		}
	}
}
