package decide

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
)

// Present is what actions change.
type Present struct {
	Constitution *constitution.Constitution // with the settings of the adapters that the actions are about
	Nodes        []table.NodeRecord         // trusted and pending ones, and those that the actions name
	Places       []table.PlaceRecord
	Now          uint64 // milliseconds since 1970
	Epochs       uint64 // that have been announced
	// Closed: members have yet to open the network that they recovered.
	Closed bool
	// Service, of a closed network, is SHA-256 of its service's public key (SubjectPublicKeyInfo, DER).
	Service coco.Digest
	// Until is when the time for voting about the actions is over, in milliseconds since 1970; zero if nobody votes.
	Until uint64
}

// Apply returns the constitution that follows from actions, one after the other, and what else
// they change. It writes nothing. The error is coco.ErrInvalid if they are not possible.
//
// The constitution is the same if only places and nodes change; otherwise its version is one more.
func Apply(now Present, actions []action.Action) (*constitution.Constitution, []Effect, error) {
	r, err := rulesOf(now.Constitution.Rules)
	if err != nil {
		return nil, nil, err
	}
	c := newChange(now)
	var effects []Effect
	var wanted keyChange
	for i := range actions {
		if actions[i].Kind == action.GrantEpochs {
			e, err := grants(now, &actions[i].Args, r)
			if err != nil {
				return nil, nil, inAction(err, actions, i)
			}
			effects = append(effects, e)
			continue
		}
		if actions[i].Kind == action.OpenNetwork {
			switch {
			case !r.closes:
				return nil, nil, inAction(impossible(reason.LaterKind, string(action.OpenNetwork), ""), actions, i)
			case !now.Closed:
				return nil, nil, inAction(impossible(reason.NotClosed, "", ""), actions, i)
			case actions[i].Args.Service != now.Service.String():
				return nil, nil, inAction(impossible(reason.OtherService, actions[i].Args.Service, now.Service.String()), actions, i)
			}
			effects = append(effects, Effect{Kind: NetworkOpened})
			continue
		}
		if keys, err := wanted.take(actions[i].Kind, r); err != nil {
			return nil, nil, inAction(err, actions, i)
		} else if keys {
			continue
		}
		e, err := c.apply(&actions[i], r)
		if err == nil && !r.committees {
			err = checkKey(&actions[i])
		}
		if err == nil && r.dated {
			err = checkEntering(&actions[i], now.Now, r)
		}
		if err == nil && !r.dated && actions[i].Kind == action.RemoveCertificate && actions[i].Args.Force {
			err = impossible(reason.LaterRules, "force", "") // which keeps from nothing, as lock-outs are not judged by certificates
		}
		if err != nil {
			return nil, nil, inAction(err, actions, i)
		}
		effects = append(effects, e)
	}
	followed, err := c.places.follow(c.actors.ids(), *c.manifest.code)
	if err != nil {
		return nil, nil, err
	}
	followed = append(followed, dropIssuers(&c.draft.Access, c.actors.ids())...)
	next, err := c.draft.Succeed(now.Constitution, c.settings.changed)
	if err != nil {
		return nil, nil, err
	}
	if governs(actions, r) && !slices.ContainsFunc(actions, func(a action.Action) bool { return a.Args.Force }) {
		times := []uint64{now.Now}
		if r.dated {
			times = append(times, max(now.Now, now.Until))
		}
		for _, at := range times {
			if err := CheckPath(next, at); err != nil {
				return nil, nil, err
			}
		}
	}
	if err := checkBalance(now, r, next, actions, followed); err != nil {
		return nil, nil, err
	}
	effects = append(effects, followed...)
	if now.Closed && (wanted.epoch || wanted.shares || Rotates(now.Constitution, next)) {
		return nil, nil, impossible(reason.HoldersFrozen, "", "")
	}
	if wanted.epoch || Rotates(now.Constitution, next) {
		effects = append(effects, Effect{Kind: EpochRotated, Holders: len(next.Members), Threshold: next.Shares.Threshold})
	}
	if wanted.shares {
		effects = append(effects, Effect{Kind: KeyRefreshed})
	}
	return next, effects, nil
}

// grants returns the effect of letting an auditor read epochs, which must be there. Nothing of the constitution changes by it.
func grants(now Present, x *action.Args, r rules) (Effect, error) {
	if !r.committees {
		return Effect{}, impossible(reason.LaterKind, string(action.GrantEpochs), "")
	}
	first, last, err := x.Range()
	if err != nil {
		return Effect{}, err
	}
	if last-first >= table.MaxGranted {
		return Effect{}, impossible(reason.TooManyEpochs, x.Epochs, strconv.Itoa(table.MaxGranted))
	}
	if last > now.Epochs {
		return Effect{}, impossible(reason.UnknownEpoch, x.Epochs, strconv.FormatUint(now.Epochs, 10))
	}
	return Effect{Kind: EpochsGranted, Name: x.Name, Actor: sha256.Sum256(x.Certificate), Subject: x.Epochs, Value: string(x.EncryptionKey)}, nil
}

// keyChange is what actions want of the network's keys. Nothing of the constitution changes by it.
type keyChange struct {
	epoch  bool // a new one
	shares bool // of the committee's key, anew
}

