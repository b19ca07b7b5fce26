package query

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/keys"
)

// summary says in a sentence each what actions would do. An open proposal is compared with the constitution in force; of
// one that was decided the sentences say what it did, not what was there before.
type summary struct {
	c    *constitution.Constitution
	open bool
	page map[string]any // of the constitution, read when it is needed
}

func summaryOf(c *constitution.Constitution, open bool, actions []action.Action) []string {
	s, out := summary{c: c, open: open}, make([]string, len(actions))
	for i := range actions {
		out[i] = s.sentence(&actions[i])
		if actions[i].Args.Force {
			out[i] += ", even if no vote can pass any more after it"
		}
		if actions[i].Args.Unbalanced {
			out[i] += ", even if one organisation may have half of the votes in consensus or more after it"
		}
	}
	return out
}

func (s *summary) sentence(a *action.Action) string {
	x := &a.Args
	who := s.name(x.Actor)
	switch a.Kind {
	case action.AddMember:
		return fmt.Sprintf("add the member %s%s%s", x.Name, weighing(x.Weight), encryption(x.EncryptionKey))
	case action.RemoveMember:
		return fmt.Sprintf("remove the member %s, with all its nodes", who)
	case action.AddParticipant:
		return "add the participant " + x.Name
	case action.RemoveParticipant:
		return fmt.Sprintf("remove the participant %s, with all its nodes", who)
	case action.AddCertificate:
		return fmt.Sprintf("let one more certificate stand for %s: %s", who, certificateText(x.Certificate))
	case action.RemoveCertificate:
		return fmt.Sprintf("take from %s the certificate %s", who, certificateText(x.Certificate))
	case action.AddNode:
		return "admit " + s.place(x)
	case action.RemoveNode:
		return "remove " + s.place(x)
	case action.AddIssuer:
		return fmt.Sprintf("let tokens of the issuer %s stand for users of %s%s", x.Name, who, termsText(x.Issuer))
	case action.RemoveIssuer:
		return fmt.Sprintf("let tokens of the issuer %s count no more, and those that it has issued so far not if it is added again either", x.Name)
	case action.RevokeAccess:
		return s.revocation(x, who)
	case action.AddOrigin:
		return fmt.Sprintf("let pages of %s ask nodes in browsers, by sessions that their users sign in for from then on", x.Name)
	case action.RemoveOrigin:
		return fmt.Sprintf("let pages of %s ask nodes no more: their sessions do not count, also if the origin is added again", x.Name)
	case action.SetPolicy:
		return s.policy(x)
	case action.RemovePolicy:
		return fmt.Sprintf("decide %s by the default policy again", dashed(x.Policy))
	case action.Set:
		return s.setting(x)
	}
	return codeSentence(a)
}

// encryption says what a person compares with what the member says of its encryption key.
func encryption(public []byte) string {
	of, err := keys.AlgorithmOf(public)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", with an encryption key for %s (fingerprint %s)", of, keys.Fingerprint(public))
}

func codeSentence(a *action.Action) string {
	x := &a.Args
	note := ""
	if x.Note != "" {
		note = fmt.Sprintf(" (%s)", shorten(x.Note))
	}
	switch a.Kind {
	case action.AddCode:
		return fmt.Sprintf("let nodes run the code %s%s", x.Measurement, note)
	case action.RemoveCode:
		return "let nodes no longer run the code " + x.Measurement
	case action.GrantEpochs:
		return fmt.Sprintf("let the auditor %s read epochs %s: certificate %s%s", x.Name, x.Epochs, certificateText(x.Certificate), encryption(x.EncryptionKey))
	case action.OpenNetwork:
		return fmt.Sprintf("open the network that was recovered under the service %s: it serves clients, and nodes may join", x.Service)
	case action.Rotate:
		return "change the keys of the ledger: a new epoch begins"
	case action.Refresh:
		return "share the key that opens the ledger's past anew: old shares are of no use afterwards"
	case action.Upgrade:
		if x.Replaces != "" {
			note += ", which is to replace " + x.Replaces
		}
		return fmt.Sprintf("upgrade nodes to the code %s%s", x.Measurement, note)
	case action.SetTEE:
		return platformSentence(x)
	}
	return dashed(string(a.Kind))
}

// termsText says which tokens of an issuer count, and what their claims mean.
func termsText(t *access.Terms) string {
	if t == nil { // of an action that no one checked
		return ""
	}
	text := fmt.Sprintf(" (%s, for the audience %s); the claim %s names the user", t.URL, t.Audience, t.UserClaim)
	for _, name := range slices.Sorted(maps.Keys(t.Claims)) {
		text += fmt.Sprintf(", %s must have %s", name, shorten(t.Claims[name]))
	}
	if t.RoleClaim != "" {
		text += fmt.Sprintf(", and those whose %s has %s have the organisation's role", t.RoleClaim, shorten(t.RoleValue))
	}
	return text
}

