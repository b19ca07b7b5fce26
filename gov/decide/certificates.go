package decide

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/reason"
)

// A member whose certificates have ended counts in policies and cannot vote, so certificates are checked where they enter.

func timeOf(ms uint64) time.Time { return time.UnixMilli(int64(ms)) }

// signersOf returns the ids of the members that can sign at a time.
func signersOf(c *constitution.Constitution, at uint64) map[string]bool {
	out := map[string]bool{}
	for _, id := range c.Signers(timeOf(at)) {
		out[id.String()] = true
	}
	return out
}

// checkEntering checks the certificates that an action brings in: none has ended or is weak, and a new
// organisation has one that is valid.
func checkEntering(a *action.Action, now uint64, r rules) error {
	var name string
	switch a.Kind {
	case action.AddMember, action.AddParticipant:
		name = a.Args.Name
	case action.AddCertificate:
		name = a.Args.Actor
	default:
		return nil
	}
	return checkCertificates(name, append([][]byte{a.Args.Certificate}, a.Args.Certificates...), a.Kind != action.AddCertificate, now, r)
}

func checkCertificates(name string, list [][]byte, comes bool, now uint64, r rules) error {
	begun := false
	for _, der := range list {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return impossible(reason.BadCertificate, name, "")
		}
		if err := constitution.CheckStrength(cert); err != nil {
			return unfit(reason.WeakCertificate, name, err.Error())
		}
		if timeOf(now).After(cert.NotAfter) {
			return unfit(reason.EndedCertificate, name, "it ended on "+cert.NotAfter.UTC().Format(time.RFC3339))
		}
		begun = begun || !timeOf(now+r.maxAhead).Before(cert.NotBefore)
	}
	if comes && !begun {
		return impossible(reason.EarlyCertificate, name, "")
	}
	return nil
}

func unfit(code reason.Code, name, detail string) error {
	why := reason.New(code, name, "")
	return &reason.Error{Reason: why, Detail: fmt.Sprintf("%s: %s", why.String(), detail)}
}

// checkFounders checks the certificates with which a network begins.
func checkFounders(c *constitution.Constitution, now uint64) error {
	r, err := rulesOf(c.Rules)
	if err != nil || !r.dated {
		return err
	}
	for _, m := range c.Members {
		if err := checkCertificates(m.Name, append([][]byte{m.Certificate}, m.Certificates...), true, now, r); err != nil {
			return fmt.Errorf("genesis: %w", err)
		}
	}
	for _, p := range c.Participants {
		if err := checkCertificates(p.Name, append([][]byte{p.Certificate}, p.Certificates...), true, now, r); err != nil {
			return fmt.Errorf("genesis: %w", err)
		}
	}
	return nil
}

// Unable returns the names of the members that cannot sign at a time.
func Unable(c *constitution.Constitution, at time.Time) (out []string) {
	signers := c.Signers(at)
	for _, m := range c.Members {
		if !slices.Contains(signers, m.Actor()) {
			out = append(out, m.Name)
		}
	}
	return out
}
