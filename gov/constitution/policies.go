package constitution

import (
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/policy"
)

// Fallbacks returns the policies that decide a kind of action: the first one that the constitution
// has. What is as good as another action falls back to that one's policy, so that a strict policy
// cannot be walked around.
func Fallbacks(kind string) []string {
	switch action.Kind(kind) {
	case action.Upgrade:
		return []string{kind, string(action.AddCode), PolicyDefault}
	case action.AddCertificate:
		return []string{kind, string(action.AddMember), PolicyDefault}
	case action.RemoveCertificate:
		return []string{kind, string(action.RemoveMember), PolicyDefault}
	case action.RemovePolicy:
		return []string{kind, policy.SetPolicy, PolicyDefault}
	}
	return []string{kind, PolicyDefault}
}

// PolicyOf returns which policy decides a kind of action: its name and its expression.
func (c *Constitution) PolicyOf(kind string) (name, expression string) {
	for _, name := range Fallbacks(kind) {
		if text, ok := c.Policies[name]; ok {
			return name, text
		}
	}
	return PolicyDefault, c.Policies[PolicyDefault]
}
