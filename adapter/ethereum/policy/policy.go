// Package policy is the language of policies that decide who may see what of an Ethereum contract: expressions of CEL in bounds (package
// internal/expr) over who asks, what is asked, and what a method's or an event's arguments are.
//
//	question == "call" && method.name == "balanceOf" && method.args.account in caller.addresses
//
// The variables are
//
//	caller     actor (the organisation's id), name (of the organisation), role, user ("" is the organisation itself), addresses (those linked to
//	           it), topics (the same addresses, as topics of events hold them). A contract whose own rule calls this one has its address alone
//	question   "call", "state", "code", "event" or "receipt"
//	contract   the contract's address
//	method     of a call or a receipt: selector, name, args. All are empty if the call comes from another contract or has no selector
//	event      of an event: name, topics (list), args
//	tx         of an event or a receipt: from (who sent the transaction), visible (whether the caller sees the transaction anyway)
//
// Addresses, hashes, selectors and bytes are texts: 0x and hexadecimal digits in small letters. Names and args are there if the contract's ABI
// is given. A whole number that is larger than an int of 64 bits, and a text of more than 1 KiB, is an error for a policy that looks at it. A
// policy without an answer, because of an error, admits nobody.
//
// Trust: either
package policy

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/expr"
)

// Bounds of a policy.
const (
	MaxBytes = expr.MaxBytes // of its expression
	MaxABI   = 32 << 10      // bytes of the ABI, without white space
	MaxCost  = 10_000        // of one answer, in CEL's units
)

var (
	anything   = types.NewMapType(types.StringType, types.DynType)
	texts      = types.NewListType(types.StringType)
	callerType = expr.NewType("caller",
		expr.Field{Name: "actor", Type: types.StringType}, expr.Field{Name: "name", Type: types.StringType}, expr.Field{Name: "role", Type: types.StringType},
		expr.Field{Name: "user", Type: types.StringType}, expr.Field{Name: "addresses", Type: texts}, expr.Field{Name: "topics", Type: texts})
	methodType = expr.NewType("method",
		expr.Field{Name: "selector", Type: types.StringType}, expr.Field{Name: "name", Type: types.StringType}, expr.Field{Name: "args", Type: anything})
	eventType = expr.NewType("event",
		expr.Field{Name: "name", Type: types.StringType}, expr.Field{Name: "topics", Type: texts}, expr.Field{Name: "args", Type: anything})
	txType = expr.NewType("tx",
		expr.Field{Name: "from", Type: types.StringType}, expr.Field{Name: "visible", Type: types.BoolType})

	records = []*expr.RecordType{callerType, methodType, eventType, txType}
)

// language is what every policy is compiled in.
var language = &expr.Language{
	Records: records,
	Variables: []cel.EnvOption{
		cel.Variable("caller", callerType.CEL),
		cel.Variable("question", types.StringType),
		cel.Variable("contract", types.StringType),
		cel.Variable("method", methodType.CEL),
		cel.Variable("event", eventType.CEL),
		cel.Variable("tx", txType.CEL),
	},
	Example: `question == "call" && caller.name == "acme"`, Means: "true if the caller is admitted", MaxCost: MaxCost,
}

// Text is a policy as its author writes it.
type Text struct {
	Policy string          `json:"policy"`
	ABI    json.RawMessage `json:"abi,omitempty"` // of the contract, as compilers write it; empty: without names
}

// Policy is a compiled Text. It is safe for concurrent use.
type Policy struct {
	code   *expr.Expression
	abi    *abi
	method bool // it looks at the method
	event  bool
}

// Compact checks the size of a text and removes the white space of its ABI. The error is coco.ErrInvalid.
func (t Text) Compact() (Text, error) {
	if len(t.ABI) == 0 || string(t.ABI) == "null" {
		t.ABI = nil
		return t, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, t.ABI); err != nil {
		return t, fmt.Errorf("%w: ABI: %w", coco.ErrInvalid, err)
	}
	if b.Len() > MaxABI {
		return t, fmt.Errorf("%w: ABI: %d bytes without white space, expected at most %d: leave out what the policy does not name", coco.ErrInvalid, b.Len(), MaxABI)
	}
	t.ABI = b.Bytes()
	return t, nil
}

