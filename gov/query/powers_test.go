package query

import (
	"strings"
	"testing"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
)

// Whoever reads a constitution for the first time is told what single members could do by it.
func TestAConstitutionSaysWhatSingleMembersCouldDo(t *testing.T) {
	texts := func(policies map[string]string) string {
		c := govtest.New(t).XWing().Constitution()
		c.Policies = policies
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		return said(c)
	}
	for want, policies := range map[string]map[string]string{
		"": {"default": "votes.yes == members.size()", "add_node": constitution.AutomaticAddNode},
		"anybody could admit nodes, without a vote":                                             {"default": "votes.yes == members.size()", "add_node": "true"},
		"any member alone could remove any member and take a certificate from any organisation": {"default": "votes.yes == members.size()", "add_node": "votes.yes == members.size()", "remove_member": "votes.yes >= 1"},
		"any member alone could do anything":                                                    {"default": "votes.yes >= 1", "add_node": "votes.yes >= 1"},
	} {
		if got := texts(policies); got != want {
			t.Errorf("%v: %q, expected %q", policies, got, want)
		}
	}
}

// It warns of keys that a quantum computer opens, if there are as many as open the ledger.
func TestAConstitutionSaysWhatAQuantumComputerCouldOpen(t *testing.T) {
	n := govtest.New(t).XWing()
	weak := govtest.New(t).Members // by X25519
	for i, want := range []string{"", "", "the encryption keys of alpha and beta are for X25519, and 2 members open it", "alpha, beta and gamma"} {
		if i > 0 {
			n.Members[i-1].Encryption = weak[i-1].Encryption
		}
		c := n.Constitution()
		c.Policies = map[string]string{"default": "votes.yes == members.size()"}
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		if got := said(c); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("with %d keys for X25519: %q, expected %q", i, got, want)
		}
	}
}

func said(c *constitution.Constitution) string {
	var all []string
	for _, p := range Powers(c) {
		all = append(all, p.Text)
	}
	return strings.Join(all, "; ")
}
