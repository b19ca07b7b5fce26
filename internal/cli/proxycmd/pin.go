package proxycmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/fleet"
	"github.com/cocoframework/coco/internal/reach"
)

// pin is the constitution that nodes are verified by. In its file it is the TOML page, behind a line that says which digest a person approved.
type pin struct {
	file     string      // empty: it is not kept
	approved coco.Digest // what a person has approved, from which votes have led to the terms
	terms    fleet.Terms
	network  string
	insecure bool
}

// approvedLine begins a pin's file. TOML takes it for a comment.
const approvedLine = "# approved: "

// readTerms implements fleet.Config.Read.
func readTerms(page []byte) (fleet.Terms, error) {
	var p pin
	err := p.set(page)
	return p.terms, err
}

// newPin is a pin of a page that a person has approved.
func newPin(file string, page []byte) (*pin, error) {
	p := &pin{file: file}
	if err := p.set(page); err != nil {
		return nil, err
	}
	p.approved = p.terms.Digest
	return p, nil
}

// set makes a page the one that nodes are verified by.
func (p *pin) set(page []byte) error {
	c, err := constitution.Parse(page)
	if err != nil {
		return err
	}
	p.terms = fleet.Terms{Digest: c.Digest(), Version: c.Version, Code: c.Measurements(), TEE: c.TEEPolicies(), Page: page}
	p.network, p.insecure = c.Network.Name, c.Network.Insecure
	return nil
}

// loadPin reads a pin's file; nil if there is none.
func loadPin(file string) (*pin, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, cli.FileError("pinned constitution", err)
	}
	first, page, _ := bytes.Cut(data, []byte("\n"))
	var approved coco.Digest
	if err := approved.UnmarshalText([]byte(strings.TrimPrefix(string(first), approvedLine))); err != nil {
		return nil, fmt.Errorf("%w: --pin %s: expected the line %qDIGEST first: it is no file of `coco proxy`", coco.ErrInvalid, file, approvedLine)
	}
	p, err := newPin(file, page)
	if err != nil {
		return nil, fmt.Errorf("--pin %s: %w", file, err)
	}
	p.approved = approved
	return p, nil
}

// save writes the file. A crash leaves the file before or the new one.
func (p *pin) save() error {
	if p.file == "" {
		return nil
	}
	if err := atomicfile.Write(p.file, append([]byte(approvedLine+p.approved.String()+"\n"), p.terms.Page...)); err != nil {
		return cli.FileError("pinned constitution", err)
	}
	return nil
}

// follow makes later terms those of the pin.
func (p *pin) follow(to fleet.Terms) error {
	if err := p.set(to.Page); err != nil {
		return err
	}
	return p.save()
}

// approve finds the constitution to begin with. inForce is asked for its page where only its digest is known; what it answers has that digest, or is not believed.
// Where neither a flag nor the pin's file approves one, the page of approved counts; nil if nothing else approves one.
func approve(f *flags, inForce, approved func() ([]byte, error)) (*pin, error) {
	kept, err := loadPin(f.pin)
	if err != nil {
		return nil, err
	}
	if f.constitution == "" {
		switch {
		case kept != nil:
			return kept, nil
		case approved == nil:
			return nil, unapproved(inForce)
		}
		page, err := approved()
		if err != nil {
			return nil, err
		}
		return newPin(f.pin, page)
	}
	var digest coco.Digest
	if digest.UnmarshalText([]byte(f.constitution)) != nil {
		page, err := os.ReadFile(f.constitution)
		if err != nil {
			return nil, fmt.Errorf("%w: --constitution %q: expected a digest of 64 hexadecimal digits, or a file: %w", coco.ErrInvalid, f.constitution, err)
		}
		given, err := newPin(f.pin, page)
		if err != nil {
			return nil, fmt.Errorf("--constitution %s: %w", f.constitution, err)
		}
		if kept != nil && (kept.approved == given.approved || kept.terms.Digest == given.approved) {
			return kept, nil
		}
		return given, nil
	}
	if kept != nil && (kept.approved == digest || kept.terms.Digest == digest) {
		return kept, nil
	}
	page, err := inForce()
	if err != nil {
		return nil, err
	}
	p, err := newPin(f.pin, page)
	if err != nil {
		return nil, err
	}
	if p.approved != digest {
		return nil, fmt.Errorf("%w: the constitution in force is version %d, %s, and you approve %s: members may have changed it since, or it is another network. Compare it with a member, and approve the one in force",
			coco.ErrVerify, p.terms.Version, p.terms.Digest, digest.Short())
	}
	return p, nil
}

// inForce asks one node after the other for the constitution in force. The service must have endorsed the node.
func (acc *access) inForce(ctx context.Context) func() ([]byte, error) {
	return func() (page []byte, err error) {
		for _, node := range acc.nodes {
			if page, err = reach.Endorsed(ctx, node, acc.client.Policy.Service); err == nil || errors.Is(err, coco.ErrVerify) {
				return page, err
			}
		}
		return nil, err
	}
}

// unapproved says what could be approved.
func unapproved(inForce func() ([]byte, error)) error {
	page, err := inForce()
	if err != nil {
		return err
	}
	t, err := readTerms(page)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: no constitution is approved: the one in force is version %d; compare its digest with a member, and add --constitution %s", coco.ErrInvalid, t.Version, t.Digest)
}
