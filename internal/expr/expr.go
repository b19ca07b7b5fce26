// Package expr evaluates expressions of CEL, the Common Expression Language, that members and developers write and that every node must
// come to the same end with, soon. A [Language] names what its expressions see; all of them have the same bounds.
//
// They have CEL's operators; the macros has, all, exists, exists_one and filter; and the functions size, contains, startsWith, endsWith, int
// and string. They have not what could make two nodes disagree, or a small text take long: clocks and time zones, regular expressions, the iteration
// of a map in no order (these maps are sorted), the macro map, literals of maps and messages, lists of anything but literals, and the comparison of
// whole lists and maps. With that, no value is larger than what went in, and a limit on the cost of an evaluation bounds its time.
//
// Trust: enclave
package expr

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/cocoframework/coco"
)

// Bounds of an expression.
const (
	MaxBytes = 4 << 10 // of its text
	// MaxCost bounds one evaluation, in CEL's units: about one for each step. What a step costs is part of what all nodes have to
	// agree on: a release that changes it, with cel-go, changes the outcome of expressions near the limit.
	MaxCost  = 200_000
	maxDepth = 64 // of nested expressions
	maxNodes = 4096
)

// Language is what expressions of one kind see. It MUST NOT be modified once it compiles; then it is safe for concurrent use.
type Language struct {
	Records   []*RecordType
	Variables []cel.EnvOption
	Example   string // of an expression, for messages
	Means     string // what true means, for messages
	MaxCost   uint64 // of one evaluation; 0 is MaxCost of the package

	once sync.Once
	env  *cel.Env
	err  error
}

// environment is what every expression is compiled in. It never changes.
func (l *Language) environment() (*cel.Env, error) {
	l.once.Do(func() {
		subset := env.NewLibrarySubset().AddIncludedMacros(macros...)
		for _, name := range functions {
			subset.AddIncludedFunctions(env.NewFunction(name))
		}
		l.env, l.err = cel.NewCustomEnv(append([]cel.EnvOption{
			cel.CustomTypeAdapter(Adapter{}),
			cel.CustomTypeProvider(provider{l.Records}),
			cel.StdLib(cel.StdLibSubset(subset)),
			cel.ParserRecursionLimit(maxDepth),
			cel.ExpressionNodeLimit(maxNodes),
			cel.ParserErrorRecoveryLimit(4),
			cel.ParserExpressionSizeLimit(MaxBytes),
		}, l.Variables...)...)
	})
	return l.env, l.err
}

// limit is what one evaluation may cost.
func (l *Language) limit() uint64 {
	if l.MaxCost == 0 {
		return MaxCost
	}
	return l.MaxCost
}

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct {
	Program cel.Program // for inputs of which a part is not known; else see Decide
	text    string
	tree    *cel.Ast
	limit   uint64
}

// String returns the text.
func (x *Expression) String() string { return x.text }

// Decide evaluates the expression, and says what that cost. The result depends on the variables alone. An error, which is coco.ErrInvalid, means that
// there is no answer: a field that is not there, a division by zero, a cost above the limit.
func (x *Expression) Decide(variables map[string]any) (bool, uint64, error) {
	out, details, err := x.Program.Eval(variables)
	cost := x.limit // if the library does not say
	if details != nil && details.ActualCost() != nil {
		cost = *details.ActualCost()
	}
	if cost > x.limit {
		err = fmt.Errorf("it takes more than %d steps", x.limit)
	}
	if err == nil {
		if b, ok := out.(types.Bool); ok {
			return bool(b), cost, nil
		}
		err = errors.New("the result is no bool")
	}
	return false, cost, fmt.Errorf("%w: policy %.80q: %v", coco.ErrInvalid, x.text, err)
}

// Texts calls fn with each text that is written in the expression.
func (x *Expression) Texts(fn func(string)) {
	ast.PreOrderVisit(x.tree.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.LiteralKind {
			if text, ok := e.AsLiteral().(types.String); ok {
				fn(string(text))
			}
		}
	}))
}

// Names reports whether the expression refers to a variable.
func (x *Expression) Names(variable string) (found bool) {
	ast.PreOrderVisit(x.tree.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.IdentKind && e.AsIdent() == variable
	}))
	return found
}

