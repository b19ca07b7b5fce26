package gov

import (
	"errors"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// A constitution by later rules is not damaged: the error says that the program is too old, even where it does not
// know the constitution's fields.
func TestLaterRulesAreRefusedAsSuch(t *testing.T) {
	n := newNetwork(t)
	if n.c.Rules != CurrentRules {
		t.Errorf("a new network has rules %d", n.c.Rules)
	}
	page := string(n.c.TOML())
	for _, rules := range []string{"0", "2"} {
		_, err := ParseConstitution([]byte(strings.Replace(page, "rules = 1\n", "rules = "+rules+"\n", 1)))
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "rules: version "+rules) || !strings.Contains(err.Error(), "up to version 1") {
			t.Errorf("a page with rules %s: %v", rules, err)
		}
	}
	var k core
	if err := canon.Unmarshal(n.c.Canonical(), &k, canon.Limits{Bytes: maxCore}); err != nil {
		t.Fatal(err)
	}
	later := struct {
		core
		More bool `cbor:"16,keyasint"`
	}{core: k, More: true}
	later.Rules = 2
	b, err := canon.Marshal(later)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeConstitution(b); errors.Is(err, coco.ErrCorrupt) || err == nil || !strings.Contains(err.Error(), "use a later release") {
		t.Errorf("stored by a later release: %v", err)
	}
}

// The canonical form is complete. If the program filled in its own default for a number that is missing, two releases
// with other defaults would read one constitution as two.
func TestNoDefaultOfTheProgramEntersAStoredConstitution(t *testing.T) {
	n := newNetwork(t)
	for name, change := range map[string]func(*core){
		"a limit":       func(k *core) { k.Limits.Queue = 0 },
		"chunks":        func(k *core) { k.Ledger.ChunkBytes = 0 },
		"a threshold":   func(k *core) { k.Shares.Threshold = 0 },
		"durability":    func(k *core) { k.Consensus.Durability = "" },
		"a weight":      func(k *core) { k.Members[0].Weight = 0 },
		"a policy":      func(k *core) { delete(k.Policies, PolicyAddNode) },
		"the rules":     func(k *core) { k.Rules = 0 },
		"the version":   func(k *core) { k.Number = 0 },
		"an actor's id": func(k *core) { k.Members[0].ID = coco.ActorID{} },
	} {
		var k core
		if err := canon.Unmarshal(n.c.Canonical(), &k, canon.Limits{Bytes: maxCore}); err != nil {
			t.Fatal(err)
		}
		change(&k)
		b, err := canon.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeConstitution(b); err == nil {
			t.Errorf("%s is filled in", name)
		}
	}
}
