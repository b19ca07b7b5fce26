// Package action is the language of proposals: the changes that members can vote on, each with its
// kind and arguments, as people write them (TOML) and as they are signed (CBOR).
//
// It knows the form of an action. Whether a change is possible, given the constitution, is for
// package decide to say, when it is proposed and again when it is applied.
//
// Trust: enclave
package action

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/settings"
	"github.com/cocoframework/coco/keys"
)

// Kind is the kind of an action. It is also the name of the policy that decides it.
type Kind string

// The kinds of actions. On the command line and in TOML they may be written with dashes.
const (
	AddMember         Kind = "add_member"
	RemoveMember      Kind = "remove_member"
	AddParticipant    Kind = "add_participant"
	RemoveParticipant Kind = "remove_participant"
	AddCertificate    Kind = "add_certificate"
	RemoveCertificate Kind = "remove_certificate"
	AddNode           Kind = "add_node"
	RemoveNode        Kind = "remove_node"
	AddCode           Kind = "add_code"
	RemoveCode        Kind = "remove_code"
	SetTEE            Kind = "set_tee"
	SetPolicy         Kind = "set_policy"
	RemovePolicy      Kind = "remove_policy"
	Set               Kind = "set"
	Upgrade           Kind = "upgrade"
	Rotate            Kind = "rotate"       // by rules 1 there is none
	Refresh           Kind = "refresh"      // by rules 1 and 2 there is none
	OpenNetwork       Kind = "open_network" // since rules 3: a network that was recovered serves again
	GrantEpochs       Kind = "grant_epochs" // since rules 3: an auditor may read some epochs
	// Since rules 3: tokens of an issuer stand for an organisation's users; they do no more; some of them do no more.
	AddIssuer    Kind = "add_issuer"
	RemoveIssuer Kind = "remove_issuer"
	RevokeAccess Kind = "revoke_access"
	// Since rules 3: pages of an origin may ask nodes by sessions of their users; they may no more.
	AddOrigin    Kind = "add_origin"
	RemoveOrigin Kind = "remove_origin"
)

// Bounds of an action.
const (
	MaxBytes   = 192 << 10 // in CBOR
	maxText    = 4096
	maxList    = 64
	maxDER     = 16 << 10
	maxSetting = 128 << 10
)

// Action is one change.
type Action struct {
	Kind Kind `cbor:"1,keyasint"`
	Args Args `cbor:"2,keyasint"`
}

// Args are the arguments of an action. Each kind takes some of them; the others are zero.
//
// Fields: one for each argument that is signed; the form of a kind says which ones it takes.
type Args struct {
	// Actor names a member or participant: its id in hexadecimal, or its name.
	Actor string `cbor:"actor,omitempty"`
	// Name, Certificate (DER) and the further Certificates make an actor; EncryptionKey and Weight
	// a member. Weight 0 means 1. The name, certificate and encryption key of an auditor are given with Epochs, which it may read: see Range. It names an issuer, and is a
	// page's origin, too.
	Name          string   `cbor:"name,omitempty"`
	Certificate   []byte   `cbor:"certificate,omitempty"`
	Certificates  [][]byte `cbor:"certificates,omitempty"`
	EncryptionKey []byte   `cbor:"encryption_key,omitempty"`
	Weight        uint64   `cbor:"weight,omitempty"`
	// Owner (as Actor) and Address are the place of a node. Node, the id of a node that is in the
	// node list, stands for its place.
	Owner   string `cbor:"owner,omitempty"`
	Address string `cbor:"address,omitempty"`
	Node    string `cbor:"node,omitempty"`
	// Measurement names code. Replaces is what an upgrade means to remove later.
	Measurement string `cbor:"measurement,omitempty"`
	Note        string `cbor:"note,omitempty"`
	Replaces    string `cbor:"replaces,omitempty"`
	// Platform, TEEPolicy (a JSON object in canonical form) and Debug make an entry of the TEE
	// manifest; Remove takes it out.
	Platform  string `cbor:"platform,omitempty"`
	TEEPolicy string `cbor:"tee_policy,omitempty"`
	Debug     bool   `cbor:"debug,omitempty"`
	Remove    bool   `cbor:"remove,omitempty"`
	// Policy is the kind of action that Expression decides from then on.
	Policy     string `cbor:"policy,omitempty"`
	Expression string `cbor:"expression,omitempty"`
	// Setting is a dotted name, Value its value in canonical JSON.
	Setting string `cbor:"setting,omitempty"`
	Value   string `cbor:"value,omitempty"`
	// Force has a change applied after which no further one can pass. People write it as ForceSentence. By rules 1 no
	// RemoveCertificate may have it.
	Force bool `cbor:"force,omitempty"`
	// Unbalanced has a change applied after which one organisation may have half of the votes in consensus or more.
	// People write it as UnbalancedSentence. By rules 1 no action may have it.
	Unbalanced bool   `cbor:"unbalanced,omitempty"`
	Epochs     string `cbor:"epochs,omitempty"`
	// Service is the service of a network that was recovered: SHA-256 of its public key (SubjectPublicKeyInfo, DER) in hexadecimal. Members who voted for
	// another recovery of the same ledger have not voted for this one.
	Service string `cbor:"service,omitempty"`
	// Issuer says which tokens count of the issuer that Name names, for the organisation Actor; Certificates are those to which its host's
	// leads.
	Issuer *access.Terms `cbor:"issuer,omitempty"`
	// User, Token (its claim jti) or Before (seconds since 1970) say what does not count any more of the users of the organisation Actor, or of that of the issuer Name:
	// see access.Revocation. With Remove, a user or a token has access again.
	User   string `cbor:"user,omitempty"`
	Token  string `cbor:"token,omitempty"`
	Before uint64 `cbor:"before,omitempty"`
}

