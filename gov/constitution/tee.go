package constitution

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/settings"
)

// teeOf reads an entry of the TEE manifest. All keys but the platform's name and debug are the
// platform's policy.
func teeOf(path string, table map[string]any) (TEE, error) {
	var t TEE
	for name, to := range map[string]any{"platform": &t.Platform, "debug": &t.Debug} {
		v, given := table[name]
		if !given {
			continue
		}
		delete(table, name)
		ok := false
		switch to := to.(type) {
		case *string:
			*to, ok = v.(string)
		case *bool:
			*to, ok = v.(bool)
		}
		if !ok {
			return TEE{}, invalid(path+"."+name, reason.BadForm, "found %T", v)
		}
	}
	policy, err := action.TEEPolicy(table)
	if err != nil {
		return TEE{}, fmt.Errorf("%s: %w", path, err)
	}
	t.Policy = policy
	return t, nil
}

// checkTEEPolicy checks the form of a platform's policy. What it means is for the platform's driver to say:
// a decision must not depend on the drivers that a program has.
func checkTEEPolicy(path, policy string) error {
	if policy == "" {
		return nil
	}
	if len(policy) > attest.MaxPolicy {
		return invalid(path, reason.TooLong, "expected a policy of at most %d bytes, found %d", attest.MaxPolicy, len(policy))
	}
	v, err := settings.Parse([]byte(policy))
	if err != nil {
		return invalid(path, reason.BadValue, "the policy: %v", err)
	}
	if text, err := action.TEEPolicy(v); err != nil || text != policy {
		return invalid(path, reason.BadForm, "the policy is not a JSON object in canonical form")
	}
	for _, name := range []string{"platform", "debug"} {
		if _, ok := v.(map[string]any)[name]; ok {
			return invalid(path+"."+name, reason.BadForm, "the name is reserved for what all platforms have; a policy may not hold it")
		}
	}
	return nil
}

// ValidateTEEs asks the platforms' drivers whether the policies mean something to them. A platform of
// which this program has no driver is left to others. The error is coco.ErrInvalid.
func (c *Constitution) ValidateTEEs(validate func(platform string, policy []byte) error) error {
	for i, t := range c.TEE {
		if err := validate(t.Platform, []byte(t.Policy)); err != nil && !errors.Is(err, attest.ErrPlatform) {
			return invalid(fmt.Sprintf("tee[%d]", i), reason.BadValue, "%v", err)
		}
	}
	return nil
}

// PolicyTable returns the platform's policy as a table.
func (t TEE) PolicyTable() map[string]any {
	v, _ := settings.Parse([]byte(t.Policy)) // Complete has checked it
	table, _ := v.(map[string]any)
	return table
}

// checkTEE decides whether evidence is of a platform that counts, and good enough for its policy. The
// platform is that of the driver that verified the claims.
func (c *Constitution) checkTEE(claims attest.Claims) error {
	i := slices.IndexFunc(c.TEE, func(t TEE) bool { return t.Platform == claims.Platform })
	switch {
	case i < 0:
		return fmt.Errorf("%w: %q is not in the TEE manifest", attest.ErrPlatform, claims.Platform)
	case (claims.Insecure || claims.Platform == Virtual) && !c.Network.Insecure:
		return fmt.Errorf("%w: platform %q is simulated and network.insecure is not set", attest.ErrInsecure, claims.Platform)
	case claims.Debug && !c.TEE[i].Debug:
		return fmt.Errorf("%w: %s: its host could read its memory; start it without debug mode", attest.ErrDebug, claims.Measurement)
	}
	return claims.Satisfy([]byte(c.TEE[i].Policy))
}

// TEEPolicies are the platforms' policies, by platform, for clients that verify nodes.
func (c *Constitution) TEEPolicies() map[string]string {
	all := make(map[string]string, len(c.TEE))
	for _, t := range c.TEE {
		all[t.Platform] = t.Policy
	}
	return all
}

// CheckEvidence decides whether a node with this evidence may be trusted: the platform counts, the code
// is listed, and the claims are bound to the key and the nonce. Its error wraps one of the reasons of
// package attest.
func (c *Constitution) CheckEvidence(claims attest.Claims, key, nonce []byte) error {
	return c.CheckEvidenceFor(EvidenceContext, claims, key, nonce)
}

// CheckEvidenceFor is CheckEvidence for evidence of another purpose.
func (c *Constitution) CheckEvidenceFor(purpose string, claims attest.Claims, key, nonce []byte) error {
	if err := c.checkTEE(claims); err != nil {
		return err
	}
	claims.Debug = false // the TEE manifest has decided
	return attest.Check(claims, purpose, key, nonce, c.Measurements())
}
