package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"strings"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
)

// Bounds of an ABI and of what is decoded by it.
const (
	maxEntries  = 512 // of an ABI
	maxInputs   = 32  // of a method or an event
	maxDepth    = 8   // of tuples in tuples
	maxElements = 256 // of a list that a policy looks at
)

// abi are the methods and events of a contract by which names are found.
type abi struct {
	methods map[[4]byte]*signature
	events  map[common.Hash]*signature
}

// signature is a method, or an event.
type signature struct {
	name   string
	inputs []input
}

// input is an argument. Those whose type is no plain one, such as a tuple, have no place among a policy's arguments.
type input struct {
	name    string
	typ     gethabi.Type // if plain
	plain   bool
	indexed bool
}

// octets reports whether the type is a list of uint8, which cannot be told from bytes once it is decoded.
func (in *input) octets() bool {
	return in.typ.Elem != nil && in.typ.Elem.T == gethabi.UintTy && in.typ.Elem.Size == 8
}

// entry is an entry of an ABI in JSON.
type entry struct {
	Type      string  `json:"type"`
	Name      string  `json:"name"`
	Inputs    []field `json:"inputs"`
	Anonymous bool    `json:"anonymous"`
}

type field struct {
	Name       string  `json:"name"`
	Type       string  `json:"type"`
	Indexed    bool    `json:"indexed"`
	Components []field `json:"components"`
}

// plain are the types of arguments that a policy sees: elementary types, and lists of them.
var plain = regexp.MustCompile(`^(address|bool|string|bytes([1-9]|[12][0-9]|3[0-2])?|u?int(8|16|24|32|40|48|56|64|72|80|88|96|104|112|120|128|136|144|152|160|168|176|184|192|200|208|216|224|232|240|248|256))(\[([1-9][0-9]?)?\])?$`)

var tuple = regexp.MustCompile(`^tuple((\[[0-9]{0,9}\])*)$`)

var nested = regexp.MustCompile(`^[a-z]+[0-9]{0,3}(\[[0-9]{0,9}\])*$`)

// parseABI reads an ABI in JSON; nothing is an ABI without names. The error is coco.ErrInvalid.
func parseABI(text []byte) (*abi, error) {
	out := &abi{map[[4]byte]*signature{}, map[common.Hash]*signature{}}
	if len(text) == 0 {
		return out, nil
	}
	var entries []entry
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&entries); err != nil {
		return nil, fmt.Errorf("%w: ABI: expected a list of methods and events, as compilers write it: %w", coco.ErrInvalid, err)
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("%w: ABI: %d entries, expected at most %d", coco.ErrInvalid, len(entries), maxEntries)
	}
	for i := range entries {
		e := &entries[i]
		if e.Type != "function" && e.Type != "event" || e.Anonymous {
			continue
		}
		s, hash, err := e.signature()
		if err != nil {
			return nil, fmt.Errorf("%w: ABI: %s %.64q: %w", coco.ErrInvalid, e.Type, e.Name, err)
		}
		if e.Type == "event" {
			out.events[hash] = s
		} else {
			out.methods[[4]byte(hash[:4])] = s
		}
	}
	return out, nil
}

// signature returns what is decoded by an entry, and the hash of its signature.
func (e *entry) signature() (*signature, common.Hash, error) {
	var none common.Hash
	if e.Name == "" || len(e.Inputs) > maxInputs {
		return nil, none, fmt.Errorf("expected a name and at most %d inputs, found %d", maxInputs, len(e.Inputs))
	}
	s := &signature{name: e.Name}
	var list []string
	for i := range e.Inputs {
		f := &e.Inputs[i]
		text, err := f.canonical(0)
		if err != nil {
			return nil, none, err
		}
		list = append(list, text)
		in := input{name: f.Name, indexed: f.Indexed}
		if plain.MatchString(f.Type) {
			if in.typ, err = gethabi.NewType(f.Type, "", nil); err != nil {
				return nil, none, err
			}
			in.plain = true
		}
		s.inputs = append(s.inputs, in)
	}
	return s, crypto.Keccak256Hash([]byte(e.Name + "(" + strings.Join(list, ",") + ")")), nil
}