// form says which arguments a kind takes.
type form struct {
	kind           Kind
	needs, accepts []string
}

// forms is in the order in which people read about the kinds.
func forms() []form {
	return []form{
		{AddMember, []string{"name", "certificate", "encryption_key"}, []string{"certificates", "weight", "force"}},
		{RemoveMember, []string{"actor"}, []string{"force", "unbalanced"}},
		{AddParticipant, []string{"name", "certificate"}, []string{"certificates"}},
		{RemoveParticipant, []string{"actor"}, []string{"unbalanced"}},
		{AddCertificate, []string{"actor", "certificate"}, nil},
		{RemoveCertificate, []string{"actor", "certificate"}, []string{"force"}},
		{AddNode, nil, []string{"owner", "address", "node", "unbalanced"}},
		{RemoveNode, nil, []string{"owner", "address", "node", "unbalanced"}},
		{AddCode, []string{"measurement"}, []string{"note"}},
		{RemoveCode, []string{"measurement"}, []string{"unbalanced"}},
		{SetTEE, []string{"platform"}, []string{"tee_policy", "debug", "remove"}},
		{SetPolicy, []string{"policy", "expression"}, []string{"force"}},
		{RemovePolicy, []string{"policy"}, []string{"force"}},
		{Set, []string{"setting", "value"}, nil},
		{Upgrade, []string{"measurement", "note"}, []string{"replaces"}},
		{Rotate, nil, nil},
		{Refresh, nil, nil},
		{OpenNetwork, []string{"service"}, nil},
		{GrantEpochs, []string{"name", "certificate", "encryption_key", "epochs"}, nil},
		{AddIssuer, []string{"name", "actor", "issuer", "certificates"}, nil},
		{RemoveIssuer, []string{"name"}, nil},
		{RevokeAccess, nil, []string{"name", "actor", "user", "token", "before", "remove"}},
		{AddOrigin, []string{"name"}, nil},
		{RemoveOrigin, []string{"name"}, nil},
	}
}

// Kinds returns the kinds of actions.
func Kinds() []Kind {
	var out []Kind
	for _, f := range forms() {
		out = append(out, f.kind)
	}
	return out
}

// ParseKind reads a kind, with underscores or dashes. The error is coco.ErrInvalid.
func ParseKind(s string) (Kind, error) {
	k := Kind(strings.ReplaceAll(s, "-", "_"))
	if slices.Contains(Kinds(), k) {
		return k, nil
	}
	return "", &UnknownKindError{Kind: s}
}

// UnknownKindError is a word that is no kind of action. It is coco.ErrInvalid.
type UnknownKindError struct{ Kind string }

func (e *UnknownKindError) Error() string {
	_, names := e.Word()
	return fmt.Sprintf("%v: unknown kind of action %q: expected one of %s", coco.ErrInvalid, e.Kind, strings.Join(names, ", "))
}

func (e *UnknownKindError) Unwrap() error { return coco.ErrInvalid }

// Word returns what was found, and the kinds that there are, as a person writes them.
func (e *UnknownKindError) Word() (found string, expected []string) {
	for _, k := range Kinds() {
		expected = append(expected, strings.ReplaceAll(string(k), "_", "-"))
	}
	return e.Kind, expected
}

