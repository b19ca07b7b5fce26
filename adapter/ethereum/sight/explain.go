package sight

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/access"
)

// Supposed is a caller that is not there: what it would be answered is explained. It has the addresses that are said, and not those that are linked
// to it: an explanation tells nothing of others' links.
type Supposed struct {
	Caller    coco.Caller
	Addresses []common.Address
}

// Explanation says what a caller is answered to a question, by which rule, and why if that is not plain.
type Explanation struct {
	Admitted bool   `json:"admitted"`
	Rule     string `json:"rule"`
	Why      string `json:"why,omitempty"`
}

// Explain says what a caller would be answered to a question, on the newest state. It asks the rules in the order in which every other answer
// does. The view may be that of anybody; whether who asks may know it is not for Explain to decide.
func (s *Sights) Explain(ctx context.Context, v *View, as *Supposed, q access.Ask) Explanation {
	in := s.ledger.Settings()
	switch {
	case !in.Closed():
		return Explanation{true, "the network", "it is open: every caller sees everything"}
	case auditor(in, &as.Caller):
		return Explanation{true, "the network", "the caller is an auditor (the setting auditors)"}
	case system[q.Contract]:
		return Explanation{true, "the network", "it is a contract of the rules of Ethereum"}
	}
	now := v.raw
	if v.eyes != nil {
		now = v.eyes.now
	}
	e := s.eyesOf(in, now, &as.Caller)
	e.given = append([]common.Address{}, as.Addresses...)
	p := purse{left: ruleGas, each: ruleGas}
	code, contract := e.code(q.Contract)
	switch {
	case !contract:
		return Explanation{e.owns(q.Contract), byNone, "there is no contract at the address: its owner alone sees it"}
	case stateless[code]:
		return Explanation{true, "the network", "it is a predeploy that keeps no state"}
	case q.Question <= access.Code && e.owns(q.Contract): // code that it delegates to (EIP-7702)
		return Explanation{true, "the account", "the caller owns it"}
	case q.Question == access.Receipt && (e.owns(q.From) || e.owns(q.Contract)):
		return Explanation{true, "the transaction", "the caller is a party of it"}
	}
	if q.Question == access.Event {
		q.Visible = q.Visible || e.owns(q.From)
	}
	answer, is := e.rules.decide(ctx, &q, nil, &p)
	out := Explanation{Admitted: answer == access.Admitted, Rule: is.rule}
	if is.why != nil {
		out.Why = is.why.Error()
	}
	if used := p.each - p.left; used > leastShare && q.Question >= access.Event {
		out.Why = join(out.Why, fmt.Sprintf("the answer takes %d gas: for a transaction that has used little it is a no (%d times what it has used is there for the rules of its contracts, and at least %d)", used, shareOfUsed, leastShare))
	}
	if answer != access.Silent {
		return out
	}
	switch q.Question {
	case access.Event:
		out.Admitted = q.Visible
		out.Why = join(out.Why, "an event that no rule decides about is shown with its transaction")
	case access.Receipt:
		out.Why = join(out.Why, "a transaction that no rule decides about is shown to its parties alone")
	default:
		out.Why = join(out.Why, "without a rule nobody is admitted to a contract")
	}
	return out
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
