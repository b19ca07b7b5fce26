package constitution_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/reason"
)

// rules1Digest is that of a page which a program wrote that knew the rules of version 1 only.
const rules1Digest = "663391ef79c3bd8eb54aab27ffc85622d9aeccc7aadc9605d7c06867c80da237"

// What rules 1 left out stays out: a network of that time keeps its digest, byte for byte, until its members raise the
// rules. Then all settings that came with later rules are there, with the values of the rules' text.
func TestAConstitutionByEarlierRulesStaysAsItWasUntilItIsRaised(t *testing.T) {
	page := readTestdata(t, "constitution.rules1.toml")
	c := govtest.Parse(t, string(page))
	if c.Digest().String() != rules1Digest || !bytes.Equal(c.TOML(), page) || len(c.Added()) != 0 {
		t.Errorf("the constitution is %s, with %v, as a page\n%s", c.Digest(), c.Added(), c.TOML())
	}
	stored, err := constitution.Decode(c.Canonical())
	if err != nil || stored.Digest() != c.Digest() {
		t.Fatalf("%v", err)
	}
	for _, s := range stored.AllAdded() {
		if !s.Before {
			t.Errorf("by rules 1 %s is not what programs did before", s.Path)
		}
	}
	d := c.Draft()
	if _, ok, _ := d.SetAdded("voting.minimum_seconds", []byte("60")); ok {
		t.Error("by rules 1 a setting of rules 2 can be set")
	}
	if _, err := d.SetNumber("rules", constitution.CurrentRules); err != nil {
		t.Fatal(err)
	}
	next, err := d.Succeed(c, nil)
	if err != nil || next.Rules != constitution.CurrentRules || len(next.Added()) != len(next.AllAdded()) {
		t.Fatalf("raised to rules %d, with %v (%v)", next.Rules, next.Added(), err)
	}
	for _, s := range next.AllAdded() {
		if !s.Raised {
			t.Errorf("after the rules were raised, %s is not what their text says", s.Path)
		}
	}
	again, err := constitution.Decode(next.Canonical())
	if err != nil || !bytes.Equal(again.Canonical(), next.Canonical()) {
		t.Errorf("what is raised does not come back: %v", err)
	}
	if parsed := govtest.Parse(t, string(next.TOML())); parsed.Digest() != next.Digest() {
		t.Errorf("another constitution came back from\n%s", next.TOML())
	}
}

// The canonical form has the settings of a version of the rules exactly from that version on, and all of them.
func TestDecodeWantsTheSettingsOfTheRulesAndNoOthers(t *testing.T) {
	var three, two, one constitution.Core
	n := govtest.New(t)
	second := govtest.New(t).Constitution()
	second.Rules = 2
	if err := second.Complete(); err != nil {
		t.Fatal(err)
	}
	old := govtest.Parse(t, string(readTestdata(t, "constitution.rules1.toml")))
	for k, c := range map[*constitution.Core]*constitution.Constitution{&three: n.C, &two: second, &one: old} {
		if err := canon.Unmarshal(c.Canonical(), k, canon.Limits{Bytes: constitution.MaxCore}); err != nil {
			t.Fatal(err)
		}
	}
	for name, k := range map[string]func() any{
		"none under rules 2":             func() any { k := two; k.Since2 = nil; return k },
		"some under rules 1":             func() any { k := one; k.Since2 = two.Since2; return k },
		"none under rules 3":             func() any { k := three; k.Since3 = nil; return k },
		"those of rules 3 under rules 2": func() any { k := two; k.Since3 = three.Since3; return k },
		"some of them only": func() any {
			k := one
			k.Rules = 2
			return struct {
				constitution.Core
				Since2 map[int]int `cbor:"16,keyasint"`
			}{k, map[int]int{}}
		},
	} {
		b, err := canon.Marshal(k())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := constitution.Decode(b); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPageHasTheSettingsOfItsRules(t *testing.T) {
	old := string(readTestdata(t, "constitution.rules1.toml"))
	_, err := constitution.Parse([]byte(old + "\n[voting]\nminimum_seconds = 5\n"))
	if why, ok := reason.Of(err); !ok || why.Code != reason.UnknownSetting || !strings.Contains(err.Error(), "since version 2") {
		t.Errorf("a setting of rules 2 in a page of rules 1: %v", err)
	}
	page := string(readTestdata(t, "constitution.toml"))
	for text, want := range map[string]string{
		"minimum_second = 5": "voting.minimum_second: unknown field", "minimum_seconds = -1": "expected 0 to", `minimum_seconds = "5"`: "whole number",
	} {
		if _, err := constitution.Parse([]byte(page + "\n[voting]\n" + text + "\n")); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", text, err, want)
		}
	}
	if c := govtest.Parse(t, page+"\n[voting]\nminimum_seconds = 0\n"); c.Voting.MinimumSeconds != 0 {
		t.Errorf("0 that is written down became %d", c.Voting.MinimumSeconds)
	}
}

// A line of the table that contradicts itself would make a network that cannot be read or raised.
func TestEverySettingThatWasAddedIsPossible(t *testing.T) {
	last := ""
	for _, s := range govtest.New(t).C.AllAdded() {
		if s.Path <= last {
			t.Errorf("%s does not come after %s", s.Path, last)
		}
		if last = s.Path; s.Err != nil {
			t.Error(s.Err)
		}
	}
}