// take notes an action, and says whether it is about keys.
func (k *keyChange) take(kind action.Kind, r rules) (is bool, err error) {
	known := true
	switch kind {
	case action.Rotate:
		k.epoch, known = true, r.rotates
	case action.Refresh:
		k.shares, known = true, r.committees
	default:
		return false, nil
	}
	if !known {
		return true, impossible(reason.LaterKind, string(kind), "")
	}
	return true, nil
}

// checkKey refuses an encryption key that programs of earlier rules cannot read.
func checkKey(a *action.Action) error {
	if len(a.Args.EncryptionKey) == 0 {
		return nil
	}
	if of, err := keys.AlgorithmOf(a.Args.EncryptionKey); err != nil || of != keys.X25519 {
		return impossible(reason.LaterKey, a.Args.Name, string(of))
	}
	return nil
}

// governs reports whether actions change the members or the policies, or, where dates count, take a certificate away.
func governs(actions []action.Action, r rules) bool {
	return slices.ContainsFunc(actions, func(a action.Action) bool {
		return r.dated && a.Kind == action.RemoveCertificate || slices.Contains([]action.Kind{action.AddMember, action.RemoveMember, action.SetPolicy, action.RemovePolicy}, a.Kind)
	})
}

// change is a constitution under change, in its parts: an action changes one of them, and sees no other but the
// organisations.
type change struct {
	draft    *constitution.Constitution // which the parts are of
	actors   actors
	manifest manifest
	policies policies
	settings values
	places   places
	now      uint64 // milliseconds since 1970
}

func newChange(now Present) *change {
	d := now.Constitution.Draft()
	organisations := actors{members: &d.Members, participants: &d.Participants}
	if d.Rules >= 2 {
		organisations.revoked = &d.Revoked
	}
	return &change{
		draft: d, actors: organisations, manifest: manifest{&d.Code, &d.TEE}, policies: d.Policies,
		settings: values{d.SetNumber, d.SetAdded, d.Adapters, map[string]bool{}}, places: newPlaces(now), now: now.Now,
	}
}

func (c *change) apply(a *action.Action, r rules) (Effect, error) {
	switch a.Kind {
	case action.AddIssuer, action.RemoveIssuer, action.RevokeAccess:
		if !r.issuers {
			return Effect{}, impossible(reason.LaterKind, string(a.Kind), "")
		}
		if a.Kind == action.RevokeAccess {
			return c.revokeAccess(&a.Args)
		}
		return c.changeIssuers(a)
	case action.AddOrigin, action.RemoveOrigin:
		if !r.issuers {
			return Effect{}, impossible(reason.LaterKind, string(a.Kind), "")
		}
		return c.changeOrigins(a)
	case action.AddMember, action.AddParticipant:
		return c.actors.add(a)
	case action.RemoveMember, action.RemoveParticipant:
		e, err := c.actors.remove(a)
		if err == nil && r.issuers {
			c.leave(e.Actor)
		}
		return e, err
	case action.AddCertificate, action.RemoveCertificate:
		return c.actors.certificate(a)
	case action.AddNode, action.RemoveNode:
		return c.places.change(a, c.actors)
	case action.AddCode, action.Upgrade:
		return c.manifest.addCode(a)
	case action.RemoveCode:
		return c.manifest.removeCode(a)
	case action.SetTEE:
		return c.manifest.setTEE(a)
	case action.SetPolicy, action.RemovePolicy:
		return c.policies.change(a)
	case action.Set:
		return c.settings.set(a)
	}
	return Effect{}, impossible(reason.UnknownAction, string(a.Kind), "")
}

// impossible is the error that an action is not possible.
func impossible(code reason.Code, subject, other string) error {
	return &reason.Error{Reason: reason.New(code, subject, other)}
}

// because is impossible for a cause whose words are not stored.
func because(code reason.Code, subject string, cause error) error {
	return &reason.Error{Reason: reason.New(code, subject, ""), Cause: cause}
}

// inAction says in which one of several actions an error is.
func inAction(err error, actions []action.Action, i int) error {
	e := new(reason.Error)
	if !errors.As(err, &e) {
		return err
	}
	if e.Context = actions[i].String(); len(actions) > 1 {
		e.Action = uint64(i) + 1
	}
	return e
}

// CheckPath checks that the members can still change the rules and who makes them at a time: by rules 2 and later, those that
// can sign then. The error is coco.ErrInvalid.
func CheckPath(c *constitution.Constitution, at uint64) error {
	r, err := rulesOf(c.Rules)
	if err != nil {
		return err
	}
	policies, err := compileAll(c)
	if err != nil {
		return err
	}
	able := func(string) bool { return true }
	if signers := signersOf(c, at); r.dated {
		able = func(id string) bool { return signers[id] }
	}
	err = policy.CanPassBy(policies, policy.Input{Members: memberFacts(c), Constitution: constitutionFacts(c, nil), Now: at}, able)
	if locked := (*policy.LockOutError)(nil); errors.As(err, &locked) {
		return &reason.Error{
			Reason: reason.New(reason.LockOut, locked.Kind, ""), Cause: err,
			Detail: fmt.Sprintf("constitution: %v (to have it all the same, an action that takes force needs force = %q)", err, action.ForceSentence),
		}
	}
	return err
}
