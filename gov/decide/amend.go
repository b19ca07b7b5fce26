package decide

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/settings"
	"github.com/cocoframework/coco/gov/table"
)

// find returns the actor that an action names, by its id in hexadecimal or by its name.
func (d *draft) find(a *action.Action, text string) (id coco.ActorID, name string, role coco.Role, err error) {
	byID := id.UnmarshalText([]byte(text)) == nil
	for _, m := range d.c.Members {
		if byID && m.Actor() == id || !byID && m.Name == text {
			return m.Actor(), m.Name, coco.Member, nil
		}
	}
	for _, p := range d.c.Participants {
		if byID && p.Actor() == id || !byID && p.Name == text {
			return p.Actor(), p.Name, coco.Participant, nil
		}
	}
	return id, "", "", impossible(reason.UnknownActor, text, "")
}

func (d *draft) addActor(a *action.Action) error {
	x := &a.Args
	id := coco.ActorID(sha256.Sum256(x.Certificate))
	if _, name, role, err := d.find(a, id.String()); err == nil {
		return impossible(reason.ActorExists, name, string(role))
	}
	role := coco.Participant
	if a.Kind == action.AddMember {
		role, d.governed = coco.Member, true
		d.c.Members = append(d.c.Members, constitution.Member{
			Name: x.Name, Certificate: x.Certificate, Certificates: x.Certificates, EncryptionKey: x.EncryptionKey, Weight: max(x.Weight, 1), ID: id,
		})
	} else {
		d.c.Participants = append(d.c.Participants, constitution.Participant{Name: x.Name, Certificate: x.Certificate, Certificates: x.Certificates, ID: id})
	}
	d.effect(Effect{Kind: ActorAdded, Actor: id, Subject: string(role), Text: fmt.Sprintf("%s %q (%s) is added", role, x.Name, id.Short())})
	return nil
}

func (d *draft) removeActor(a *action.Action) error {
	id, name, role, err := d.find(a, a.Args.Actor)
	if err != nil {
		return err
	}
	if (role == coco.Member) != (a.Kind == action.RemoveMember) {
		return impossible(reason.WrongRole, name, string(role))
	}
	d.c.Members = slices.DeleteFunc(d.c.Members, func(m constitution.Member) bool { return m.Actor() == id })
	d.c.Participants = slices.DeleteFunc(d.c.Participants, func(p constitution.Participant) bool { return p.Actor() == id })
	d.governed = d.governed || role == coco.Member
	d.effect(Effect{Kind: ActorRemoved, Actor: id, Subject: string(role), Text: fmt.Sprintf("%s %q (%s) is removed: its sessions end, its ballots no longer count", role, name, id.Short())})
	return nil
}

// certificate adds one to an actor, or removes one, of which at least one stays. The actor's id stays
// the same.
func (d *draft) certificate(a *action.Action) error {
	id, name, _, err := d.find(a, a.Args.Actor)
	if err != nil {
		return err
	}
	var first *[]byte
	var further *[][]byte
	for i := range d.c.Members {
		if m := &d.c.Members[i]; m.Actor() == id {
			m.ID, first, further = id, &m.Certificate, &m.Certificates
		}
	}
	for i := range d.c.Participants {
		if p := &d.c.Participants[i]; p.Actor() == id {
			p.ID, first, further = id, &p.Certificate, &p.Certificates
		}
	}
	all := append([][]byte{*first}, *further...)
	der := a.Args.Certificate
	at := slices.IndexFunc(all, func(b []byte) bool { return bytes.Equal(b, der) })
	verb := "is added to"
	switch {
	case a.Kind == action.AddCertificate && at >= 0:
		return impossible(reason.CertificateExists, name, "")
	case a.Kind == action.AddCertificate:
		all = append(all, der)
	case at < 0:
		return impossible(reason.CertificateUnknown, name, "")
	case len(all) == 1:
		return impossible(reason.LastCertificate, name, "")
	default:
		all, verb = slices.Delete(all, at, at+1), "is removed from"
	}
	*first, *further = all[0], all[1:]
	d.effect(Effect{Kind: ActorChanged, Actor: id, Text: fmt.Sprintf("certificate %s %s %q", coco.Digest(sha256.Sum256(der)).Short(), verb, name)})
	return nil
}

