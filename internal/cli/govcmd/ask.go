package govcmd

import (
	"context"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/visible"
	"github.com/cocoframework/coco/wire"
)

// askToVote shows what a vote is about and asks whether to cast it. All of it goes to the standard error, so that the
// standard output is what it is without a question. The error is coco.ErrInvalid if the answer is not yes.
func (a *app) askToVote(ctx context.Context, o *officer.Officer, p wire.Proposal, vote envelope.Vote) error {
	w := a.Err
	w.Printf("%s, proposed by %s, voting ends %s\n", a.sentence(p.State, p, p.Reason), visible.Text(p.ProposerName), moment(p.Expires, time.Now()))
	for _, sentence := range p.Summary {
		w.Printf("  - %s\n", visible.Text(sentence))
	}
	if len(p.Summary) == 0 {
		w.Printf("%s", indent(p.Actions)) // a node of an older build
	}
	if p.Note != "" {
		w.Printf("  note: %s\n", visible.Text(p.Note))
	}
	if vote == envelope.Yes {
		a.foretell(ctx, o, p)
	}
	question := fmt.Sprintf("Vote %s on proposal %s?", vote, numberOf(p.Number))
	if vote == envelope.Withdraw {
		question = fmt.Sprintf("Withdraw proposal %s? This cannot be undone.", numberOf(p.Number))
	}
	sure, err := a.Ask(question)
	if err != nil {
		return err
	}
	if !sure {
		return fmt.Errorf("%w: nothing was signed: the answer was not yes", coco.ErrInvalid)
	}
	return nil
}

// foretell says what would follow if the proposal were accepted, and whether one more yes can be enough. What it cannot
// learn it leaves out.
func (a *app) foretell(ctx context.Context, o *officer.Officer, p wire.Proposal) {
	s, err := o.Simulate(ctx, []byte(p.Actions))
	if err != nil {
		a.Err.Printf("  %s it could not be simulated: %s\n", a.Err.Bold("!"), err)
		return
	}
	for _, c := range s.Consequences {
		a.Err.Printf("  %s from then on, %s\n", a.Err.Bold("!"), c.Text)
	}
	for _, text := range s.Warnings {
		a.Err.Printf("  %s %s\n", a.Err.Bold("!"), text)
	}
	if next := p.Yes + 1; next < len(s.ByYes) && s.ByYes[next] {
		a.Err.Printf("  %s one more yes can decide: it then takes effect at once, and only another proposal can undo it\n", a.Err.Bold("!"))
	}
}
