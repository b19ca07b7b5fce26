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
		c := govtest.New(t).Constitution()
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

func said(c *constitution.Constitution) string {
	var all []string
	for _, p := range Powers(c) {
		all = append(all, p.Text)
	}
	return strings.Join(all, "; ")
}
