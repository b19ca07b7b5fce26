package govcmd

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/settings"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/keys"
)

// actionForm says how the command line writes a kind of action.
type actionForm struct {
	kind    action.Kind
	args    string // names of the arguments; those in brackets may be left out
	short   string
	example string
	build   func(a *action.Args, args []string, f *actionFlags) error
}

// actionFlags are the flags of what is seldom given.
type actionFlags struct {
	file      string
	weight    uint64
	teePolicy string
	debug     bool
	remove    bool
	force     string
	unbalance string
	issuer    issuerFlags

	verifiers attest.Verifiers // that check a policy of set-tee
	members   int              // how many a named policy, as "2 of 3", counts on; 0 if none says
}

func (f *actionFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.file, "file", "", "actions from a TOML `file`, - for the standard input")
	fl.Uint64Var(&f.weight, "weight", 0, "of add-member: the member's `weight` in policies that weigh votes (default 1)")
	fl.StringVar(&f.teePolicy, "tee-policy", "", "of set-tee: what the platform's evidence must satisfy, a JSON `object` that its driver reads")
	fl.BoolVar(&f.debug, "debug", false, "of set-tee: let TEEs in debug mode in; insecure networks only")
	fl.BoolVar(&f.remove, "remove", false, "of set-tee: remove the platform; of revoke-access: the user has access again by what is given from then on, or the token has")
	f.issuer.add(fl)
	fl.StringVar(&f.force, "force", "", "the `sentence` \""+action.ForceSentence+"\", for a change after which no vote could pass any more")
	fl.StringVar(&f.unbalance, "unbalanced", "", "the `sentence` \""+action.UnbalancedSentence+"\", for a change that may give one so many")
	_ = cmd.MarkFlagFilename("file", "toml")
}

// actionForms are in the order in which help shows them.
func actionForms() []actionForm {
	one := func(field func(*action.Args) *string) func(*action.Args, []string, *actionFlags) error {
		return func(a *action.Args, args []string, _ *actionFlags) error {
			*field(a) = args[0]
			return nil
		}
	}
	who := one(func(a *action.Args) *string { return &a.Actor })
	code := one(func(a *action.Args) *string { return &a.Measurement })
	return []actionForm{
		{action.AddMember, "NAME CERTIFICATE ENCRYPTION_KEY", "an organisation governs from then on", "add-member delta delta/org.pem delta/encryption.pub", addMember},
		{action.RemoveMember, "MEMBER", "it does no more, with all its nodes", "remove-member alpha", withForce(who)},
		{action.AddParticipant, "NAME CERTIFICATE", "an organisation transacts and may run nodes", "add-participant delta delta/org.pem", addParticipant},
		{action.RemoveParticipant, "PARTICIPANT", "it does no more, with all its nodes", "remove-participant delta", who},
		{action.AddCertificate, "ORGANISATION CERTIFICATE", "one more certificate stands for it", "add-certificate bravo new.pem", certified},
		{action.RemoveCertificate, "ORGANISATION CERTIFICATE", "a certificate stands for it no more, or one that it issued (the first of the file)", "remove-certificate bravo old.pem", withForce(uncertified)},
		{action.AddNode, "OWNER ADDRESS | NODE", "a node of that owner may run at that address", "add-node delta 10.0.0.9:9000", placed},
		{action.RemoveNode, "OWNER ADDRESS | NODE", "the node there leaves the network", "remove-node delta 10.0.0.9:9000", placed},
		{action.AddCode, "MEASUREMENT [NOTE]", "nodes may run this code", "add-code virtual:3f0c… \"release 2\"", func(a *action.Args, args []string, _ *actionFlags) error {
			a.Measurement = args[0]
			a.Note = strings.Join(args[1:], " ")
			return nil
		}},
		{action.RemoveCode, "MEASUREMENT", "nodes may not run it any more", "remove-code virtual:3f0c…", code},
		{action.SetTEE, "PLATFORM", "evidence of this platform counts; --tee-policy, --debug, --remove", `set-tee virtual --tee-policy '{"minimum_security_version": 0}'`, setTEE},
		{action.SetPolicy, "KIND POLICY", "what decides proposals of that kind, or \"default\": a name, as \"2 of 3\", or an expression", "set-policy add-code unanimous", withForce(func(a *action.Args, args []string, _ *actionFlags) error {
			a.Policy, a.Expression = strings.ReplaceAll(args[0], "-", "_"), args[1]
			return nil
		})},
		{action.RemovePolicy, "KIND", "the default decides that kind again", "remove-policy add-code", withForce(func(a *action.Args, args []string, _ *actionFlags) error {
			a.Policy = strings.ReplaceAll(args[0], "-", "_")
			return nil
		})},
		{action.Set, "SETTING VALUE", "a setting gets another value; JSON, or a text", "set limits.batch_count 5000", setting},
		{action.Upgrade, "MEASUREMENT NOTE [REPLACES]", "new code, meant to replace some", "upgrade virtual:9a1b… \"release 2\"", func(a *action.Args, args []string, _ *actionFlags) error {
			a.Measurement, a.Note = args[0], args[1]
			if len(args) > 2 {
				a.Replaces = args[2]
			}
			return nil
		}},
		{action.Rotate, "", "the ledger's keys change: a new epoch begins", "rotate", func(*action.Args, []string, *actionFlags) error { return nil }},
		{action.Refresh, "", "the key that opens the ledger's past is shared anew among the members", "refresh", func(*action.Args, []string, *actionFlags) error { return nil }},
		{action.OpenNetwork, "SERVICE", "the network that was recovered serves again, under this service", "open-network service.pem", openNetwork},
		{action.GrantEpochs, "NAME CERTIFICATE ENCRYPTION_KEY EPOCHS", "an auditor may read some epochs: nodes put on the ledger what it reads with", "grant-epochs kpmg auditor/org.pem auditor/encryption.pub 3-5", grantEpochs},
		{action.AddIssuer, "NAME ORGANISATION URL AUDIENCE CERTIFICATES", "tokens of an OpenID Connect issuer stand for an organisation's users; its host is checked by the certificates alone", "add-issuer acme-login acme https://login.acme.example coco roots.pem", addIssuer},
		{action.RemoveIssuer, "NAME", "an issuer's tokens count no more", "remove-issuer acme-login", one(func(a *action.Args) *string { return &a.Name })},
		{action.RevokeAccess, "[ISSUER]", "users of an issuer's organisation, or of --organisation, have no access any more: --user, by whatever issuer or page; --token; or what was given --before a time; --remove takes it back", "revoke-access --organisation acme --user kim", revokeAccess},
		{action.AddOrigin, "ORIGIN", "pages of an origin may ask nodes in browsers, by sessions that their users sign in for", "add-origin https://app.example", one(func(a *action.Args) *string { return &a.Name })},
		{action.RemoveOrigin, "ORIGIN", "pages of an origin ask nodes no more: their sessions do not count, also if the origin is added again", "remove-origin https://app.example", one(func(a *action.Args) *string { return &a.Name })},
	}
}

