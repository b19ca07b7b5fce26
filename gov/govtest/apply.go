package govtest

import (
	"crypto/x509"

	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/action"
)

// Act returns an action.
func Act(kind action.Kind, args action.Args) action.Action {
	return action.Action{Kind: kind, Args: args}
}

// Issuer returns the arguments of an action that lets tokens of an issuer stand for an organisation's users. The issuer's host is checked by a root.
func Issuer(name, organisation string, root *x509.Certificate) action.Args {
	terms := &access.Terms{URL: "https://" + name + ".example", Audience: "coco", SkewSeconds: 60}
	terms.Complete()
	return action.Args{Name: name, Actor: organisation, Issuer: terms, Certificates: [][]byte{root.Raw}}
}
