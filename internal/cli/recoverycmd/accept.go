package recoverycmd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/succession"
)

// accepted is the answer of `coco recovery accept -o json`.
type accepted struct {
	File     string      `json:"file"`
	Network  coco.Digest `json:"network_id"`
	Last     coco.TxID   `json:"last"`     // the last transaction of the old service's time that was recovered
	Services int         `json:"services"` // that the new one follows, the old one included
	Service  coco.Digest `json:"service"`  // SHA-256 of the new service's public key (SubjectPublicKeyInfo, DER)
}

func (a *app) acceptCommand() *cobra.Command {
	var address, service, out, accept string
	cmd := &cobra.Command{
		Use:   "accept",
		Short: "Accept the new service of a recovered network in the place of the one that is known",
		Long: `A network that members have recovered has a new service: a new key, whose certificate names the service before and the last transaction that was
recovered. Both keys have signed that. Programs that know the old certificate send nothing to such a network.

This asks a node for the new certificate, checks that the service in --service has endorsed it, shows from which transaction on, and writes it over that file once it is
accepted. What was committed after that transaction is lost: compare it with receipts and with what others know. Compare the new service's fingerprint, too: who operates
the machine may have started the recovered node twice, and each process has a service of its own. Receipts of the time before verify with the new certificate.`,
		Example: "  coco recovery accept --node 10.0.0.9:8000 --service service.pem\n  coco recovery accept --node 10.0.0.9:8000 --service service.pem --accept 2.1733",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			old, err := readService(service)
			if err != nil {
				return err
			}
			n := a.node(address)
			defer n.close()
			next, err := n.service(cmd.Context())
			if err != nil {
				return err
			}
			answer, err := a.successor(old, next, accept)
			if err != nil {
				return err
			}
			if answer.File = out; out == "" {
				answer.File = service
			}
			if err := atomicfile.Write(answer.File, identity.CertificatePEM(next)); err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(answer)
			}
			a.Out.OK("%s is the certificate of the new service", answer.File)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&address, "node", "", "`host:port` of a node, for clients or for governance")
	fl.StringVar(&service, "service", "", "the service certificate that is known, a PEM `file`")
	fl.StringVar(&out, "out", "", "`file` for the new certificate (default: that of --service)")
	fl.StringVar(&accept, "accept", "", "the last `transaction`, as view.seqno, that was recovered: accept it without a question")
	_ = cmd.MarkFlagRequired("node")
	_ = cmd.MarkFlagRequired("service")
	_ = cmd.MarkFlagFilename("service")
	a.OutputFlag(cmd)
	return cmd
}

// successor checks that a service follows the one that is known, and has it accepted.
func (a *app) successor(old, next *x509.Certificate, accept string) (out accepted, err error) {
	chain, err := succession.Chain(next)
	if err != nil {
		return out, err
	}
	if out.Network, err = succession.ID(next); err != nil {
		return out, err
	}
	out.Service = sha256.Sum256(next.RawSubjectPublicKeyInfo)
	for i, s := range chain {
		if !bytes.Equal(s.Certificate.RawSubjectPublicKeyInfo, old.RawSubjectPublicKeyInfo) {
			continue
		}
		if i == 0 {
			return out, fmt.Errorf("%w: the node is of the service that is known: there is nothing to accept", coco.ErrInvalid)
		}
		out.Last, out.Services = s.Until, i
	}
	if out.Services == 0 {
		return out, fmt.Errorf("%w: the node is of the service %q, which does not follow the one that is known: it is another network, or something else answers there: nothing was changed", coco.ErrVerify, next.Subject)
	}
	if accept != "" {
		tx, err := coco.ParseTxID(accept)
		if err == nil && tx != out.Last {
			err = fmt.Errorf("%w: the network was recovered up to transaction %s, and what is accepted is %s: nothing was changed", coco.ErrDenied, out.Last, tx)
		}
		return out, err
	}
	if !a.WantsJSON() {
		p := a.Out
		p.Printf("%s was recovered by its members, and has a new service.\n\n", p.Bold(next.Subject.CommonName))
		p.Printf("  recovered up to   transaction %s; what was committed after it is lost\n  endorsed by       the service that you know%s\n  network           %s, as before\n", out.Last, through(out.Services-1), out.Network)
		p.Printf("  new service       fingerprint %s: compare it with the other members\n", out.Service.Fingerprint())
	}
	if !a.Asks() {
		return out, fmt.Errorf("%w: the network was recovered up to transaction %s: nothing was changed: accept that with --accept %s", coco.ErrDenied, out.Last, out.Last)
	}
	yes, err := a.Ask("\nAccept the new service?")
	if err == nil && !yes {
		err = fmt.Errorf("%w: nothing was changed", coco.ErrDenied)
	}
	return out, err
}

// through says how many services there were between the one that is known and the new one.
func through(others int) string {
	if others == 0 {
		return ""
	}
	return fmt.Sprintf(", through %s that followed it", cli.Plural(others, "service"))
}

// service asks a node that serves, or waits for the members' vote, for its service's certificate. It proves itself: see package succession.
func (n *node) service(ctx context.Context) (*x509.Certificate, error) {
	answer, err := n.do(ctx, "/node/service", nil, maxCertificate, "no node answers")
	if err != nil {
		return nil, err
	}
	return client.ParseCertificate(answer)
}