// where returns the place that an action is about.
func (d *draft) where(a *action.Action) (owner coco.ActorID, name, address string, err error) {
	x := &a.Args
	text, address := x.Owner, x.Address
	if x.Node != "" {
		id, err := x.NodeID()
		if err != nil {
			return owner, "", "", err
		}
		i := slices.IndexFunc(d.nodes, func(rec table.NodeRecord) bool { return rec.ID == id })
		if i < 0 {
			return owner, "", "", impossible(reason.UnknownNode, id.String(), "")
		}
		text, address = d.nodes[i].Owner.String(), d.nodes[i].Address
	}
	if err := table.CheckAddress(address); err != nil {
		return owner, "", "", impossible(reason.BadAddress, address, "")
	}
	owner, name, _, err = d.find(a, text)
	return owner, name, address, err
}

func (d *draft) place(a *action.Action) error {
	owner, name, address, err := d.where(a)
	if err != nil {
		return err
	}
	key := string(table.PlaceKey(owner, address))
	p, voted := d.places[key]
	present := slices.ContainsFunc(d.nodes, func(rec table.NodeRecord) bool {
		return rec.State != table.Retired && rec.Owner == owner && rec.Address == address
	})
	if a.Kind == action.AddNode {
		if voted && !p.Removed {
			return impossible(reason.PlaceExists, address, name)
		}
		d.places[key] = table.PlaceRecord{Owner: owner, Address: address}
		d.effect(Effect{Kind: PlaceAdmitted, Actor: owner, Address: address, Text: fmt.Sprintf("a node of %q is admitted at %s", name, address)})
		return nil
	}
	if (!voted || p.Removed) && !present {
		return impossible(reason.UnknownPlace, address, name)
	}
	d.places[key], d.removed[key] = table.PlaceRecord{Owner: owner, Address: address, Removed: true}, true
	d.effect(Effect{Kind: PlaceRemoved, Actor: owner, Address: address, Text: fmt.Sprintf("no node of %q is admitted at %s without another vote", name, address)})
	return nil
}

func (d *draft) addCode(a *action.Action) error {
	x := &a.Args
	m := coco.Measurement(x.Measurement)
	if slices.ContainsFunc(d.c.Code, func(c constitution.Code) bool { return c.Measurement == m }) {
		return impossible(reason.CodeExists, string(m), "")
	}
	if x.Replaces != "" && !slices.ContainsFunc(d.c.Code, func(c constitution.Code) bool { return string(c.Measurement) == x.Replaces }) {
		return impossible(reason.UnlistedCode, x.Replaces, "")
	}
	d.c.Code = append(d.c.Code, constitution.Code{Measurement: m, Note: x.Note})
	text := fmt.Sprintf("nodes may run %s", m)
	if x.Replaces != "" {
		text += fmt.Sprintf("; once all do, remove-code %s", x.Replaces)
	}
	d.effect(Effect{Kind: CodeAdded, Subject: string(m), Text: text})
	return nil
}

func (d *draft) removeCode(a *action.Action) error {
	n := len(d.c.Code)
	d.c.Code = slices.DeleteFunc(d.c.Code, func(c constitution.Code) bool { return string(c.Measurement) == a.Args.Measurement })
	if len(d.c.Code) == n {
		return impossible(reason.UnlistedCode, a.Args.Measurement, "")
	}
	d.effect(Effect{Kind: CodeRemoved, Subject: a.Args.Measurement, Text: fmt.Sprintf("nodes may not run %s any more", a.Args.Measurement)})
	return nil
}

func (d *draft) setTEE(a *action.Action) error {
	x := &a.Args
	i := slices.IndexFunc(d.c.TEE, func(t constitution.TEE) bool { return t.Platform == x.Platform })
	if x.Remove {
		if i < 0 {
			return impossible(reason.UnlistedPlatform, x.Platform, "")
		}
		d.c.TEE = slices.Delete(d.c.TEE, i, i+1)
		d.effect(Effect{Kind: TEERemoved, Subject: x.Platform, Text: fmt.Sprintf("evidence of platform %q does not count any more", x.Platform)})
		return nil
	}
	t := constitution.TEE{Platform: x.Platform, Policy: x.TEEPolicy, Debug: x.Debug}
	switch {
	case i < 0:
		d.c.TEE = append(d.c.TEE, t)
	case d.c.TEE[i] == t:
		return impossible(reason.Unchanged, "tee."+x.Platform, "")
	default:
		d.c.TEE[i] = t
	}
	text := fmt.Sprintf("evidence of platform %q counts", t.Platform)
	if t.Policy != "" {
		text += " if it satisfies " + t.Policy
	}
	if t.Debug {
		text += ", even in debug mode, which protects nothing"
	}
	d.effect(Effect{Kind: TEESet, Subject: x.Platform, Text: text})
	return nil
}

