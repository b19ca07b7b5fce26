package constitution_test

import (
	"testing"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
)

func TestTheConstitutionsPageIsWrittenOnce(t *testing.T) {
	first, second := complete(t), complete(t)
	var d constitution.Pages
	a := d.Of(first)
	if allocs := testing.AllocsPerRun(100, func() { d.Of(first) }); allocs > 0 {
		t.Errorf("reading the page again allocates %v times", allocs)
	}
	if b := d.Of(second); string(b.Text) == string(a.Text) || b.Digest != second.Digest() || string(b.Text) != string(second.TOML()) {
		t.Error("another constitution in force has not its own page")
	}
}

func complete(t *testing.T) *constitution.Constitution {
	t.Helper()
	c := govtest.New(t).Constitution()
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	return c
}
