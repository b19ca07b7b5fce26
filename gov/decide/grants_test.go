package decide_test

import (
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

func grant(t *testing.T, auditor *govtest.Org, key *keys.MemberKey, epochs string) action.Action {
	t.Helper()
	return govtest.Act(action.GrantEpochs, action.Args{Name: "Audit Partners", Certificate: auditor.Cert.Raw, EncryptionKey: key.Public(), Epochs: epochs})
}

// The vote changes nothing of the constitution. It leaves a row, which names the auditor, its key and the epochs, and audits repeat it.
func TestMembersLetAnAuditorReadEpochs(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	n.Decide(action.Action{Kind: action.Rotate})
	auditor := govtest.Issue(t, "auditor", nil, true, nil)
	key, err := keys.NewMemberKey(keys.XWing)
	if err != nil {
		t.Fatal(err)
	}
	for i, epochs := range []string{"1-2", "2"} {
		out := n.Decide(grant(t, auditor, key, epochs))
		if out.State != table.Accepted || len(out.Effects) != 1 || out.Effects[0].Kind != decide.EpochsGranted || out.Version != 1 || out.Rotates() {
			t.Fatalf("the proposal is %s, effects %v", out.State, out.Effects)
		}
		n.Read(func(r store.Reader) {
			all, err := table.Grants(r)
			if err != nil || len(all) != i+1 {
				t.Fatalf("%d grants, %v", len(all), err)
			}
			g := all[i]
			if g.Number != uint64(i+1) || g.Proposal != out.ID || g.Auditor != auditor.Actor() || string(g.To) != string(key.Public()) || action.RangeText(g.First, g.Last) != epochs || g.Since != uint64(len(n.Records)) {
				t.Errorf("grant %+v", g)
			}
			if other := auditor.Encryption.Public(); !g.Covers(g.To, 2) || g.Covers(g.To, 3) || g.Covers(other, 2) || g.Covers(g.To, 1) != (i == 0) {
				t.Error("it covers other epochs or keys")
			}
		})
	}
	if _, err := n.Submit(n.SignProposal(n.Members[0], grant(t, auditor, key, "2-3"))); reasonOf(err) != reason.UnknownEpoch {
		t.Errorf("an epoch that is not there yet: error %v, expected %s", err, reason.UnknownEpoch)
	}
	for epochs, want := range map[string]reason.Code{"5-1004": reason.UnknownEpoch, "5-1005": reason.TooManyEpochs} {
		if _, err := n.Submit(n.SignProposal(n.Members[0], grant(t, auditor, key, epochs))); reasonOf(err) != want {
			t.Errorf("epochs %s: error %v, expected %s", epochs, err, want)
		}
	}
	n.Audited(first)
}

func TestByRules2NoVoteGrantsEpochs(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	n.C.Rules = 2
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	auditor := govtest.Issue(t, "auditor", nil, true, nil)
	if _, err := n.Submit(n.SignProposal(n.Members[0], grant(t, auditor, auditor.Encryption, "1"))); reasonOf(err) != reason.LaterKind {
		t.Errorf("error %v, expected that it is a kind of later rules", err)
	}
}