// canonical is a type as signatures name it.
func (f *field) canonical(depth int) (string, error) {
	m := tuple.FindStringSubmatch(f.Type)
	switch {
	case plain.MatchString(f.Type):
		return f.Type, nil
	case m == nil && nested.MatchString(f.Type) && strings.HasSuffix(f.Type, "]") || f.Type == "function":
		return f.Type, nil
	case m == nil:
		return "", fmt.Errorf("input %.64q of type %.64q: expected a type of Solidity's ABI in its full form, such as uint256", f.Name, f.Type)
	case depth == maxDepth || len(f.Components) > maxInputs:
		return "", fmt.Errorf("input %.64q: a tuple is too deep, or has too many components", f.Name)
	}
	var list []string
	for i := range f.Components {
		text, err := f.Components[i].canonical(depth + 1)
		if err != nil {
			return "", err
		}
		list = append(list, text)
	}
	return "(" + strings.Join(list, ",") + ")" + m[1], nil
}

// method decodes a call: its name and arguments, as far as the ABI tells them.
func (a *abi) method(data []byte) (string, map[string]any) {
	s := a.methods[[4]byte(data[:4])]
	if s == nil {
		return "", map[string]any{}
	}
	return s.name, s.decode(s.inputs, data[4:], map[string]any{})
}

// event decodes a log.
func (a *abi) event(topics []common.Hash, data []byte) (string, map[string]any) {
	args := map[string]any{}
	if len(topics) == 0 {
		return "", args
	}
	s := a.events[topics[0]]
	if s == nil {
		return "", args
	}
	var inData []input
	at := 1
	for _, in := range s.inputs {
		if !in.indexed {
			inData = append(inData, in)
			continue
		}
		if at < len(topics) && in.name != "" && in.plain {
			args[in.name] = topicValue(&in.typ, topics[at])
		}
		at++
	}
	if at != len(topics) { // an event of this signature that indexes other fields, as ERC-20 and ERC-721 do
		return s.name, map[string]any{}
	}
	return s.name, s.decode(inData, data, args)
}

// topicValue is an indexed argument; of a type that does not fit into a topic it is the hash of the value.
func topicValue(t *gethabi.Type, topic common.Hash) any {
	switch t.T {
	case gethabi.StringTy, gethabi.BytesTy, gethabi.SliceTy, gethabi.ArrayTy:
		return hexutil.Encode(topic[:])
	}
	values, err := (gethabi.Arguments{{Type: *t}}).UnpackValues(topic[:])
	if err != nil || len(values) != 1 {
		return unreadable{}
	}
	return value(values[0])
}

// decode adds the arguments of plain types. What does not decode is absent: all of them, if there is a type among them that is not plain, because
// what follows it cannot be found.
func (s *signature) decode(inputs []input, data []byte, args map[string]any) map[string]any {
	var types gethabi.Arguments
	for _, in := range inputs {
		if !in.plain {
			return args
		}
		types = append(types, gethabi.Argument{Type: in.typ})
	}
	values, err := types.UnpackValues(data)
	if err != nil || len(values) != len(inputs) {
		return args
	}
	for i, in := range inputs {
		switch {
		case in.name == "":
		case in.octets():
			args[in.name] = unreadable{}
		default:
			args[in.name] = value(values[i])
		}
	}
	return args
}

// unreadable is a value that has no form in a policy: looking at it is an error.
type unreadable struct{}

// value is a decoded argument as a policy sees it.
func value(v any) any {
	switch v := v.(type) {
	case bool, string:
		return v
	case common.Address:
		return hexutil.Encode(v[:])
	case []byte:
		return hexutil.Encode(v)
	case *big.Int:
		if !v.IsInt64() {
			return unreadable{}
		}
		return v.Int64()
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int()
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return r.Uint()
	case reflect.Array:
		if r.Type().Elem() == reflect.TypeFor[byte]() && r.Len() <= common.HashLength {
			b := make([]byte, r.Len())
			reflect.Copy(reflect.ValueOf(b), r)
			return hexutil.Encode(b)
		}
		return elements(r)
	case reflect.Slice:
		return elements(r)
	}
	return unreadable{}
}

func elements(r reflect.Value) any {
	if r.Len() > maxElements {
		return unreadable{}
	}
	out := make([]any, r.Len())
	for i := range out {
		out[i] = value(r.Index(i).Interface())
	}
	return out
}
