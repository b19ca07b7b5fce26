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
	EpochRotated   EffectKind = "epoch_rotated"  // those who hold shares have changed
	KeyRefreshed   EffectKind = "key_refreshed"  // the committee's key is shared anew, by a ceremony that follows
	NetworkOpened  EffectKind = "network_opened" // one that was recovered serves again
	EpochsGranted  EffectKind = "epochs_granted" // an auditor may read them
	IssuerAdded    EffectKind = "issuer_added"   // its tokens stand for users of an organisation
	IssuerRemoved  EffectKind = "issuer_removed"
	AccessRevoked  EffectKind = "access_revoked" // of a user, by a token, or by tokens from before a time
	OriginAdded    EffectKind = "origin_added"   // its pages may ask nodes
	OriginRemoved  EffectKind = "origin_removed"
)

// Effect is one thing that an accepted proposal changes: data, on which package node acts.
type Effect struct {
	Kind    EffectKind
	Actor   coco.ActorID // of actors, places and nodes; SHA-256 of an auditor's certificate
	Name    string       // the actor's
	Address string       // of places and nodes
	Node    coco.NodeID  // of retired nodes
	Cause   Cause        // of retired nodes
	Subject string       // measurement, platform, policy, setting, an actor's role, epochs as action.Args has them, an issuer's name, an origin
	// Value is the digest of a certificate, an auditor's public encryption key, the code that an upgrade replaces, a platform's policy, the expression or
	// the name of a policy that decides from then on, an issuer's URL, which access is revoked (user or token, and which; empty for all), or a setting's value. Before is a setting's value before, empty
	// if it had none, or the time before which access was given that is revoked, in seconds since 1970.
	Value, Before string
	Removed       bool // a certificate is removed, and not added; or a revocation is taken back
	Debug         bool // the platform's evidence counts in debug mode, too
	Unbalanced    bool // the node at the place votes, whatever share of the votes its owner has
	// Holders is the number of members that hold shares, Threshold how many of them open an epoch.
	Holders, Threshold int
}

// Cause says why a node is retired.
type Cause string

// The causes by which a decision retires a node.
const (
	OwnerGone Cause = "owner" // its owner is removed
	CodeGone  Cause = "code"  // its code is removed
	PlaceGone Cause = "place" // its place is removed
)

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
