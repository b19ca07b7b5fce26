package query

import (
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/govtest"
)

func TestEveryKindOfEffectIsSaidInWords(t *testing.T) {
	kinds := []decide.EffectKind{
		decide.ActorAdded, decide.ActorRemoved, decide.ActorChanged, decide.PlaceAdmitted, decide.PlaceRemoved, decide.PlaceForgotten, decide.NodeRetired,
		decide.CodeAdded, decide.CodeRemoved, decide.TEESet, decide.TEERemoved, decide.PolicySet, decide.PolicyRemoved, decide.SettingChanged, decide.EpochRotated,
	}
	seen := map[string]bool{}
	for _, kind := range kinds {
		text := textOf(&decide.Effect{Kind: kind, Actor: coco.ActorID{1}, Name: "alpha", Address: "a:1", Node: coco.NodeID{2}, Cause: decide.CodeGone, Subject: "subject", Value: "value"})
		if seen[text] || !strings.Contains(text, " ") || strings.Contains(text, "%!") {
			t.Errorf("%s is %q", kind, text)
		}
		seen[text] = true
	}
	c := govtest.New(t).Constitution()
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	rules := decide.Effect{Kind: decide.SettingChanged, Subject: "adapters.kv.prefixes", Value: `{"archive/":{"read":[]},"settlement/":{"read":["` + c.Members[0].Actor().String() + `"]},"z/":{"write":[]}}`}
	if text := effectsOf([]decide.Effect{rules}, c)[0].Text; !strings.Contains(text, `["`+c.Members[0].Name+" (") || !strings.Contains(text, `"z/":{"write":[]}} instead of unset`) {
		t.Errorf("rules of prefixes are %q", text)
	}
	changed := decide.Effect{Kind: decide.SettingChanged, Subject: "adapters.kv.max", Value: strings.Repeat("9", 100)}
	if text := textOf(&changed); !strings.HasSuffix(text, "… instead of unset") || len(text) > 130 {
		t.Errorf("a long setting is %q", text)
	}
}
