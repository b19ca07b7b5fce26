package decide

import (
	"bytes"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/keys"
)

// EffectKind says what an effect is about.
type EffectKind string

// The kinds of effects.
const (
	ActorAdded     EffectKind = "actor_added"
	ActorRemoved   EffectKind = "actor_removed"
	ActorChanged   EffectKind = "actor_changed" // its certificates, or a participant became a member, or the other way round
	PlaceAdmitted  EffectKind = "place_admitted"
	PlaceRemoved   EffectKind = "place_removed"   // a vote decided so: only another one lets a node in there
	PlaceForgotten EffectKind = "place_forgotten" // its owner was removed
	NodeRetired    EffectKind = "node_retired"
	CodeAdded      EffectKind = "code_added"
	CodeRemoved    EffectKind = "code_removed"
	TEESet         EffectKind = "tee_set"
	TEERemoved     EffectKind = "tee_removed"
	PolicySet      EffectKind = "policy_set"
	PolicyRemoved  EffectKind = "policy_removed"
	SettingChanged EffectKind = "setting_changed"
	EpochRotated   EffectKind = "epoch_rotated" // those who hold shares have changed
)

// Effect is one thing that an accepted proposal changes: data, on which package node acts.
type Effect struct {
	Kind    EffectKind
	Text    string       // for people
	Actor   coco.ActorID // of actors, places and nodes
	Address string       // of places and nodes
	Node    coco.NodeID  // of retired nodes
	Subject string       // measurement, platform, policy or setting
}

// Rotates says whether the holders of an epoch's shares, or how many of them are needed, differ
// between two constitutions: then a new epoch begins.
func Rotates(before, after *constitution.Constitution) bool {
	a, b := before.Recipients(), after.Recipients()
	if before.Shares.Threshold != after.Shares.Threshold || len(a) != len(b) {
		return true
	}
	for _, r := range a {
		i := slices.IndexFunc(b, func(s keys.Recipient) bool { return s.Actor == r.Actor })
		if i < 0 || !bytes.Equal(b[i].Key, r.Key) {
			return true
		}
	}
	return false
}
