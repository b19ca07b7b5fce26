// Package attesttest is what tests of every driver share: evidence that was recorded on real hardware, collateral from files, and what a driver's verdicts and
// drafts must hold.
//
// Trust: either
package attesttest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
)

// Sample reads a file that was recorded on real hardware; its name has slashes. Recorded evidence is no part of the project: where its folder is absent, the test
// is skipped. The folder is that of COCO_ATTESTATION_SAMPLES, else shared/attestation beside the repository, for packages two folders below the root.
func Sample(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("COCO_ATTESTATION_SAMPLES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "attestation")
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no recorded evidence on this machine: %v (COCO_ATTESTATION_SAMPLES names its folder)", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Collateral parses files of collateral into one set.
func Collateral(t testing.TB, files ...[]byte) *collateral.Set {
	t.Helper()
	var all []collateral.Item
	for _, f := range files {
		items, err := collateral.Parse(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, items...)
	}
	s, err := collateral.New(all...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Refused holds that an error is of a kind and has these words.
func Refused(t testing.TB, err, kind error, words string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		t.Errorf("expected %v with %q, found %v", kind, words, err)
	}
}

// CheckDraft holds that the draft of a policy is one that the claims satisfy, whatever they are, and that there is something to read.
func CheckDraft(t testing.TB, v attest.Verifier, c attest.Claims) {
	t.Helper()
	e := c.Own.(attest.Explainer)
	draft, err := e.Demand()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.ValidatePolicy(draft); err != nil {
		t.Errorf("draft %s: %v", draft, err)
	}
	if err := c.Satisfy(draft); err != nil {
		t.Errorf("draft %s: %v", draft, err)
	}
	for _, f := range e.Explain() {
		if f.Name == "" || f.Value == "" {
			t.Errorf("empty fact %+v", f)
		}
	}
}
