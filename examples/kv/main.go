// Command kv shows the ledger of keys and values from Go: a value that two organisations share, its proof, and keys that members' rules of
// prefixes keep from others. It uses package client, which sends nothing to a node that has not proven its code.
//
//	coco up --detach
//	go run ./examples/kv
//
// Trust: host
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
)

func main() {
	dir := flag.String("dir", "coco-sandbox", "folder of the network, of coco up")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "kv:", err)
		os.Exit(1)
	}
}

// organisation is an organisation's application: a client of its node, with its certificate.
type organisation struct {
	*client.Client
	name string
	id   coco.ActorID
}

func run(ctx context.Context, w io.Writer, dir string) error {
	all, service, err := sandbox(dir)
	if err != nil {
		return err
	}
	alpha, bravo, charlie := all[0], all[1], all[2]
	defer func() {
		for _, o := range all {
			o.Close()
		}
	}()

	// An audience is chosen by the application, for each row.
	written, err := alpha.KV().For(alpha.name, bravo.name).Put(ctx, "price", []byte("4711"), "text/plain", client.Condition{})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s puts a price for itself and %s: transaction %v\n", alpha.name, bravo.name, written.TxID)
	// Bravo asks its own node, which may hear of the transaction a moment later.
	if _, err := bravo.KV().For(alpha.name, bravo.name).AtLeast(written.TxID).Get(ctx, "price"); err != nil {
		return err
	}
	proven, err := proof(ctx, bravo, service, "price", alpha.id, bravo.id)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s reads %s, and its receipt proves that %s put it: %t\n", bravo.name, proven.Value, alpha.name, proven.Actor == alpha.id)
	if _, err = charlie.KV().For(alpha.name, bravo.name).Get(ctx, "price"); !errors.Is(err, coco.ErrNotFound) {
		return fmt.Errorf("%s reads the price: %w", charlie.name, err)
	}
	fmt.Fprintf(w, "%s is told: %v\n", charlie.name, err)

	// Rules of prefixes are voted by the members, for all keys that begin alike. The readme says how.
	written, err = alpha.KV().Put(ctx, "settlement/1", []byte("paid"), "", client.Condition{})
	if err != nil {
		return err
	}
	for _, o := range all {
		page, err := o.KV().AtLeast(written.TxID).List(ctx, client.Range{Prefix: "settlement/"})
		if err != nil {
			return err
		}
		_, refused := o.KV().Put(ctx, "settlement/1", []byte("paid"), "", client.Condition{})
		fmt.Fprintf(w, "%s sees %d keys below settlement/, and may write there: %t\n", o.name, len(page.Items), !errors.Is(refused, coco.ErrDenied))
	}
	return nil
}

// proof reads a value that its receipt proves. A node needs a moment to index what it has committed.
func proof(ctx context.Context, o *organisation, service *x509.Certificate, key string, audience ...coco.ActorID) (v client.Verified, err error) {
	for range 100 {
		if v, err = o.VerifiableGet(ctx, service, key, audience...); !errors.Is(err, coco.ErrPending) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return v, err
}

// sandbox returns the organisations of a network of coco up, and the certificate of its service. Of another network an organisation has the service's
// certificate, the constitution that it has approved, and its own certificate; the verifiers are those of the TEEs that the constitution lists.
func sandbox(dir string) (all []*organisation, service *x509.Certificate, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "sandbox.json"))
	if err != nil {
		return nil, nil, fmt.Errorf("start a network first, by coco up: %w", err)
	}
	var network struct {
		Nodes []struct {
			Member string `json:"member"`
			Client string `json:"client"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(text, &network); err != nil {
		return nil, nil, err
	}
	page, err := os.ReadFile(filepath.Join(dir, "constitution.toml"))
	if err != nil {
		return nil, nil, err
	}
	approved, err := constitution.Parse(page)
	if err != nil {
		return nil, nil, err
	}
	if page, err = os.ReadFile(filepath.Join(dir, "service.pem")); err != nil {
		return nil, nil, err
	}
	if service, err = client.ParseCertificate(page); err != nil {
		return nil, nil, err
	}
	policy := client.Policy{Code: approved.Measurements(), TEE: approved.TEEPolicies(), Verifiers: attest.Verifiers{virtual.Verifier{}}, Service: service}
	for _, node := range network.Nodes {
		keys := filepath.Join(dir, "members", node.Member)
		cert, err := tls.LoadX509KeyPair(filepath.Join(keys, "user.pem"), filepath.Join(keys, "user-key.pem"))
		if err != nil {
			return nil, nil, err
		}
		c, err := client.New(client.Config{Addr: node.Client, Certificate: &cert, Policy: policy})
		if err != nil {
			return nil, nil, err
		}
		id, ok := approved.Actor(node.Member)
		if !ok {
			return nil, nil, fmt.Errorf("the constitution has no organisation %q", node.Member)
		}
		all = append(all, &organisation{c, node.Member, id})
	}
	return all, service, nil
}
