package action

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/settings"
	"github.com/cocoframework/coco/keys"
)

// maxTOML bounds a file of actions.
const maxTOML = 1 << 20

// page is a file of actions.
type page struct {
	Actions []entry `toml:"actions"`
}

// entry is an action as people write it: certificates and keys in PEM, a value as TOML says it.
//
// Fields: one for each argument that people write, as in Args.
type entry struct {
	Kind          string   `toml:"kind"`
	Actor         string   `toml:"actor,omitempty"`
	Name          string   `toml:"name,omitempty"`
	Certificate   string   `toml:"certificate,omitempty,multiline"`
	Certificates  []string `toml:"certificates,omitempty,multiline"`
	EncryptionKey string   `toml:"encryption_key,omitempty,multiline"`
	Weight        uint64   `toml:"weight,omitempty"`
	Owner         string   `toml:"owner,omitempty"`
	Address       string   `toml:"address,omitempty"`
	Node          string   `toml:"node,omitempty"`
	Measurement   string   `toml:"measurement,omitempty"`
	Note          string   `toml:"note,omitempty"`
	Replaces      string   `toml:"replaces,omitempty"`
	Platform      string   `toml:"platform,omitempty"`
	TEEPolicy     any      `toml:"tee_policy,omitempty"`
	Debug         bool     `toml:"debug,omitempty"`
	Remove        bool     `toml:"remove,omitempty"`
	Policy        string   `toml:"policy,omitempty"`
	Expression    string   `toml:"expression,omitempty"`
	Setting       string   `toml:"setting,omitempty"`
	Value         any      `toml:"value,omitempty"`
	Force         string   `toml:"force,omitempty"`
	Unbalanced    string   `toml:"unbalanced,omitempty"`
	Epochs        string   `toml:"epochs,omitempty"`
	Service       string   `toml:"service,omitempty"`

	Issuer *access.Terms `toml:"issuer,omitempty"`
	User   string        `toml:"user,omitempty"`
	Token  string        `toml:"token,omitempty"`
	Before uint64        `toml:"before,omitempty"`
}

// Parse reads a file of actions:
//
//	[[actions]]
//	kind = "add-code"
//	measurement = "snp:9a…"
//
// Kinds and policies may be written with dashes or underscores. The error is coco.ErrInvalid and names
// the action.
func Parse(text []byte) ([]Action, error) {
	if len(text) > maxTOML {
		return nil, fmt.Errorf("%w: actions: %d bytes, expected at most %d", coco.ErrInvalid, len(text), maxTOML)
	}
	var p page
	if err := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields().Decode(&p); err != nil {
		return nil, tomlError(err)
	}
	if len(p.Actions) == 0 {
		return nil, fmt.Errorf("%w: actions: expected at least one [[actions]]", coco.ErrInvalid)
	}
	var out []Action
	for i := range p.Actions {
		a, err := p.Actions[i].action()
		if err == nil {
			err = a.Check()
		}
		if err == nil {
			_, err = a.Encode() // its size
		}
		if err != nil {
			return nil, fmt.Errorf("action %d: %w", i+1, err)
		}
		out = append(out, a)
	}
	return out, nil
}

func tomlError(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		line, _ := strict.Errors[0].Position()
		return fmt.Errorf("%w: actions: %s: unknown field (line %d)", coco.ErrInvalid, strings.Join(strict.Errors[0].Key(), "."), line)
	}
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		line, column := syntax.Position()
		return fmt.Errorf("%w: actions: line %d, column %d: %s", coco.ErrInvalid, line, column, strings.TrimPrefix(syntax.Error(), "toml: "))
	}
	return fmt.Errorf("%w: actions: %s", coco.ErrInvalid, strings.TrimPrefix(err.Error(), "toml: "))
}