func (a *Action) invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", coco.ErrInvalid, strings.ReplaceAll(string(a.Kind), "_", "-"), fmt.Sprintf(format, args...))
}

// Check finds what is wrong with the form of an action. The error is coco.ErrInvalid.
func (a *Action) Check() error {
	i := slices.IndexFunc(forms(), func(f form) bool { return f.kind == a.Kind })
	if i < 0 {
		_, err := ParseKind(string(a.Kind))
		if err == nil {
			err = fmt.Errorf("%w: kind of action %q: expected underscores", coco.ErrInvalid, a.Kind)
		}
		return err
	}
	f, given := forms()[i], a.Facts()
	for _, name := range f.needs {
		if _, ok := given[name]; !ok {
			return a.invalid("%s is missing", name)
		}
	}
	for _, name := range fields() {
		if _, ok := given[name]; ok && !slices.Contains(f.needs, name) && !slices.Contains(f.accepts, name) {
			return a.invalid("it does not take %s", name)
		}
	}
	return a.checkValues()
}

func (a *Action) checkValues() error {
	x := &a.Args
	for _, t := range []struct {
		name, value string
		limit       int
	}{
		{"actor", x.Actor, maxText},
		{"name", x.Name, maxText},
		{"owner", x.Owner, maxText},
		{"address", x.Address, maxText},
		{"node", x.Node, 2 * len(coco.NodeID{})},
		{"measurement", x.Measurement, maxText},
		{"note", x.Note, maxText},
		{"replaces", x.Replaces, maxText},
		{"platform", x.Platform, maxText},
		{"tee_policy", x.TEEPolicy, maxSetting},
		{"policy", x.Policy, maxText},
		{"expression", x.Expression, maxText},
		{"setting", x.Setting, maxText},
		{"value", x.Value, maxSetting},
		{"epochs", x.Epochs, maxText},
		{"service", x.Service, maxText},
		{"user", x.User, maxText},
		{"token", x.Token, maxText},
	} {
		if len(t.value) > t.limit {
			return a.invalid("%s has %d bytes, expected at most %d", t.name, len(t.value), t.limit)
		}
		if !utf8.ValidString(t.value) {
			return a.invalid("%s is not UTF-8", t.name)
		}
	}
	if len(x.Certificates) > maxList {
		return a.invalid("%d further certificates, expected at most %d", len(x.Certificates), maxList)
	}
	for _, der := range append([][]byte{x.Certificate}, x.Certificates...) {
		if len(der) > maxDER {
			return a.invalid("a certificate of %d bytes, expected at most %d", len(der), maxDER)
		}
		if len(der) == 0 {
			continue
		}
		if _, err := x509.ParseCertificate(der); err != nil {
			return a.invalid("a certificate is not X.509: %v", err)
		}
	}
	if len(x.EncryptionKey) > 0 {
		if err := keys.CheckPublicKey(x.EncryptionKey); err != nil {
			return a.invalid("encryption_key: %v", err)
		}
	}
	return a.checkRest()
}

