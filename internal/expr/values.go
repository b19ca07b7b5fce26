package expr

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/cocoframework/coco"
)

// RecordType is a type with named fields, so that a misspelt field is an error when an expression is
// compiled and not when it is needed. It MUST NOT be modified.
type RecordType struct {
	CEL    *types.Type
	Fields []Field
}

// Field is a field of a RecordType.
type Field struct {
	Name string
	Type *types.Type
}

// NewType returns a type of records.
func NewType(name string, fields ...Field) *RecordType {
	return &RecordType{types.NewObjectType("coco."+name, traits.FieldTesterType|traits.IndexerType), fields}
}

// record is a value of a RecordType.
type record struct {
	typ    *RecordType
	values []ref.Val // in the order of the type's fields
}

// Of returns a record: its values are in the order of the fields, all of them.
func (t *RecordType) Of(values ...ref.Val) *record {
	if len(values) != len(t.Fields) {
		panic(fmt.Sprintf("%s has %d fields, not %d", t.CEL, len(t.Fields), len(values)))
	}
	return &record{t, values}
}

func (t *RecordType) index(name string) int {
	return slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
}

// Get implements traits.Indexer.
func (r *record) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	if i := r.typ.index(string(name)); i >= 0 {
		return r.values[i]
	}
	return types.NewErr("no such field: %s", name)
}

// IsSet implements traits.FieldTester.
func (r *record) IsSet(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	return types.Bool(ok && r.typ.index(string(name)) >= 0)
}

// Equal implements ref.Val. The check of a policy lets no records be compared.
func (r *record) Equal(ref.Val) ref.Val { return types.NewErr("a %s cannot be compared", r.typ.CEL) }

// Type implements ref.Val.
func (r *record) Type() ref.Type { return r.typ.CEL }

// Value implements ref.Val.
func (r *record) Value() any { return r }

// ConvertToNative implements ref.Val.
func (r *record) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s cannot become a %s", r.typ.CEL, t)
}

// ConvertToType implements ref.Val.
func (r *record) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a %s cannot become a %s", r.typ.CEL, t.TypeName())
}

// provider tells CEL about the record types, and about nothing else.
type provider struct{ records []*RecordType }

func (p provider) find(name string) *RecordType {
	for _, t := range p.records {
		if t.CEL.TypeName() == name {
			return t
		}
	}
	return nil
}

// EnumValue implements types.Provider.
func (provider) EnumValue(name string) ref.Val { return types.NewErr("unknown enum name '%s'", name) }

// FindIdent implements types.Provider.
func (provider) FindIdent(string) (ref.Val, bool) { return nil, false }

// FindStructType implements types.Provider.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if t := p.find(name); t != nil {
		return types.NewTypeTypeWithParam(t.CEL), true
	}
	return nil, false
}

// FindStructFieldNames implements types.Provider.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	t := p.find(name)
	if t == nil {
		return nil, false
	}
	var names []string
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	return names, true
}

// FindStructFieldType implements types.Provider.
func (p provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	t := p.find(name)
	if t == nil {
		return nil, false
	}
	i := t.index(fieldName)
	if i < 0 {
		return nil, false
	}
	return &types.FieldType{
		Type:  t.Fields[i].Type,
		IsSet: func(any) bool { return true },
		GetFrom: func(target any) (any, error) {
			if r, ok := target.(*record); ok && r.typ == t {
				return r.values[i], nil
			}
			return nil, fmt.Errorf("found a %T, expected a %s", target, name)
		},
	}, true
}

// NewValue implements types.Provider.
func (provider) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("a %s cannot be made", name)
}

// MaxText bounds a text that a policy looks at. CEL counts its characters for each comparison, which
// it prices by the shorter side.
const MaxText = 1 << 10

// Adapter turns what a constitution and an action consist of into values of CEL, when they are
// looked at. Whole numbers are int in CEL, whatever they are in Go, so that a policy can compare
// them with what it writes.
type Adapter struct{}

// NativeToValue implements types.Adapter.
func (a Adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case ref.Val:
		return v
	case bool:
		return types.Bool(v)
	case string:
		if len(v) > MaxText {
			return types.NewErr("a text of %d bytes, a policy can look at %d", len(v), MaxText)
		}
		return types.String(v)
	case coco.Measurement:
		return types.String(v)
	case coco.Digest:
		return types.String(v.String())
	case int:
		return types.Int(v)
	case int64:
		return types.Int(v)
	case uint64:
		return Integer(v)
	case float64:
		return types.Double(v)
	case []string:
		return list(v)
	case []any:
		return list(v)
	case []map[string]any:
		return list(v)
	case map[string]any:
		return &sortedMap{Mapper: types.NewStringInterfaceMap(a, v), m: v, values: map[string]ref.Val{}}
	}
	return types.NewErr("a value of Go type %T has no form in a policy", v)
}

// Integer is a whole number as CEL sees it: an int, or an error if it is larger than one.
func Integer(v uint64) ref.Val {
	if v > math.MaxInt64 {
		return types.NewErr("%d is larger than an int", v)
	}
	return types.Int(v)
}

func list[T any](v []T) ref.Val {
	elements := make([]ref.Val, 0, len(v))
	for _, e := range v {
		elements = append(elements, Adapter{}.NativeToValue(e))
	}
	return types.NewRefValList(Adapter{}, elements)
}

// sortedMap is a map whose keys come in order, where Go would shuffle them. It remembers what it was
// asked for: CEL counts one step for a field, and one for the beginning of an iteration. It belongs
// to one evaluation.
type sortedMap struct {
	traits.Mapper
	m      map[string]any
	values map[string]ref.Val // those asked for
	keys   ref.Val            // sorted, once they are needed
}

// Find implements traits.Mapper.
func (s *sortedMap) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return s.Mapper.Find(key)
	}
	if v, ok := s.values[string(name)]; ok {
		return v, true
	}
	native, ok := s.m[string(name)]
	if !ok {
		return nil, false
	}
	v := Adapter{}.NativeToValue(native)
	s.values[string(name)] = v
	return v, true
}

// Get implements traits.Indexer.
func (s *sortedMap) Get(key ref.Val) ref.Val {
	if v, ok := s.Find(key); ok {
		return v
	}
	return s.Mapper.Get(key) // the error
}

// Iterator implements traits.Iterable.
func (s *sortedMap) Iterator() traits.Iterator {
	if s.keys == nil {
		s.keys = list(slices.Sorted(maps.Keys(s.m)))
	}
	return s.keys.(traits.Iterable).Iterator()
}

// Equal implements ref.Val. The check of a policy lets no maps be compared.
func (s *sortedMap) Equal(ref.Val) ref.Val { return types.NewErr("a map cannot be compared") }
