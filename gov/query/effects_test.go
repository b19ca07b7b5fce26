package query

import (
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/decide"
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
	changed := decide.Effect{Kind: decide.SettingChanged, Subject: "adapters.kv.max", Value: strings.Repeat("9", 100)}
	if text := textOf(&changed); !strings.HasSuffix(text, "… instead of unset") || len(text) > 130 {
		t.Errorf("a long setting is %q", text)
	}
}
