package nodecmd

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/keys"
)

// approval is what an operator reads before a node joins, for programs: the network's identity, and what commands say about it.
type approval struct {
	*reach.Identity
	Fingerprint string   `json:"fingerprint"` // of the constitution's digest
	Warnings    []string `json:"warnings"`
}

// approves reports whether what an operator gave says that a constitution is approved: its whole digest, or its fingerprint, with or without
// blanks.
func approves(given string, digest coco.Digest) bool {
	digits := strings.ToLower(strings.Join(strings.Fields(given), ""))
	return digits == digest.String() || digits == strings.ReplaceAll(digest.Fingerprint(), " ", "")
}

// summary is the table with which the page begins: what a person has to know of a constitution, a row for each thing.
func summary(id *reach.Identity) [][]string {
	c := id.Parsed
	rows := [][]string{
		{"In this constitution", ""},
		{"fingerprint", fmt.Sprintf("%s (version %d, rules %d)", id.Constitution.Fingerprint(), c.Version, c.Rules)},
		{"network", fmt.Sprintf("%s, id %s; its certificate ends on %s", c.Network.Name, id.ID.Fingerprint(), id.Ends.Format(time.DateOnly))},
	}
	for _, m := range c.Members {
		name := m.Name
		if m.Weight != 1 {
			name += fmt.Sprintf(", of weight %d", m.Weight)
		}
		rows = append(rows, []string{"member", name + ", id " + m.Actor().Fingerprint()})
		if of, err := keys.AlgorithmOf(m.EncryptionKey); err == nil {
			rows = append(rows, []string{"", fmt.Sprintf("encryption key for %s, fingerprint %s", of, keys.Fingerprint(m.EncryptionKey))})
		}
	}
	for _, p := range c.Participants {
		rows = append(rows, []string{"participant", p.Name + ", id " + p.Actor().Fingerprint()})
	}
	for _, code := range c.Code {
		text := string(code.Measurement)
		if code.Note != "" {
			text += " (" + code.Note + ")"
		}
		rows = append(rows, []string{"code", text})
	}
	for _, tee := range c.TEE {
		rows = append(rows, []string{"TEE", tee.Platform})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		expression := c.Policies[name]
		if called := policy.NameOf(expression, len(c.Members)); called != "" {
			expression = called + ": " + expression
		}
		rows = append(rows, []string{"policy " + strings.ReplaceAll(name, "_", "-"), expression})
	}
	rows = append(rows,
		[]string{"shares", fmt.Sprintf("%d of %d members' keys open the ledger", c.Shares.Threshold, len(c.Members))},
		[]string{"consensus", "durability " + string(c.Consensus.Durability)})
	rows = append(rows, numbers(c)...)
	return append(rows, []string{"ledgers", strings.Join(slices.Sorted(maps.Keys(c.Adapters)), ", ")})
}

// numbers are the rows of the settings that are numbers, one for each section.
func numbers(c *constitution.Constitution) (rows [][]string) {
	at := map[string]int{}
	add := func(path, value string) {
		section, name, _ := strings.Cut(path, ".")
		i, ok := at[section]
		if !ok {
			i = len(rows)
			at[section] = i
			rows = append(rows, []string{section, ""})
		} else {
			rows[i][1] += ", "
		}
		rows[i][1] += name + " " + value
	}
	for _, n := range c.Numbers() {
		add(n.Path, strconv.FormatInt(n.Value, 10))
	}
	for _, s := range c.Added() {
		add(s.Path, fmt.Sprint(s.Value))
	}
	return rows
}

// warnings are what must be looked after before, or soon after, a node joins: certificates that end, and what a single member could do. owner is
// the certificate of the node's owner, with its issuers.
func warnings(id *reach.Identity, owner []*x509.Certificate, now time.Time) (out []string) {
	c := id.Parsed
	if level, text := finding.End(id.Ends, now); level != finding.OK {
		out = append(out, "the service's certificate "+text+": its network has committed no renewal for months")
	}
	for _, a := range c.Certificates() {
		switch level, text := finding.End(a.Certificate.NotAfter, now); {
		case now.Before(a.Certificate.NotBefore):
			out = append(out, fmt.Sprintf("%s's certificate in the constitution is not valid before %s", a.Name, a.Certificate.NotBefore.UTC().Format(time.DateOnly)))
		case level != finding.OK:
			out = append(out, fmt.Sprintf("%s's certificate in the constitution %s: have members vote for a new one (add-certificate)", a.Name, text))
		}
	}
	if level, text := finding.Signers(c, now, officer.DefaultVoting); level != finding.OK {
		out = append(out, "members: "+text)
	}
	for _, cert := range owner {
		switch level, text := finding.End(cert.NotAfter, now); {
		case now.Before(cert.NotBefore):
			out = append(out, fmt.Sprintf("this node's owner certificate %q is not valid before %s: the node is not admitted until then", cert.Subject, cert.NotBefore.UTC().Format(time.DateOnly)))
		case level != finding.OK:
			out = append(out, fmt.Sprintf("this node's owner certificate %q %s: the node is not admitted after that", cert.Subject, text))
		}
	}
	out = append(out, unfit(c, owner, now)...)
	for _, p := range query.Powers(c) {
		out = append(out, "by this constitution, "+p.Text)
	}
	return out
}

// unfit warns of a node's owner certificate that is its organisation's, and not for nodes.
func unfit(c *constitution.Constitution, owner []*x509.Certificate, now time.Time) []string {
	if len(owner) == 0 || c.Rules < 2 || slices.Contains(owner[0].Subject.OrganizationalUnit, coco.NodesUnit) {
		return nil
	}
	org, own, err := c.Signer(owner, now)
	if err != nil || own {
		return nil // members may add the organisation later
	}
	return []string{fmt.Sprintf("this node's owner certificate %q is not for nodes: this network admits a node by %s's own certificate, or by one that `coco member keygen --for nodes` makes under it",
		owner[0].Subject, org.Name)}
}
