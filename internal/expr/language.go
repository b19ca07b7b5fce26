package expr

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
)

// functions are what a policy may call, with all their overloads.
var functions = []string{
	operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional, operators.NotStrictlyFalse,
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
	operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
	operators.Index, operators.In,
	overloads.Size, overloads.Contains, overloads.StartsWith, overloads.EndsWith,
	overloads.TypeConvertInt, overloads.TypeConvertString,
}

// Macros are the macros of CEL that an expression may use.
func Macros() []string { return slices.Clone(macros) }

var macros = []string{operators.Has, operators.All, operators.Exists, operators.ExistsOne, "existsOne", operators.Filter}

// restrict refuses what CEL knows and policies must not do. Together the rules make sure that no
// value is larger than what went in: the cost that CEL counts for a step is then what it takes. (A
// list of a list, twice each, twenty times over, costs twenty steps to build and a million to
// compare, of which CEL counts one.)
func restrict(tree *cel.Ast) error {
	r := restriction{tree: tree.NativeRep()}
	ast.PreOrderVisit(r.tree.Expr(), ast.NewExprVisitor(r.visit))
	return r.err
}

type restriction struct {
	tree *ast.AST
	err  error // the first
}

func (r *restriction) refuse(e ast.Expr, format string, args ...any) {
	if r.err == nil {
		r.err = at(r.tree.SourceInfo().GetStartLocation(e.ID()), format, args...)
	}
}

func (r *restriction) visit(e ast.Expr) {
	switch e.Kind() {
	case ast.MapKind, ast.StructKind:
		r.refuse(e, "maps and messages cannot be written in a policy")
	case ast.ListKind:
		// The macro filter appends [x] to its result; one variable in a list makes nothing larger.
		elements := e.AsList().Elements()
		other := func(e ast.Expr) bool { return e.Kind() != ast.LiteralKind }
		variable := len(elements) == 1 && elements[0].Kind() == ast.IdentKind
		if !variable && slices.ContainsFunc(elements, other) {
			r.refuse(e, `a list in a policy consists of literals, such as ["alice", "bob"]`)
		}
	case ast.CallKind:
		r.call(e)
	}
}

func (r *restriction) call(e ast.Expr) {
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.Equals, operators.NotEquals:
		x, y := r.tree.GetType(call.Args()[0].ID()), r.tree.GetType(call.Args()[1].ID())
		if !scalar(x) && !scalar(y) {
			r.refuse(e, "%s and %s cannot be compared: one of the two must be known to be a number, a text or a bool (as string(x) is)", x, y)
		}
	case operators.Add:
		// Going through a sum of lists costs CEL one step an element, whatever the number of lists.
		x, y := r.tree.GetType(call.Args()[0].ID()), r.tree.GetType(call.Args()[1].ID())
		if !scalar(x) && !scalar(y) && !accumulates(call.Args()[0]) {
			r.refuse(e, "%s and %s cannot be added: one of the two must be known to be a number or a text (as string(x) is)", x, y)
		}
	case operators.In:
		x, in := r.tree.GetType(call.Args()[0].ID()), r.tree.GetType(call.Args()[1].ID())
		known := in.Kind() == types.ListKind && len(in.Parameters()) == 1 && scalar(in.Parameters()[0])
		if !scalar(x) && !known {
			r.refuse(e, "%s cannot be searched for in %s: it must be known to be a number, a text or a bool (as string(x) is)", x, in)
		}
	}
}

// accumulates reports whether an expression is the result so far of a macro. It has no spelling in a policy.
func accumulates(e ast.Expr) bool {
	return e.Kind() == ast.IdentKind && e.AsIdent() == parser.HiddenAccumulatorName
}

func scalar(t *types.Type) bool {
	switch t.Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.BytesKind, types.NullTypeKind:
		return true
	}
	return false
}
