package query

import (
	"strings"
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/policy"
)

func TestActionsAreSaidInSentences(t *testing.T) {
	n := govtest.New(t)
	c := n.Constitution()
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	member := c.Members[0]
	at := func(kind action.Kind, x action.Args) action.Action { return action.Action{Kind: kind, Args: x} }
	for _, x := range []struct {
		act  action.Action
		open bool
		want string
	}{
		{at(action.Set, action.Args{Setting: "limits.queue", Value: "5000000"}), true, "raise limits.queue from "},
		{at(action.Set, action.Args{Setting: "limits.queue", Value: "1"}), true, "lower limits.queue from "},
		{at(action.Set, action.Args{Setting: "limits.queue", Value: "5000"}), false, "set limits.queue to 5000"},
		{at(action.Set, action.Args{Setting: "adapters.kv.unheard", Value: "true"}), true, "set adapters.kv.unheard to true"},
		{at(action.RemoveMember, action.Args{Actor: member.Actor().String()}), true, "remove the member " + member.Name + ","},
		{at(action.AddParticipant, action.Args{Name: "delta"}), true, "add the participant delta"},
		{at(action.SetPolicy, action.Args{Policy: "add_code", Expression: policy.Unanimous}), false, "decide add-code by unanimous"},
		{at(action.SetPolicy, action.Args{Policy: "add_code", Expression: "votes.no == 0"}), false, `decide add-code by the expression "votes.no == 0"`},
		{at(action.RemoveOrigin, action.Args{Name: "https://app.example"}), true, "let pages of https://app.example ask nodes no more: their sessions do not count, also if the origin is added again"},
		{at(action.AddOrigin, action.Args{Name: "https://app.example"}), true, "let pages of https://app.example ask nodes in browsers, by sessions that their users sign in for from then on"},
		{at(action.RevokeAccess, action.Args{Actor: "bravo", User: "kim"}), true, "take access from the user kim of bravo, by whatever issuer or page"},
		{at(action.RevokeAccess, action.Args{Actor: "bravo", User: "kim", Remove: true}), true, "give access back to the user kim of bravo, by what is given from then on"},
		{at(action.RevokeAccess, action.Args{Actor: "bravo", User: "kim", Before: 1_700_000_000}), true, "let tokens and sessions of the user kim of bravo from before 2023-11-14T22:13:20Z count no more"},
		{at(action.RevokeAccess, action.Args{Actor: "bravo", Before: 1_700_000_000}), true, "let tokens and sessions of all users of bravo from before 2023-11-14T22:13:20Z count no more"},
		{at(action.RevokeAccess, action.Args{Name: "login", Before: 1_700_000_000}), true, "let tokens of the issuer login from before 2023-11-14T22:13:20Z count no more"},
		{at(action.RevokeAccess, action.Args{Name: "login", User: "kim"}), true, "take access from the user kim of the organisation of the issuer login, by whatever issuer or page"},
		{at(action.RevokeAccess, action.Args{Name: "login", Token: "t-1"}), true, "take access from whoever shows the token t-1 of the issuer login"},
		{at(action.RemoveMember, action.Args{Actor: "alpha", Force: true}), true, "remove the member alpha, with all its nodes, even if no vote can pass"},
	} {
		if got := summaryOf(c, x.open, []action.Action{x.act})[0]; !strings.HasPrefix(got, x.want) {
			t.Errorf("%s: %q, expected %q", x.act, got, x.want)
		}
	}
	seen := map[string]action.Kind{}
	for _, kind := range action.Kinds() {
		text := summaryOf(c, true, []action.Action{at(kind, action.Args{Actor: "bravo", Name: "delta", Owner: "bravo", Address: "a:1", Measurement: "virtual:1", Note: "note", Platform: "virtual", Policy: "set", Expression: "true", Setting: "limits.queue", Value: "5"})})[0]
		if text == dashed(string(kind)) || seen[text] != "" {
			t.Errorf("%s has no sentence of its own: %q", kind, text)
		}
		seen[text] = kind
	}
}