// Compile checks a text and prepares it. The error is coco.ErrInvalid and says what is wrong, and where.
func Compile(t Text) (*Policy, error) {
	t, err := t.Compact()
	if err != nil {
		return nil, err
	}
	code, err := language.Compile(t.Policy)
	if err != nil {
		return nil, err
	}
	code.Texts(func(text string) {
		if digits, is := strings.CutPrefix(strings.ToLower(text), "0x"); is && err == nil && text != "0x"+digits {
			if _, no := hex.DecodeString(digits); no == nil {
				err = fmt.Errorf("%w: policy: %q would never be found: write hexadecimal digits in small letters, as %q", coco.ErrInvalid, text, "0x"+digits)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	names, err := parseABI(t.ABI)
	if err != nil {
		return nil, err
	}
	return &Policy{code, names, code.Names("method"), code.Names("event")}, nil
}

// Caller is who asks; a contract that asks has an address alone. It MUST NOT be modified once it is asked about, nor used by two goroutines at once.
type Caller struct {
	Actor     string
	Name      string
	Role      coco.Role
	User      string
	Addresses []common.Address // linked to it

	record ref.Val // as policies see it
}

func (c *Caller) value() ref.Val {
	if c.record == nil {
		addresses, topics := make([]ref.Val, len(c.Addresses)), make([]ref.Val, len(c.Addresses))
		for i, a := range c.Addresses {
			addresses[i], topics[i] = hexText(a[:]), hexText(common.BytesToHash(a[:]).Bytes())
		}
		c.record = callerType.Of(types.String(c.Actor), types.String(c.Name), types.String(c.Role), types.String(c.User), list(addresses), list(topics))
	}
	return c.record
}

// Facts are what is asked.
type Facts struct {
	Question string
	Contract common.Address
	Input    []byte        // of a call or a receipt
	Topics   []common.Hash // of an event
	Data     []byte        // of an event
	From     common.Address
	Visible  bool // the caller sees the transaction anyway
}

// Answer says whether the policy admits a caller, and what it cost to find out, in CEL's units. The error is coco.ErrInvalid: there is no answer, and
// nobody is admitted.
func (p *Policy) Answer(c *Caller, f *Facts) (bool, uint64, error) {
	from := types.String("")
	if f.Question == "event" || f.Question == "receipt" {
		from = hexText(f.From[:])
	}
	return p.code.Decide(map[string]any{
		"caller": c.value(), "question": types.String(f.Question), "contract": hexText(f.Contract[:]), "method": p.methodOf(f), "event": p.eventOf(f),
		"tx": txType.Of(from, types.Bool(f.Visible)),
	})
}

// methodOf is the method of a call or a receipt, which is only decoded for a policy that looks at it.
func (p *Policy) methodOf(f *Facts) ref.Val {
	selector, name, args := types.String(""), "", map[string]any{}
	if p.method && len(f.Input) >= 4 {
		selector = hexText(f.Input[:4])
		name, args = p.abi.method(f.Input)
	}
	return methodType.Of(selector, types.String(name), expr.Adapter{}.NativeToValue(args))
}

// eventOf is the same for an event.
func (p *Policy) eventOf(f *Facts) ref.Val {
	var topics []ref.Val
	name, args := "", map[string]any{}
	if p.event && f.Question == "event" {
		for i := range f.Topics {
			topics = append(topics, hexText(f.Topics[i][:]))
		}
		name, args = p.abi.event(f.Topics, f.Data)
	}
	return eventType.Of(types.String(name), list(topics), expr.Adapter{}.NativeToValue(args))
}

func list(values []ref.Val) ref.Val { return types.NewRefValList(expr.Adapter{}, values) }

func hexText(b []byte) types.String { return types.String(hexutil.Encode(b)) }
