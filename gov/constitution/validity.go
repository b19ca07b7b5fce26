package constitution

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/policy"
)

// minRSA is the least size of an RSA key, in bits: NIST SP 800-57, part 1, section 5.6.1 has 2048 bits for 112 bits of
// security.
const minRSA = 2048

// CheckStrength says why the key of an organisation's certificate is too weak: expected are ECDSA on P-256, P-384 or P-521,
// Ed25519, or RSA of 2048 bits or more.
func CheckStrength(cert *x509.Certificate) error {
	switch pub := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if pub.Curve == elliptic.P256() || pub.Curve == elliptic.P384() || pub.Curve == elliptic.P521() {
			return nil
		}
		return fmt.Errorf("its key is on the curve %s, expected P-256, P-384 or P-521", pub.Params().Name)
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if n := pub.N.BitLen(); n < minRSA {
			return fmt.Errorf("its RSA key has %d bits, expected %d or more", n, minRSA)
		}
		return nil
	}
	return fmt.Errorf("its key is %s, expected ECDSA, Ed25519 or RSA", cert.PublicKeyAlgorithm)
}

// valid reports whether a certificate is valid at a time.
func valid(cert *x509.Certificate, at time.Time) bool {
	return !at.Before(cert.NotBefore) && !at.After(cert.NotAfter)
}

// CanSign reports whether a member has a certificate that is valid at a time, so that it can sign statements.
func (c *Constitution) CanSign(id coco.ActorID, at time.Time) bool {
	return slices.ContainsFunc(c.completed().actors, func(a actor) bool { return a.id == id && a.role == coco.Member && valid(a.cert, at) })
}

// Signers returns the members that can sign statements at a time.
func (c *Constitution) Signers(at time.Time) (out []coco.ActorID) {
	for _, m := range c.Members {
		if c.CanSign(m.Actor(), at) {
			out = append(out, m.Actor())
		}
	}
	return out
}

// AsOf returns the time as of which certificates are judged: now, unless so many members' certificates have ended that the
// members left could not even give one of them another certificate. Nobody could decide anything any more then, so
// certificates are judged as of the last moment when members could still do that. By rules 1 it is always now.
func (c *Constitution) AsOf(now time.Time) time.Time {
	if c.Rules < 2 {
		return now
	}
	can := c.canRenew(now)
	if can {
		return now
	}
	var ends []time.Time
	for _, a := range c.completed().actors {
		if a.role == coco.Member && now.After(a.cert.NotAfter) {
			ends = append(ends, a.cert.NotAfter)
		}
	}
	slices.SortFunc(ends, func(a, b time.Time) int { return b.Compare(a) })
	for _, end := range ends {
		if c.canRenew(end) {
			return end
		}
	}
	return now // they never could
}

// canRenew reports whether the members that can sign at a time could have an add-certificate accepted by their votes. What
// a proposer chooses counts as chosen in its favour.
func (c *Constitution) canRenew(at time.Time) bool {
	signers := c.Signers(at)
	if len(signers) == len(c.Members) {
		return true
	}
	_, text := c.PolicyOf(string(action.AddCertificate))
	p, err := policy.Compile(text)
	if err != nil {
		return true // what is stored was compiled before
	}
	x := policy.Case{Kind: string(action.AddCertificate)}
	for _, m := range c.Members {
		x.Members = append(x.Members, policy.MemberFacts{ID: m.Actor().String(), Name: m.Name, Weight: int64(m.Weight)})
	}
	for _, id := range signers {
		x.Votes = append(x.Votes, policy.VoteFacts{Member: id.String(), Vote: policy.Yes})
	}
	for _, id := range signers {
		x.Proposer = id.String()
		for _, x.Closed = range []bool{false, true} {
			if p.Answer(x) != policy.Never {
				return true
			}
		}
	}
	return false
}
