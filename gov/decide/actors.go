package decide

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/reason"
)

// actors are the organisations of a constitution under change.
type actors struct {
	members      *[]constitution.Member
	participants *[]constitution.Participant
	revoked      *[]coco.Digest // nil by rules that know no revocation
}

// ids returns the identities of all of them.
func (x actors) ids() map[coco.ActorID]bool {
	out := map[coco.ActorID]bool{}
	for _, m := range *x.members {
		out[m.Actor()] = true
	}
	for _, p := range *x.participants {
		out[p.Actor()] = true
	}
	return out
}

// find returns the actor that a text names, by its id in hexadecimal or by its name.
func (x actors) find(text string) (id coco.ActorID, name string, role coco.Role, err error) {
	byID := id.UnmarshalText([]byte(text)) == nil
	for _, m := range *x.members {
		if byID && m.Actor() == id || !byID && m.Name == text {
			return m.Actor(), m.Name, coco.Member, nil
		}
	}
	for _, p := range *x.participants {
		if byID && p.Actor() == id || !byID && p.Name == text {
			return p.Actor(), p.Name, coco.Participant, nil
		}
	}
	return id, "", "", impossible(reason.UnknownActor, text, "")
}

func (x actors) add(a *action.Action) (Effect, error) {
	args := &a.Args
	id := coco.ActorID(sha256.Sum256(args.Certificate))
	if _, name, role, err := x.find(id.String()); err == nil {
		return Effect{}, impossible(reason.ActorExists, name, string(role))
	}
	role := coco.Participant
	if a.Kind == action.AddMember {
		role = coco.Member
		*x.members = append(*x.members, constitution.Member{
			Name: args.Name, Certificate: args.Certificate, Certificates: args.Certificates, EncryptionKey: args.EncryptionKey, Weight: max(args.Weight, 1), ID: id,
		})
	} else {
		*x.participants = append(*x.participants, constitution.Participant{Name: args.Name, Certificate: args.Certificate, Certificates: args.Certificates, ID: id})
	}
	return Effect{Kind: ActorAdded, Actor: id, Subject: string(role), Name: args.Name}, nil
}

func (x actors) remove(a *action.Action) (Effect, error) {
	id, name, role, err := x.find(a.Args.Actor)
	if err != nil {
		return Effect{}, err
	}
	if (role == coco.Member) != (a.Kind == action.RemoveMember) {
		return Effect{}, impossible(reason.WrongRole, name, string(role))
	}
	*x.members = slices.DeleteFunc(*x.members, func(m constitution.Member) bool { return m.Actor() == id })
	*x.participants = slices.DeleteFunc(*x.participants, func(p constitution.Participant) bool { return p.Actor() == id })
	return Effect{Kind: ActorRemoved, Actor: id, Subject: string(role), Name: name}, nil
}

// revoke revokes a certificate that one of an organisation's has issued. It reports false if that is not so, or done.
func (x actors) revoke(issuers [][]byte, der []byte) bool {
	cert, err := x509.ParseCertificate(der)
	if err != nil || x.revoked == nil {
		return false
	}
	under := slices.ContainsFunc(issuers, func(issuer []byte) bool {
		above, err := x509.ParseCertificate(issuer)
		return err == nil && cert.CheckSignatureFrom(above) == nil
	})
	id := constitution.Revocation(cert)
	if !under || slices.Contains(*x.revoked, id) {
		return false
	}
	*x.revoked = append(*x.revoked, id)
	return true
}

// certificate adds one to an actor, or removes one, of which at least one stays, or one that the actor has issued. The actor's id
// stays the same.
func (x actors) certificate(a *action.Action) (Effect, error) {
	id, name, _, err := x.find(a.Args.Actor)
	if err != nil {
		return Effect{}, err
	}
	var first *[]byte
	var further *[][]byte
	for i := range *x.members {
		if m := &(*x.members)[i]; m.Actor() == id {
			m.ID, first, further = id, &m.Certificate, &m.Certificates
		}
	}
	for i := range *x.participants {
		if p := &(*x.participants)[i]; p.Actor() == id {
			p.ID, first, further = id, &p.Certificate, &p.Certificates
		}
	}
	all := append([][]byte{*first}, *further...)
	der := a.Args.Certificate
	at := slices.IndexFunc(all, func(b []byte) bool { return bytes.Equal(b, der) })
	switch {
	case a.Kind == action.AddCertificate && at >= 0:
		return Effect{}, impossible(reason.CertificateExists, name, "")
	case a.Kind == action.AddCertificate:
		all = append(all, der)
	case at < 0:
		if !x.revoke(all, der) {
			return Effect{}, impossible(reason.CertificateUnknown, name, "")
		}
	case len(all) == 1:
		return Effect{}, impossible(reason.LastCertificate, name, "")
	default:
		all = slices.Delete(all, at, at+1)
	}
	*first, *further = all[0], all[1:]
	return Effect{Kind: ActorChanged, Actor: id, Name: name, Value: coco.Digest(sha256.Sum256(der)).String(), Removed: a.Kind == action.RemoveCertificate}, nil
}