func (s *summary) revocation(x *action.Args, who string) string {
	if found := s.c.Access.Find(x.Name); x.Actor == "" && found != nil {
		who = s.c.Name(found.Actor)
	}
	who = cmp.Or(who, "the organisation of the issuer "+x.Name)
	verb := "take access from"
	if x.Remove {
		verb = "give access back to"
	}
	switch {
	case x.Before > 0:
		return fmt.Sprintf("let %s count no more", revokedBefore(x.User, x.Name, who, int64(x.Before)))
	case x.User != "" && x.Remove:
		return fmt.Sprintf("%s the user %s of %s, by what is given from then on", verb, shorten(x.User), who)
	case x.User != "":
		return fmt.Sprintf("%s the user %s of %s, by whatever issuer or page", verb, shorten(x.User), who)
	}
	return fmt.Sprintf("%s whoever shows the token %s of the issuer %s", verb, shorten(x.Token), x.Name)
}

func platformSentence(x *action.Args) string {
	if x.Remove {
		return fmt.Sprintf("accept no more evidence of the platform %s", x.Platform)
	}
	text := fmt.Sprintf("accept evidence of the platform %s", x.Platform)
	if x.TEEPolicy != "" {
		text += " that satisfies " + shorten(x.TEEPolicy)
	}
	if x.Debug {
		text += ", even in debug mode, which protects nothing"
	}
	return text
}

// name is what people call an organisation that an action names by its name or id.
func (s *summary) name(actor string) string {
	var id coco.ActorID
	if id.UnmarshalText([]byte(actor)) == nil {
		return cmp.Or(s.c.Name(id), id.Short())
	}
	return actor
}

func (s *summary) place(x *action.Args) string {
	if x.Node != "" {
		return fmt.Sprintf("the node %.8s", x.Node)
	}
	return fmt.Sprintf("a node of %s at %s", s.name(x.Owner), x.Address)
}

func (s *summary) policy(x *action.Args) string {
	what := dashed(x.Policy)
	if x.Policy == action.DefaultPolicy {
		what = "what has no policy of its own"
	}
	text := fmt.Sprintf("decide %s by %s", what, s.policyName(x.Expression))
	if _, was := s.c.PolicyOf(x.Policy); s.open && was != x.Expression {
		text += ", instead of " + s.policyName(was)
	}
	return text
}

// policyName is a policy's name, or its expression if it has none.
func (s *summary) policyName(expr string) string {
	if name := policy.NameOf(expr, len(s.c.Members)); name != "" {
		return name
	}
	return fmt.Sprintf("the expression %q", shorten(expr))
}

func (s *summary) setting(x *action.Args) string {
	value := s.value(x.Value)
	if x.Setting == ownerSetting && strings.Contains(x.Value, constitution.EachMember) {
		value += ": " + ownerText
	}
	was, ok := s.present(x.Setting)
	if !s.open || !ok {
		return fmt.Sprintf("set %s to %s", x.Setting, value)
	}
	verb := "change"
	before, err1 := strconv.ParseFloat(was, 64)
	after, err2 := strconv.ParseFloat(x.Value, 64)
	if err1 == nil && err2 == nil && before < after {
		verb = "raise"
	} else if err1 == nil && err2 == nil && before > after {
		verb = "lower"
	}
	return fmt.Sprintf("%s %s from %s to %s", verb, x.Setting, s.value(was), value)
}

// value is a setting's value for people: an organisation's id is shown as its name with the first digits of the id. Such a value is a list of who may do something, and
// is cut later than others.
func (s *summary) value(text string) string {
	return naming(text, s.c)
}

// naming is summary.value with the names that constitutions have, the first one first.
func naming(text string, all ...*constitution.Constitution) string {
	const most = 1000
	named := text
	for _, c := range all {
		for _, a := range c.Certificates() {
			named = strings.ReplaceAll(named, `"`+a.Actor.String()+`"`, fmt.Sprintf(`"%s (%s)"`, a.Name, a.Actor.Short()))
		}
	}
	if named == text || len(named) > most {
		return shorten(named)
	}
	return named
}

// present returns the value that a setting has in the constitution in force, in JSON.
func (s *summary) present(path string) (string, bool) {
	if s.page == nil {
		s.page = map[string]any{}
		if err := toml.Unmarshal(s.c.TOML(), &s.page); err != nil {
			return "", false
		}
	}
	var at any = s.page
	for _, name := range strings.Split(path, ".") {
		table, ok := at.(map[string]any)
		if !ok {
			return "", false
		}
		if at, ok = table[name]; !ok {
			return "", false
		}
	}
	text, err := json.Marshal(at)
	return string(text), err == nil
}

func weighing(weight uint64) string {
	if weight > 1 {
		return fmt.Sprintf(", with weight %d where votes are weighed", weight)
	}
	return ""
}

func certificateText(der []byte) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return "(not readable)"
	}
	return fmt.Sprintf("%q, valid until %s", c.Subject, c.NotAfter.UTC().Format(time.DateOnly))
}

func dashed(kind string) string { return strings.ReplaceAll(kind, "_", "-") }