func withForce(build func(*action.Args, []string, *actionFlags) error) func(*action.Args, []string, *actionFlags) error {
	return func(a *action.Args, args []string, f *actionFlags) error {
		var err error
		if a.Force, err = action.ParseForce(f.force); err != nil {
			return err
		}
		return build(a, args, f)
	}
}

// openNetwork takes the service's certificate, as `coco recovery accept` has written it, or the SHA-256 of its key.
func openNetwork(a *action.Args, args []string, _ *actionFlags) error {
	var d coco.Digest
	if err := d.UnmarshalText([]byte(args[0])); err != nil {
		cert, err := identity.ReadCertificate(args[0])
		if err != nil {
			return fmt.Errorf("the service: expected the certificate that `coco recovery accept` has written, or the SHA-256 of its key: %w", err)
		}
		d = sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	}
	a.Service = d.String()
	return nil
}

func grantEpochs(a *action.Args, args []string, f *actionFlags) error {
	if err := addParticipant(a, args[:2], f); err != nil {
		return err
	}
	if err := addEncryptionKey(a, args[2], "auditor"); err != nil {
		return err
	}
	a.Epochs = args[3]
	_, _, err := a.Range()
	return err
}

func addMember(a *action.Args, args []string, f *actionFlags) error {
	if err := addParticipant(a, args[:2], f); err != nil {
		return err
	}
	err := addEncryptionKey(a, args[2], "member")
	if err != nil {
		return err
	}
	a.Weight = f.weight
	a.Force, err = action.ParseForce(f.force)
	return err
}

// addEncryptionKey reads the public encryption key of a member or of an auditor, as whose says.
func addEncryptionKey(a *action.Args, file, whose string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("encryption key: %w", err)
	}
	if a.EncryptionKey, err = keys.ParsePublicKey(data); err != nil {
		return fmt.Errorf("%s: expected the %s's public encryption key, as `coco member keygen` writes it to encryption.pub: %w", file, whose, err)
	}
	return nil
}

func addParticipant(a *action.Args, args []string, _ *actionFlags) (err error) {
	a.Name = args[0]
	a.Certificate, err = organisationCertificate(args[1])
	return err
}

func certified(a *action.Args, args []string, _ *actionFlags) (err error) {
	a.Actor = args[0]
	a.Certificate, err = organisationCertificate(args[1])
	return err
}

