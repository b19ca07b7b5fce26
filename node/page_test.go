package node

import (
	"testing"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
)

func TestTheConstitutionsPageIsWrittenOnce(t *testing.T) {
	first, second := complete(t), complete(t)
	var d decided
	a := d.page(first)
	if allocs := testing.AllocsPerRun(100, func() { d.page(first) }); allocs > 0 {
		t.Errorf("reading the page again allocates %v times", allocs)
	}
	if b := d.page(second); string(b.text) == string(a.text) || b.digest != second.Digest() || string(b.text) != string(second.TOML()) {
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
