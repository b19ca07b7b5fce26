package attest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
)

func TestClaimsAreOfThePlatformThatVerifiedThem(t *testing.T) {
	claims, err := attest.Verifiers{virtual.Verifier{}}.Verify(evidence(t, quoter(t, code), "join"), time.Time{})
	if err != nil || claims.Platform != virtual.Platform {
		t.Errorf("found platform %q, %v", claims.Platform, err)
	}
}

func TestPolicyIsDecidedByThePlatform(t *testing.T) {
	claims, err := attest.Verifiers{virtual.Verifier{}}.Verify(evidence(t, quoter(t, code), "join"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		policy string
		want   error
	}{
		{"", nil},
		{"{}", nil},
		{`{"minimum_security_version":0}`, nil},
		{`{"minimum_security_version":1}`, attest.ErrTCB},
		{`{"minimum_tcb":1}`, attest.ErrPolicy}, // another platform's
		{`{"minimum_security_version":-1}`, attest.ErrPolicy},
		{`[]`, attest.ErrPolicy},
	} {
		err := claims.Satisfy([]byte(c.policy))
		if !errors.Is(err, c.want) || c.want == attest.ErrPolicy && errors.Is(err, attest.ErrTCB) {
			t.Errorf("%s: found %v, expected %v", c.policy, err, c.want)
		}
		if valid := (virtual.Verifier{}).ValidatePolicy([]byte(c.policy)) == nil; c.policy != "" && valid != (c.want != attest.ErrPolicy) {
			t.Errorf("%s: valid: %t", c.policy, valid)
		}
	}
	if err := (attest.Claims{Platform: "snp"}).Satisfy(nil); !errors.Is(err, attest.ErrPolicy) {
		t.Errorf("claims without a driver's satisfy no policy: %v", err)
	}
}

func TestPoliciesAreValidatedByTheirDriver(t *testing.T) {
	vs := attest.Verifiers{virtual.Verifier{}}
	for _, c := range []struct {
		platform, policy string
		want             error
	}{
		{virtual.Platform, "", nil},
		{virtual.Platform, `{"minimum_security_version":3}`, nil},
		{virtual.Platform, `{"tcb":3}`, coco.ErrInvalid},
		{"snp", "", attest.ErrPlatform},
	} {
		if err := vs.ValidatePolicy(c.platform, []byte(c.policy)); !errors.Is(err, c.want) {
			t.Errorf("%s %s: found %v, expected %v", c.platform, c.policy, err, c.want)
		}
	}
}

func TestDecodePolicyIsStrict(t *testing.T) {
	for _, bad := range []string{
		"", " ", "null", "[]", "7", `"x"`, "{", `{"level":1}x`, `{"level":1}{}`, `{"other":1}`, `{"level":"1"}`,
		`{"level":1,"note":"` + strings.Repeat("x", attest.MaxPolicy) + `"}`,
	} {
		var p struct {
			Level int    `json:"level"`
			Note  string `json:"note"`
		}
		if err := attest.DecodePolicy("x", []byte(bad), &p); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%.40q: found %v", bad, err)
		}
	}
}

// The two drivers below stand for those of real platforms: what their evidence says and what a
// constitution asks of it does not fit into one number, and fits behind attest.Own.

// snp are the claims of a SEV-SNP report that a policy may ask about (AMD 56860, table 23).
type snp struct {
	tcb            map[string]uint8 // reported TCB by component: bootloader, tee, snp, microcode
	vmpl           uint32
	smt, migration bool
	idKey          string
}

func (c snp) Satisfy(policy []byte) error {
	p := struct {
		MinimumTCB map[string]uint8 `json:"minimum_tcb"`
		MaxVMPL    uint32           `json:"max_vmpl"`
		SMT        bool             `json:"smt"`
		IDKeys     []string         `json:"id_keys"`
	}{}
	if err := attest.DecodePolicy("snp", policy, &p); err != nil {
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	}
	for component, least := range p.MinimumTCB {
		if c.tcb[component] < least {
			return fmt.Errorf("%w: %s has version %d, expected %d at least", attest.ErrTCB, component, c.tcb[component], least)
		}
	}
	switch {
	case c.vmpl > p.MaxVMPL:
		return fmt.Errorf("%w: the report is of VMPL %d", attest.ErrPolicy, c.vmpl)
	case c.migration:
		return fmt.Errorf("%w: a migration agent may hold its memory", attest.ErrPolicy)
	case c.smt && !p.SMT:
		return fmt.Errorf("%w: it shares its cores", attest.ErrPolicy)
	case len(p.IDKeys) > 0 && !slices.Contains(p.IDKeys, c.idKey):
		return fmt.Errorf("%w: another identity key", attest.ErrPolicy)
	}
	return nil
}