func (a *Action) checkRest() error {
	x := &a.Args
	switch a.Kind {
	case OpenNetwork:
		var d coco.Digest
		if err := d.UnmarshalText([]byte(x.Service)); err != nil || d.String() != x.Service {
			return a.invalid("service %q: expected the SHA-256 of the service's public key, 64 hexadecimal digits in lower case", x.Service)
		}
	case GrantEpochs:
		if _, _, err := x.Range(); err != nil {
			return a.invalid("%v", err)
		}
	case AddIssuer:
		if err := x.Issuer.Check("issuer"); err != nil {
			return a.invalid("%v", err)
		}
		if err := access.CheckRoots("certificates", x.Certificates); err != nil {
			return a.invalid("%v", err)
		}
	case AddOrigin:
		if err := access.CheckOrigin("name", x.Name); err != nil {
			return a.invalid("%v", err)
		}
	case RevokeAccess:
		switch {
		case (x.Name != "") == (x.Actor != ""):
			return a.invalid("expected an issuer (name) or an organisation (actor), and not both")
		case x.User == "" && x.Token == "" && x.Before == 0, x.Token != "" && (x.User != "" || x.Before > 0):
			return a.invalid("expected a user, a token, before, or a user and before")
		case x.Before > 0 && x.Remove:
			return a.invalid("remove goes with a user or a token alone")
		case x.Token != "" && x.Name == "":
			return a.invalid("expected the issuer (name) of the token")
		}
	case AddNode, RemoveNode:
		if place := x.Owner != "" && x.Address != ""; place == (x.Node != "") || place == (x.Owner == "" && x.Address == "") {
			return a.invalid("expected owner and address, or the id of a node")
		}
		if x.Node != "" {
			if _, err := x.NodeID(); err != nil {
				return a.invalid("node: %v", err)
			}
		}
	case SetTEE:
		if x.Remove && (x.Debug || x.TEEPolicy != "") {
			return a.invalid("remove stands alone")
		}
		if x.TEEPolicy == "" {
			return nil
		}
		v, err := settings.Parse([]byte(x.TEEPolicy))
		if err != nil {
			return a.invalid("tee_policy: %v", err)
		}
		if text, err := TEEPolicy(v); err != nil || text != x.TEEPolicy {
			return a.invalid("tee_policy is not a JSON object in canonical form")
		}
	case SetPolicy, RemovePolicy:
		if x.Policy == DefaultPolicy {
			return nil
		}
		if k, err := ParseKind(x.Policy); err != nil || string(k) != x.Policy {
			return a.invalid("policy %q: expected a kind of action, with underscores, or %q", x.Policy, DefaultPolicy)
		}
	case Set:
		v, err := settings.Parse([]byte(x.Value))
		if err == nil {
			v, err = settings.Value("value", x.Setting, v)
		}
		if err != nil {
			return a.invalid("the value of %s: %v", x.Setting, err)
		}
		if text, err := settings.JSON(v); err != nil || string(text) != x.Value {
			return a.invalid("the value of %s is not in canonical JSON", x.Setting)
		}
	}
	return nil
}

// ForceSentence is how a member writes Args.Force. It is read where people write actions: what is signed is a bool.
const ForceSentence = "I accept that nobody can change this any more"

// ParseForce reads Args.Force. The error is coco.ErrInvalid for any other text than ForceSentence and none.
func ParseForce(text string) (bool, error) {
	if text != "" && text != ForceSentence {
		return false, fmt.Errorf("%w: force: expected exactly the sentence %q", coco.ErrInvalid, ForceSentence)
	}
	return text != "", nil
}

// UnbalancedSentence is how a member writes Args.Unbalanced.
const UnbalancedSentence = "I accept that one organisation may have half of the votes in consensus or more"

// ParseUnbalanced reads Args.Unbalanced. The error is coco.ErrInvalid for any other text than UnbalancedSentence and none.
func ParseUnbalanced(text string) (bool, error) {
	if text != "" && text != UnbalancedSentence {
		return false, fmt.Errorf("%w: unbalanced: expected exactly the sentence %q", coco.ErrInvalid, UnbalancedSentence)
	}
	return text != "", nil
}

// DefaultPolicy is the name of the policy of every kind that has none of its own.
const DefaultPolicy = "default"

// NodeID returns Args.Node.
func (x *Args) NodeID() (coco.NodeID, error) {
	var id coco.NodeID
	err := id.UnmarshalText([]byte(x.Node))
	return id, err
}

// Range returns the epochs from the first to the last, both included, that Epochs names: 3 or 3-5, in their one form. The error is coco.ErrInvalid.
func (x *Args) Range() (first, last uint64, err error) {
	from, to, ranges := strings.Cut(x.Epochs, "-")
	first, err = strconv.ParseUint(from, 10, 63)
	if last = first; err == nil && ranges {
		last, err = strconv.ParseUint(to, 10, 63)
	}
	if text := RangeText(first, last); err != nil || first < 1 || last < first || text != x.Epochs {
		return 0, 0, fmt.Errorf("%w: epochs %q: expected a number such as 3, or 3-5", coco.ErrInvalid, x.Epochs)
	}
	return first, last, nil
}

// RangeText is what Args.Epochs says of epochs.
func RangeText(first, last uint64) string {
	if first == last {
		return strconv.FormatUint(first, 10)
	}
	return strconv.FormatUint(first, 10) + "-" + strconv.FormatUint(last, 10)
}

// Encode returns an action in deterministic CBOR. The error is coco.ErrInvalid.
func (a *Action) Encode() ([]byte, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	b, err := canon.Marshal(a)
	if err != nil {
		return nil, a.invalid("%v", err)
	}
	if len(b) > MaxBytes {
		return nil, a.invalid("%d bytes, expected at most %d", len(b), MaxBytes)
	}
	return b, nil
}

