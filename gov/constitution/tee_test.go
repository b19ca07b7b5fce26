package constitution_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
)

// teePage is the example constitution with other lines in the entry of its TEE.
func teePage(t *testing.T, lines string) []byte {
	t.Helper()
	page, err := os.ReadFile("testdata/constitution.toml")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.Replace(string(page), "[[tee]]\nplatform = \"virtual\"\n", "[[tee]]\nplatform = \"virtual\"\n"+lines, 1))
}

func TestTEEPolicyIsWhatTheTOMLSaysBesides(t *testing.T) {
	for _, c := range []struct{ lines, policy, fault string }{
		{"", "", ""},
		{"debug = true\n", "", ""},
		{"minimum_security_version = 7\n", `{"minimum_security_version":7}`, ""},
		{"vmpl = 0\nminimum_tcb = { snp = 8, microcode = 115 }\n", `{"minimum_tcb":{"microcode":115,"snp":8},"vmpl":0}`, ""},
		{"[tee.minimum_tcb]\nsnp = 8\n", `{"minimum_tcb":{"snp":8}}`, ""},
		{"debug = 1\n", "", "tee[0].debug"},
		{"since = 2026-01-01\n", "", "a date"},
	} {
		con, err := constitution.Parse(teePage(t, c.lines))
		if c.fault != "" {
			if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: found %v, expected %q", c.lines, err, c.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.lines, err)
			continue
		}
		if con.TEE[0].Policy != c.policy {
			t.Errorf("%q: found policy %s, expected %s", c.lines, con.TEE[0].Policy, c.policy)
		}
		if asked := con.TEEPolicies(); len(asked) != len(con.TEE) || asked[con.TEE[0].Platform] != c.policy {
			t.Errorf("%q: clients are told to ask %v", c.lines, asked)
		}
		again, err := constitution.Parse(con.TOML())
		if err != nil || again.Digest() != con.Digest() || again.TEE[0] != con.TEE[0] {
			t.Errorf("%q: written and read again: %+v, %v", c.lines, again, err)
		}
	}
}

func TestTEEPolicyHasOneForm(t *testing.T) {
	n := govtest.New(t)
	for _, bad := range []string{
		"{}", "[]", "7", "{", `{"a": 1}`, `{"b":1,"a":2}`, `{"a":1.0}`, `{"a":null}`, `{"a":1,"a":1}`, `{"debug":true}`, `{"platform":"snp"}`,
		`{"a":"` + strings.Repeat("x", attest.MaxPolicy) + `"}`,
	} {
		c := n.Constitution()
		c.TEE[0].Policy = bad
		if err := c.Complete(); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "tee[0]") {
			t.Errorf("%.40s: found %v", bad, err)
		}
		a := action.Action{Kind: action.SetTEE, Args: action.Args{Platform: "snp", TEEPolicy: bad}}
		if err := a.Check(); err == nil && !strings.Contains(bad, "debug") && !strings.Contains(bad, "platform") && len(bad) < attest.MaxPolicy {
			t.Errorf("an action with %.40s is in order", bad)
		}
	}
}

func TestDriversValidateTEEPolicies(t *testing.T) {
	n := govtest.New(t)
	validate := attest.Verifiers{virtual.Verifier{}}.ValidatePolicy
	for _, c := range []struct {
		tee   constitution.TEE
		fault string
	}{
		{constitution.TEE{Platform: virtual.Platform, Policy: `{"minimum_security_version":1}`}, ""},
		{constitution.TEE{Platform: virtual.Platform, Policy: `{"minimum_tcb":1}`}, "tee[0]"},
		{constitution.TEE{Platform: "snp", Policy: `{"minimum_tcb":1}`}, ""}, // this program has no such driver
	} {
		con := n.Constitution()
		con.TEE = []constitution.TEE{c.tee}
		if err := con.ValidateTEEs(validate); (err == nil) != (c.fault == "") || err != nil && (!errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%+v: found %v, expected %q", c.tee, err, c.fault)
		}
	}
}