// intel are the claims of a TDX or SGX quote with its collateral.
type intel struct {
	fmspc, status string
	advisories    []string
	evaluation    int // tcbEvaluationDataNumber of the collateral
}

func (c intel) Satisfy(policy []byte) error {
	p := struct {
		Status     []string `json:"tcb_status"`
		Advisories []string `json:"accept_advisories"`
		FMSPC      []string `json:"fmspc"`
		Evaluation int      `json:"minimum_tcb_evaluation"`
	}{Status: []string{"UpToDate"}}
	if err := attest.DecodePolicy("tdx", policy, &p); err != nil {
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	}
	accepted := func(id string) bool { return slices.Contains(p.Advisories, id) }
	switch {
	case !slices.Contains(p.Status, c.status):
		return fmt.Errorf("%w: status %s, expected one of %v", attest.ErrTCB, c.status, p.Status)
	case c.evaluation < p.Evaluation:
		return fmt.Errorf("%w: collateral %d, expected %d at least", attest.ErrTCB, c.evaluation, p.Evaluation)
	case slices.ContainsFunc(c.advisories, func(id string) bool { return !accepted(id) }):
		return fmt.Errorf("%w: open advisories %v", attest.ErrTCB, c.advisories)
	case len(p.FMSPC) > 0 && !slices.Contains(p.FMSPC, c.fmspc):
		return fmt.Errorf("%w: processors of family %s", attest.ErrPolicy, c.fmspc)
	}
	return nil
}

func TestPoliciesOfRealPlatformsFit(t *testing.T) {
	milan := snp{tcb: map[string]uint8{"bootloader": 3, "tee": 0, "snp": 8, "microcode": 115}, smt: true, idKey: "ab"}
	hardened := intel{fmspc: "00906ED50000", status: "SWHardeningNeeded", advisories: []string{"INTEL-SA-00334", "INTEL-SA-00615"}, evaluation: 17}
	for _, c := range []struct {
		claims attest.Own
		policy string
		want   error
	}{
		{milan, `{"smt":true}`, nil},
		{milan, `{}`, attest.ErrPolicy},
		{milan, `{"smt":true,"minimum_tcb":{"snp":8,"microcode":115}}`, nil},
		// Newer in one component does not make up for older in another.
		{milan, `{"smt":true,"minimum_tcb":{"snp":5,"microcode":116}}`, attest.ErrTCB},
		{milan, `{"smt":true,"id_keys":["cd"]}`, attest.ErrPolicy},
		{snp{vmpl: 2}, `{"max_vmpl":1}`, attest.ErrPolicy},
		{hardened, `{}`, attest.ErrTCB},
		{hardened, `{"tcb_status":["UpToDate","SWHardeningNeeded"]}`, attest.ErrTCB},
		{hardened, `{"tcb_status":["UpToDate","SWHardeningNeeded"],"accept_advisories":["INTEL-SA-00334","INTEL-SA-00615"],"minimum_tcb_evaluation":17}`, nil},
		{hardened, `{"tcb_status":["SWHardeningNeeded"],"accept_advisories":["INTEL-SA-00334","INTEL-SA-00615"],"fmspc":["30606A000000"]}`, attest.ErrPolicy},
		{hardened, `{"minimum_tcb":{}}`, attest.ErrPolicy}, // of another platform
	} {
		claims := attest.Claims{Own: c.claims}
		err := claims.Satisfy([]byte(c.policy))
		if !errors.Is(err, c.want) || c.want == attest.ErrPolicy && errors.Is(err, attest.ErrTCB) {
			t.Errorf("%+v, policy %s: found %v, expected %v", c.claims, c.policy, err, c.want)
		}
	}
}