// uncertified is certified for a certificate that may be one that the organisation issued, followed by its issuers.
func uncertified(a *action.Args, args []string, _ *actionFlags) error {
	leaf, err := identity.ReadLeaf(args[1])
	if err != nil {
		return err
	}
	a.Actor, a.Certificate = args[0], leaf.Raw
	return nil
}

// organisationCertificate reads the one certificate of a file.
func organisationCertificate(file string) ([]byte, error) {
	chain, err := identity.ReadChain(file)
	if err != nil {
		return nil, err
	}
	if len(chain) != 1 {
		return nil, fmt.Errorf("%w: %s holds %d certificates: expected the organisation's alone", coco.ErrInvalid, file, len(chain))
	}
	return chain[0].Raw, nil
}

func placed(a *action.Args, args []string, _ *actionFlags) error {
	if len(args) == 1 {
		a.Node = args[0]
	} else {
		a.Owner, a.Address = args[0], args[1]
	}
	return nil
}

// setting reads a value as JSON, or takes it as a text. JSON in which a name stands twice is refused: members would vote on one of both values.
func setting(a *action.Args, args []string, _ *actionFlags) (err error) {
	a.Setting = args[0]
	var v any = args[1]
	if json.Valid([]byte(args[1])) {
		if v, err = settings.Parse([]byte(args[1])); err != nil {
			return fmt.Errorf("%w: set %s: %w", coco.ErrInvalid, a.Setting, err)
		}
	}
	a.Value, err = action.Value(a.Setting, v)
	return err
}

// dashed is a kind as people write it.
func dashed(k action.Kind) string { return strings.ReplaceAll(string(k), "_", "-") }

// actionHelp lists the kinds for a command's help.
func actionHelp() string {
	var b strings.Builder
	for _, f := range actionForms() {
		fmt.Fprintf(&b, "  %s %s\n        %s\n", dashed(f.kind), f.args, f.short)
	}
	return b.String()
}

// arguments returns how many arguments a form takes at least, and at most.
func (f *actionForm) arguments() (least, most int) {
	if short, _, either := strings.Cut(f.args, "|"); either {
		return 1, len(strings.Fields(short))
	}
	for _, name := range strings.Fields(f.args) {
		if name[0] != '[' {
			least++
		}
		most++
	}
	return least, most
}

// read makes actions of a command line: a kind and its arguments, or a file.
func (f *actionFlags) read(a *app, args []string) ([]action.Action, error) {
	f.verifiers = a.Verifiers()
	if f.file != "" {
		if len(args) > 0 {
			return nil, fmt.Errorf("%w: a kind of action (%s) and --file: expected one of them", coco.ErrInvalid, args[0])
		}
		text, err := a.readFile(f.file)
		if err != nil {
			return nil, err
		}
		actions, err := action.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.file, err)
		}
		return actions, f.named(actions)
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("%w: nothing to propose: expected a kind of action with its arguments, such as %s, or --file FILE", coco.ErrInvalid, actionForms()[2].example)
	}
	kind, err := action.ParseKind(args[0])
	if err != nil {
		return nil, err
	}
	forms := actionForms()
	form := forms[slices.IndexFunc(forms, func(f actionForm) bool { return f.kind == kind })]
	least, most := form.arguments()
	if n := len(args) - 1; n < least || n > most {
		return nil, fmt.Errorf("%w: %s: expected %s, found %s; for example: %s", coco.ErrInvalid, dashed(kind), cmp.Or(form.args, "no argument"), cli.Plural(n, "argument"), form.example)
	}
	act := action.Action{Kind: kind}
	if err := form.build(&act.Args, args[1:], f); err != nil {
		return nil, fmt.Errorf("%s: %w", dashed(kind), err)
	}
	if act.Args.Unbalanced, err = action.ParseUnbalanced(f.unbalance); err != nil {
		return nil, err
	}
	if err := act.Check(); err != nil {
		return nil, err
	}
	actions := []action.Action{act}
	return actions, f.named(actions)
}

// aWord is a policy that can be nothing but a name.
var aWord = regexp.MustCompile(`^([a-z ]+|[0-9]+ of [0-9]+)$`)

// named replaces the names of policies in actions by their expressions, which are what is signed.
func (f *actionFlags) named(actions []action.Action) error {
	for i := range actions {
		x := &actions[i].Args
		if actions[i].Kind != action.SetPolicy {
			continue
		}
		expr, members, ok := policy.Named(x.Expression)
		switch {
		case ok && members > 0 && f.members > 0 && members != f.members:
			return fmt.Errorf("%w: set-policy %s: %q is meant for %s, another policy here for %d: a network has one number of members", coco.ErrInvalid, dashed(action.Kind(x.Policy)), x.Expression, cli.Plural(uint64(members), "member"), f.members)
		case ok:
			x.Expression, f.members = expr, max(f.members, members)
		case aWord.MatchString(x.Expression) && x.Expression != "true" && x.Expression != "false" && x.Expression != "closed":
			return fmt.Errorf("%w: set-policy %s: there is no policy named %q: expected %s, or an expression such as %q", coco.ErrInvalid, dashed(action.Kind(x.Policy)), x.Expression, strings.Join(policy.Names(), ", "), policy.Majority)
		}
	}
	return nil
}