// Compile checks an expression of type bool and prepares it. The error is coco.ErrInvalid and says the position,
// "line:column", of what is wrong.
func (l *Language) Compile(text string) (*Expression, error) {
	switch {
	case len(text) > MaxBytes:
		return nil, fmt.Errorf("%w: policy: %d bytes, expected at most %d", coco.ErrInvalid, len(text), MaxBytes)
	case !utf8.ValidString(text):
		return nil, fmt.Errorf("%w: policy: the text is not UTF-8", coco.ErrInvalid)
	case strings.TrimSpace(text) == "":
		return nil, fmt.Errorf("%w: policy: expected an expression, such as %s", coco.ErrInvalid, l.Example)
	}
	env, err := l.environment()
	if err != nil {
		return nil, fmt.Errorf("CEL: %w", err)
	}
	tree, issues := env.Compile(text)
	if err := l.problems(env, text, issues); err != nil {
		return nil, err
	}
	if err := restrict(tree); err != nil {
		return nil, err
	}
	if t := tree.OutputType(); !t.IsExactType(types.BoolType) {
		return nil, fmt.Errorf("%w: policy: 1:1: the expression is of type %s, expected bool: %s", coco.ErrInvalid, t, l.Means)
	}
	// Optimized, a list of literals is built once; otherwise every time, at the price of one step.
	program, err := env.Program(tree, cel.CostTracking(prices{}), cel.CostLimit(l.limit()), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("%w: policy: %v", coco.ErrInvalid, err)
	}
	return &Expression{program, text, tree, l.limit()}, nil
}

// prices are those that CEL has not: a search in a list is one step if the list's type is not known
// before.
type prices struct{}

// CallCost implements cost.ActualCostEstimator.
func (prices) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	if function != operators.In || len(args) != 2 {
		return nil
	}
	list, ok := args[1].(traits.Lister)
	if !ok {
		return nil
	}
	n, ok := list.Size().(types.Int)
	if !ok {
		return nil
	}
	price := uint64(max(n, 1))
	return &price
}

// problems returns the first of CEL's complaints; the others often follow from it.
func (l *Language) problems(env *cel.Env, text string, issues *cel.Issues) error {
	if issues.Err() == nil {
		return nil
	}
	errs := issues.Errors()
	if len(errs) == 0 {
		return fmt.Errorf("%w: policy: %v", coco.ErrInvalid, issues.Err())
	}
	first := errs[0]
	more := ""
	if names := l.expected(env, text, first.ExprID); len(names) > 0 {
		more = ": expected one of " + strings.Join(names, ", ")
	}
	if n := len(errs) - 1; n > 0 {
		more += fmt.Sprintf(" (and %d more)", n)
	}
	return at(first.Location, "%s%s", strings.ReplaceAll(first.Message, " (in container '')", ""), more)
}

// expected returns the names that can stand where an expression of a text, by its id, has one that is unknown. It is empty if the complaint is about
// something else.
func (l *Language) expected(env *cel.Env, text string, id int64) (names []string) {
	tree, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil
	}
	variables := map[string]*types.Type{}
	for _, v := range env.Variables() {
		variables[v.Name()] = v.Type()
	}
	ast.PreOrderVisit(tree.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case e.ID() != id:
		case e.Kind() == ast.IdentKind && variables[e.AsIdent()] == nil:
			for _, v := range env.Variables() {
				names = append(names, v.Name())
			}
			slices.Sort(names)
		case e.Kind() == ast.SelectKind:
			if r := l.recordOf(e.AsSelect().Operand(), variables); r != nil && r.index(e.AsSelect().FieldName()) < 0 {
				for _, f := range r.Fields {
					names = append(names, f.Name)
				}
			}
		case e.Kind() == ast.CallKind && !slices.Contains(functions, e.AsCall().FunctionName()):
			for _, f := range slices.Concat(macros, functions) {
				if identifier.MatchString(f) && f != operators.NotStrictlyFalse {
					names = append(names, f)
				}
			}
		}
	}))
	return names
}

var identifier = regexp.MustCompile(`^[a-z][A-Za-z_]*$`)

// recordOf returns the type of an expression that is a variable, or a field of one; nil if it is no record.
func (l *Language) recordOf(e ast.Expr, variables map[string]*types.Type) *RecordType {
	var t *types.Type
	switch e.Kind() {
	case ast.IdentKind:
		t = variables[e.AsIdent()]
	case ast.SelectKind:
		if r := l.recordOf(e.AsSelect().Operand(), variables); r != nil {
			if i := r.index(e.AsSelect().FieldName()); i >= 0 {
				t = r.Fields[i].Type
			}
		}
	}
	if t == nil {
		return nil
	}
	return provider{l.Records}.find(t.TypeName())
}

func at(loc common.Location, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if loc.Line() < 1 { // about the expression as a whole
		return fmt.Errorf("%w: policy: %s", coco.ErrInvalid, text)
	}
	return fmt.Errorf("%w: policy: %d:%d: %s", coco.ErrInvalid, loc.Line(), loc.Column()+1, text)
}
