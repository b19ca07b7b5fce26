package wire_test

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/cocoframework/coco/wire"
)

func TestTheTableOfErrorsInTheDocumentIsThisOne(t *testing.T) {
	page, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	const heading = "| status | code | again | exit | meaning |\n|---|---|---|---|---|\n"
	_, table, ok := strings.Cut(string(page), heading)
	if !ok {
		t.Fatalf("docs/http.md has no table %q", heading)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	problems := wire.Problems()
	if len(rows) != len(problems) {
		t.Errorf("docs/http.md has %d rows, wire has %d", len(rows), len(problems))
	}
	for i, p := range problems[:min(len(rows), len(problems))] {
		again := map[bool]string{true: "yes", false: "no"}[p.Retry]
		want := fmt.Sprintf("| %d | `%s` | %s | %d | ", p.Status, p.Code, again, p.Exit)
		if !strings.HasPrefix(rows[i], want) {
			t.Errorf("row %d of docs/http.md is %q, want %q", i+1, rows[i], want)
		}
	}
}

func TestTheNumbersOfErrorsInTheDocumentAreThese(t *testing.T) {
	page, err := os.ReadFile("../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := make([]string, 12)
	for _, p := range wire.Problems() {
		if at := &codes[p.Number-1]; *at == "" { // the first row of a kind is the kind's own
			*at = fmt.Sprintf("%d `%s`", p.Number, p.Code)
		}
	}
	if want := strings.Join(codes, ", ") + "."; !strings.Contains(string(page), want) {
		t.Errorf("docs/formats.md does not say %q", want)
	}
}

func TestEveryFieldIsInTheDocument(t *testing.T) {
	page, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range []any{
		wire.Status{},
		wire.Version{},
		wire.Evidence{},
		wire.Node{},
		wire.Tx{},
		wire.Retired{},
		wire.StateDigest{},
		wire.Snapshot{},
		wire.SnapshotAsked{},
		wire.Outcome{},
		wire.Proposal{},
		wire.ConstitutionVersion{},
		wire.Simulation{},
		wire.GovNews{},
		wire.Recovery{},
		wire.RecoveryRequest{},
		wire.RecoveryRelease{},
	} {
		for _, name := range fields(reflect.TypeOf(answer)) {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/http.md does not name `%s` of %T", name, answer)
			}
		}
	}
}

// fields returns the names in JSON of a type's fields, and of the structs in its lists.
func fields(typ reflect.Type) (names []string) {
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			names = append(names, fields(f.Type.Elem())...)
		}
	}
	return names
}