// Decode reads an action from the bytes that Encode makes. The error is coco.ErrInvalid.
func Decode(b []byte) (Action, error) {
	var a Action
	if err := canon.Unmarshal(b, &a, canon.Limits{Bytes: MaxBytes}); err != nil {
		return Action{}, fmt.Errorf("%w: action: %w", coco.ErrInvalid, err)
	}
	return a, a.Check()
}

// fields returns the names of all arguments.
func fields() []string {
	return []string{
		"actor", "name", "certificate", "certificates", "encryption_key", "weight", "owner", "address", "node",
		"measurement", "note", "replaces", "platform", "tee_policy", "debug", "remove", "policy",
		"expression", "setting", "value", "force", "unbalanced", "epochs", "service", "issuer", "user", "token", "before",
	}
}

// Facts returns the action as policies see it: the kind, and the arguments that are given. Bytes
// are in hexadecimal, a setting's value is its JSON.
func (a *Action) Facts() map[string]any {
	x := &a.Args
	out := map[string]any{"kind": string(a.Kind)}
	for name, s := range map[string]string{
		"actor": x.Actor, "name": x.Name, "owner": x.Owner, "address": x.Address, "node": x.Node, "measurement": x.Measurement,
		"note": x.Note, "replaces": x.Replaces, "platform": x.Platform, "tee_policy": x.TEEPolicy, "policy": x.Policy, "expression": x.Expression,
		"setting": x.Setting, "value": x.Value, "epochs": x.Epochs, "service": x.Service, "user": x.User, "token": x.Token,
		"certificate": hex.EncodeToString(x.Certificate), "encryption_key": hex.EncodeToString(x.EncryptionKey),
	} {
		if s != "" {
			out[name] = s
		}
	}
	if len(x.Certificates) > 0 {
		var list []string
		for _, der := range x.Certificates {
			list = append(list, hex.EncodeToString(der))
		}
		out["certificates"] = list
	}
	for name, n := range map[string]uint64{"weight": x.Weight, "before": x.Before} {
		if n > 0 {
			out[name] = n
		}
	}
	if x.Issuer != nil {
		out["issuer"] = issuerFacts(x.Issuer)
	}
	for name, b := range map[string]bool{"debug": x.Debug, "remove": x.Remove, "force": x.Force, "unbalanced": x.Unbalanced} {
		if b {
			out[name] = true
		}
	}
	return out
}

// issuerFacts are what policies see of an issuer's terms.
func issuerFacts(t *access.Terms) map[string]any {
	claims := map[string]any{}
	for name, value := range t.Claims {
		claims[name] = value
	}
	return map[string]any{
		"url": t.URL, "audience": t.Audience, "user_claim": t.UserClaim, "role_claim": t.RoleClaim, "role_value": t.RoleValue, "claims": claims,
		"algorithms": slices.Clone(t.Algorithms), "clock_skew_seconds": t.SkewSeconds, "keys_seconds": t.KeysSeconds, "type": t.Type,
	}
}

// String says what the action does, for people.
func (a Action) String() string {
	x := &a.Args
	place := x.Address
	if x.Node != "" {
		place = x.Node[:min(8, len(x.Node))]
	} else if x.Owner != "" {
		place += " of " + x.Owner
	}
	switch a.Kind {
	case AddMember, AddParticipant, AddIssuer, RemoveIssuer, AddOrigin, RemoveOrigin:
		return fmt.Sprintf("%s %q", a.Kind.words(), x.Name)
	case RemoveMember, RemoveParticipant, AddCertificate, RemoveCertificate:
		return fmt.Sprintf("%s: %s", a.Kind.words(), x.Actor)
	case AddNode, RemoveNode:
		return a.Kind.words() + " " + place
	case AddCode, RemoveCode, Upgrade:
		return a.Kind.words() + " " + x.Measurement
	case SetTEE:
		if x.Remove {
			return "remove TEE " + x.Platform
		}
		return "set TEE " + x.Platform
	case SetPolicy:
		return fmt.Sprintf("set policy %s: %s", x.Policy, x.Expression)
	case RemovePolicy:
		return "remove policy " + x.Policy
	case RevokeAccess:
		if x.Actor != "" {
			return "revoke access of users of " + x.Actor
		}
		return fmt.Sprintf("revoke access of issuer %q", x.Name)
	case OpenNetwork:
		return "open network under service " + x.Service[:min(8, len(x.Service))]
	case Set:
		return fmt.Sprintf("set %s = %s", x.Setting, x.Value)
	}
	return a.Kind.words()
}

func (k Kind) words() string { return strings.ReplaceAll(string(k), "_", " ") }