func (d *draft) setPolicy(a *action.Action) error {
	x := &a.Args
	d.governed = true
	if a.Kind == action.RemovePolicy {
		if x.Policy == constitution.PolicyDefault || x.Policy == constitution.PolicyAddNode {
			return impossible(reason.PolicyNeeded, x.Policy, "")
		}
		if _, ok := d.c.Policies[x.Policy]; !ok {
			return impossible(reason.UnknownPolicy, x.Policy, "")
		}
		delete(d.c.Policies, x.Policy)
		d.effect(Effect{Kind: PolicyRemoved, Subject: x.Policy, Text: fmt.Sprintf("%s is decided by the policy %s", x.Policy, constitution.Fallbacks(x.Policy)[1])})
		return nil
	}
	if d.c.Policies[x.Policy] == x.Expression {
		return impossible(reason.Unchanged, "policies."+x.Policy, "")
	}
	if _, err := policy.Compile(x.Expression); err != nil {
		return because(reason.BadPolicy, x.Policy, err)
	}
	d.c.Policies[x.Policy] = x.Expression
	d.effect(Effect{Kind: PolicySet, Subject: x.Policy, Text: fmt.Sprintf("%s is decided by: %s", x.Policy, x.Expression)})
	return nil
}

func (d *draft) set(a *action.Action) error {
	x := &a.Args
	section, rest, _ := strings.Cut(x.Setting, ".")
	switch section {
	case "limits", "snapshots", "shares", "rules":
		return d.setNumber(a)
	case "adapters":
		return d.setAdapter(a, rest)
	case "network", "ledger", "consensus":
		return impossible(reason.FixedSetting, x.Setting, "")
	case "members", "participants", "code", "tee", "policies", "version":
		return impossible(reason.OtherAction, section, "")
	}
	return impossible(reason.UnknownSetting, x.Setting, "")
}

func (d *draft) setNumber(a *action.Action) error {
	x := &a.Args
	var n int64
	if err := json.Unmarshal([]byte(x.Value), &n); err != nil {
		return impossible(reason.NotANumber, x.Setting, "")
	}
	was, err := d.c.SetNumber(x.Setting, n)
	if err != nil {
		return err
	}
	if was == n {
		return impossible(reason.Unchanged, x.Setting, "")
	}
	d.effect(Effect{Kind: SettingChanged, Subject: x.Setting, Text: fmt.Sprintf("%s is %d instead of %d", x.Setting, n, was)})
	return nil
}

func (d *draft) setAdapter(a *action.Action, rest string) error {
	x := &a.Args
	path := strings.Split(rest, ".")
	name := path[0]
	table, ok := d.c.Adapters[name]
	if !ok {
		return impossible(reason.UnknownAdapter, name, "")
	}
	if len(path) < 2 || slices.Contains(path, "") {
		return impossible(reason.NoSetting, x.Setting, "")
	}
	value, err := settings.Parse([]byte(x.Value))
	if err != nil {
		return because(reason.BadValue, x.Setting, err)
	}
	next, was, ok := replace(table, path[1:], value)
	if !ok {
		return impossible(reason.NotATable, x.Setting, "")
	}
	before := "unset"
	if was != nil {
		text, err := settings.JSON(was)
		if err != nil {
			return err
		}
		if string(text) == x.Value {
			return impossible(reason.Unchanged, x.Setting, "")
		}
		before = shorten(string(text))
	}
	d.c.Adapters[name], d.changed[name] = next, true
	d.effect(Effect{Kind: SettingChanged, Subject: x.Setting, Text: fmt.Sprintf("%s is %s instead of %s", x.Setting, shorten(x.Value), before)})
	return nil
}

func shorten(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// replace returns a copy of a table with another value at path; was is the value there before. It is not ok
// if the path leads through a value that is no table.
func replace(table map[string]any, path []string, value any) (next map[string]any, was any, ok bool) {
	next = make(map[string]any, len(table)+1)
	for k, v := range table {
		next[k] = v
	}
	if len(path) == 1 {
		was, next[path[0]] = table[path[0]], value
		return next, was, true
	}
	below, ok := table[path[0]].(map[string]any)
	if !ok && table[path[0]] != nil {
		return nil, nil, false
	}
	next[path[0]], was, ok = replace(below, path[1:], value)
	return next, was, ok
}