// actorNamer is an adapter of which a setting may name organisations. It returns the value, in JSON, with ids in the place of names.
type actorNamer interface {
	NameActors(setting string, value []byte, actor func(name string) (coco.ActorID, bool)) ([]byte, error)
}

// namer returns the adapter of a setting that may name organisations, and the adapter's own name of the setting; nil if there is none.
func (a *app) namer(setting string) (n actorNamer, name string) {
	for _, known := range a.Adapters {
		name, ok := strings.CutPrefix(setting, "adapters."+known.Manifest().Name+".")
		if n, is := known.(actorNamer); ok && is {
			return n, name
		}
	}
	return nil, ""
}

// fit adapts actions to the network: organisations that settings name stand there by their ids, which no other one can get. It compares the network with the number
// of members that a named policy counts on.
func (f *actionFlags) fit(ctx context.Context, a *app, o *officer.Officer, actions []action.Action) error {
	named := slices.ContainsFunc(actions, func(x action.Action) bool {
		n, _ := a.namer(x.Args.Setting)
		return x.Kind == action.Set && n != nil
	})
	if f.members == 0 && !named {
		return nil
	}
	page, _, err := o.ConstitutionAt(ctx, 0)
	if err != nil {
		return err
	}
	c, err := constitution.Parse(page)
	if err != nil {
		return err
	}
	for i := range actions {
		x := &actions[i].Args
		if n, name := a.namer(x.Setting); actions[i].Kind == action.Set && n != nil {
			value, err := n.NameActors(name, []byte(x.Value), c.Actor)
			if err != nil {
				return fmt.Errorf("set %s: %w", x.Setting, err)
			}
			x.Value = string(value)
		}
	}
	if n := len(c.Members); f.members != 0 && n != f.members {
		return fmt.Errorf("%w: the policy is meant for %s, and the network has %d: expected \"M of %d\"", coco.ErrInvalid, cli.Plural(uint64(f.members), "member"), n, n)
	}
	return nil
}

// kindsOf returns completeActions for the arguments of a whole command.
func kindsOf(f *officer.Access) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return completeActions(f, cmd, args)
	}
}

// completeActions completes a kind of action, and what may stand after it.
func completeActions(f *officer.Access, cmd *cobra.Command, args []string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		var out []string
		for _, form := range actionForms() {
			out = append(out, cobra.CompletionWithDesc(dashed(form.kind), form.short))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	switch kind, _ := action.ParseKind(args[0]); kind {
	case action.RemoveMember, action.AddNode, action.RemoveNode, action.AddCertificate, action.RemoveCertificate:
		if len(args) == 1 {
			return f.CompleteMembers(cmd, args, "")
		}
	case action.SetPolicy, action.RemovePolicy:
		if len(args) == 1 {
			out := []string{action.DefaultPolicy}
			for _, k := range action.Kinds() {
				out = append(out, dashed(k))
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		}
		return policy.Names(), cobra.ShellCompDirectiveNoFileComp
	case action.AddMember, action.AddParticipant:
		if len(args) > 1 {
			return nil, cobra.ShellCompDirectiveDefault // files
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// readFile reads a file that a user named; - is the standard input.
func (a *app) readFile(name string) ([]byte, error) {
	if name != "-" {
		return os.ReadFile(name)
	}
	var b bytes.Buffer
	_, err := b.ReadFrom(a.In)
	return b.Bytes(), err
}

// numberOf writes a proposal's number.
func numberOf(n uint64) string { return "#" + strconv.FormatUint(n, 10) }

func setTEE(a *action.Args, args []string, f *actionFlags) error {
	a.Platform, a.Debug, a.Remove = args[0], f.debug, f.remove
	if f.teePolicy == "" {
		return nil
	}
	v, err := settings.Parse([]byte(f.teePolicy))
	if err == nil {
		a.TEEPolicy, err = action.TEEPolicy(v)
	}
	if err != nil {
		return fmt.Errorf("--tee-policy: %w", err)
	}
	if err := f.verifiers.ValidatePolicy(a.Platform, []byte(a.TEEPolicy)); err != nil && !errors.Is(err, attest.ErrPlatform) {
		return fmt.Errorf("--tee-policy: %w", err)
	}
	return nil
}
