package constitution_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
)

// A constitution by later rules is not damaged: the error says that the program is too old, even where it does not
// know the constitution's fields.
func TestLaterRulesAreRefusedAsSuch(t *testing.T) {
	n := govtest.New(t)
	if n.C.Rules != constitution.CurrentRules {
		t.Errorf("a new network has rules %d", n.C.Rules)
	}
	page := string(n.C.TOML())
	for _, rules := range []string{"0", fmt.Sprint(constitution.CurrentRules + 1)} {
		_, err := constitution.Parse([]byte(strings.Replace(page, fmt.Sprintf("rules = %d\n", constitution.CurrentRules), "rules = "+rules+"\n", 1)))
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "rules: version "+rules) || !strings.Contains(err.Error(), fmt.Sprintf("up to version %d", constitution.CurrentRules)) {
			t.Errorf("a page with rules %s: %v", rules, err)
		}
	}
	var k constitution.Core
	if err := canon.Unmarshal(n.C.Canonical(), &k, canon.Limits{Bytes: constitution.MaxCore}); err != nil {
		t.Fatal(err)
	}
	later := struct {
		constitution.Core
		More bool `cbor:"99,keyasint"`
	}{Core: k, More: true}
	later.Rules = constitution.CurrentRules + 1
	b, err := canon.Marshal(later)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := constitution.Decode(b); errors.Is(err, coco.ErrCorrupt) || err == nil || !strings.Contains(err.Error(), "use a later release") {
		t.Errorf("stored by a later release: %v", err)
	}
}

// The canonical form is complete. If the program filled in its own default for a number that is missing, two releases
// with other defaults would read one constitution as two.
func TestNoDefaultOfTheProgramEntersAStoredConstitution(t *testing.T) {
	n := govtest.New(t)
	for name, change := range map[string]func(*constitution.Core){
		"a limit":            func(k *constitution.Core) { k.Limits.Queue = 0 },
		"chunks":             func(k *constitution.Core) { k.Ledger.ChunkBytes = 0 },
		"a threshold":        func(k *constitution.Core) { k.Shares.Threshold = 0 },
		"durability":         func(k *constitution.Core) { k.Consensus.Durability = "" },
		"a weight":           func(k *constitution.Core) { k.Members[0].Weight = 0 },
		"a policy":           func(k *constitution.Core) { delete(k.Policies, constitution.PolicyAddNode) },
		"the rules":          func(k *constitution.Core) { k.Rules = 0 },
		"the version":        func(k *constitution.Core) { k.Number = 0 },
		"what rules 2 added": func(k *constitution.Core) { k.Since2 = nil },
		"what rules 3 added": func(k *constitution.Core) { k.Since3 = nil },
		"an actor's id":      func(k *constitution.Core) { k.Members[0].ID = coco.ActorID{} },
	} {
		var k constitution.Core
		if err := canon.Unmarshal(n.C.Canonical(), &k, canon.Limits{Bytes: constitution.MaxCore}); err != nil {
			t.Fatal(err)
		}
		change(&k)
		b, err := canon.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := constitution.Decode(b); err == nil {
			t.Errorf("%s is filled in", name)
		}
	}
}