func (e *entry) action() (Action, error) {
	kind, err := ParseKind(e.Kind)
	if err != nil {
		return Action{}, err
	}
	force, err := ParseForce(e.Force)
	if err != nil {
		return Action{}, err
	}
	unbalanced, err := ParseUnbalanced(e.Unbalanced)
	if err != nil {
		return Action{}, err
	}
	a := Action{kind, Args{
		Actor: e.Actor, Name: e.Name, Weight: e.Weight, Owner: e.Owner, Address: e.Address, Node: e.Node,
		Measurement: e.Measurement, Note: e.Note, Replaces: e.Replaces, Platform: e.Platform,
		Debug: e.Debug, Remove: e.Remove,
		Policy: strings.ReplaceAll(e.Policy, "-", "_"), Expression: e.Expression, Setting: e.Setting, Force: force, Unbalanced: unbalanced, Epochs: e.Epochs, Service: e.Service,
		Issuer: e.Issuer, User: e.User, Token: e.Token, Before: e.Before,
	}}
	if a.Args.Issuer != nil {
		a.Args.Issuer.Complete()
	}
	if e.Certificate != "" {
		if a.Args.Certificate, err = certificate(e.Certificate); err != nil {
			return Action{}, a.invalid("certificate: %v", err)
		}
	}
	for i, text := range e.Certificates {
		der, err := certificate(text)
		if err != nil {
			return Action{}, a.invalid("certificates[%d]: %v", i, err)
		}
		a.Args.Certificates = append(a.Args.Certificates, der)
	}
	if e.EncryptionKey != "" {
		if a.Args.EncryptionKey, err = keys.ParsePublicKey([]byte(e.EncryptionKey)); err != nil {
			return Action{}, a.invalid("encryption_key: %v", err)
		}
	}
	if e.TEEPolicy != nil {
		if a.Args.TEEPolicy, err = TEEPolicy(e.TEEPolicy); err != nil {
			return Action{}, a.invalid("%v", err)
		}
	}
	if e.Value != nil {
		if a.Args.Value, err = Value(e.Setting, e.Value); err != nil {
			return Action{}, a.invalid("%v", err)
		}
	}
	return a, nil
}

// TEEPolicy returns the policy of a platform, an object, in the form of Args.TEEPolicy.
func TEEPolicy(v any) (string, error) {
	normal, err := settings.Value("tee", "policy", v)
	if err != nil {
		return "", err
	}
	object, ok := normal.(map[string]any)
	if !ok {
		return "", fmt.Errorf("%w: the policy of a platform: expected an object such as {\"minimum_security_version\": 7}, found %T", coco.ErrInvalid, v)
	}
	if len(object) == 0 {
		return "", nil
	}
	text, err := settings.JSON(object)
	return string(text), err
}

// Value returns the value of a setting in the form of Args.Value.
func Value(setting string, v any) (string, error) {
	normal, err := settings.Value("value", setting, v)
	if err != nil {
		return "", err
	}
	text, err := settings.JSON(normal)
	return string(text), err
}

func certificate(text string) ([]byte, error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || block.Type != "CERTIFICATE":
		return nil, errors.New("expected a PEM block CERTIFICATE")
	case strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("expected one certificate, found more after it")
	}
	return block.Bytes, nil
}

// Format writes actions as a file that Parse reads.
func Format(actions []Action) ([]byte, error) {
	var p page
	for _, a := range actions {
		x := &a.Args
		e := entry{
			Kind: strings.ReplaceAll(string(a.Kind), "_", "-"), Actor: x.Actor, Name: x.Name, Weight: x.Weight, Owner: x.Owner,
			Address: x.Address, Node: x.Node, Measurement: x.Measurement, Note: x.Note, Replaces: x.Replaces, Platform: x.Platform,
			Debug: x.Debug, Remove: x.Remove, Policy: x.Policy, Expression: x.Expression,
			Setting: x.Setting, Epochs: x.Epochs, Service: x.Service, Issuer: x.Issuer, User: x.User, Token: x.Token, Before: x.Before,
		}
		if x.Force {
			e.Force = ForceSentence
		}
		if x.Unbalanced {
			e.Unbalanced = UnbalancedSentence
		}
		if len(x.Certificate) > 0 {
			e.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Certificate}))
		}
		for _, der := range x.Certificates {
			e.Certificates = append(e.Certificates, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		}
		if len(x.EncryptionKey) > 0 {
			text, err := keys.MarshalPublicKey(x.EncryptionKey)
			if err != nil {
				return nil, err
			}
			e.EncryptionKey = string(text)
		}
		if x.TEEPolicy != "" {
			v, err := settings.Parse([]byte(x.TEEPolicy))
			if err != nil {
				return nil, err
			}
			e.TEEPolicy = plain(v)
		}
		if x.Value != "" {
			v, err := settings.Parse([]byte(x.Value))
			if err != nil {
				return nil, err
			}
			if !settings.FitsTOML(v) {
				return nil, a.invalid("TOML cannot say %s", x.Value)
			}
			e.Value = plain(v)
		}
		p.Actions = append(p.Actions, e)
	}
	return toml.Marshal(p)
}

// plain turns the numbers of JSON into those that TOML writes.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = plain(e)
		}
		return out
	}
	return v
}
