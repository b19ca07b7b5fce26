package vendors

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
	"github.com/cocoframework/coco/attest/snp"
)

// Where the vendors' services are. A mirror, such as a PCCS of Intel's, has the same paths below another address.
const (
	IntelService = "https://api.trustedservices.intel.com"
	IntelRootCRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
	AMDService   = "https://kdsintf.amd.com"
)

// patience bounds one request.
const patience = 30 * time.Second

// Services fetches from the vendors, or from mirrors. Its zero value fetches from the vendors.
type Services struct {
	Intel, AMD   string       // base addresses; the vendors' if empty
	IntelRootCRL string       // the vendor's if empty and Intel is empty; below Intel, at /sgx/certification/v4/rootcacrl, if empty otherwise
	Client       *http.Client // http.DefaultClient if nil
}

// Processors are the processors of a family, of which Intel has collateral.
type Processors struct {
	TDX                     bool // else SGX
	FMSPC                   [6]byte
	PlatformCA, ProcessorCA bool // which CAs have certified them
}

// Evidence says what evidence of Intel's platforms needs.
func Evidence(evidence []byte) (Processors, error) {
	q, _, err := dcap.Open(evidence, nil)
	if err != nil {
		return Processors{}, err
	}
	p, platform, err := q.Processor()
	return Processors{TDX: q.TD != nil, FMSPC: p.FMSPC, PlatformCA: platform, ProcessorCA: !platform}, err
}

// Fetch fetches what one piece of evidence needs: a quote of SGX or TDX, or a report of SEV-SNP. What it is, its bytes say. What could be fetched is returned beside the error,
// which wraps coco.ErrUnreachable or coco.ErrInvalid.
func (s Services) Fetch(ctx context.Context, evidence []byte) ([]collateral.Item, error) {
	if ev, err := attest.DecodeEvidence(evidence); err == nil {
		evidence = ev.Quote
	}
	p, err := Evidence(evidence)
	if err == nil {
		return s.FetchIntel(ctx, p)
	}
	quote, _, splitErr := collateral.Split(evidence)
	if splitErr == nil && len(quote) >= snp.ReportSize {
		if r, snpErr := snp.ParseReport(quote[:snp.ReportSize]); snpErr == nil {
			return s.FetchAMD(ctx, r)
		}
	}
	return nil, fmt.Errorf("%w: neither a quote of SGX or TDX (%v) nor a report of SEV-SNP", coco.ErrInvalid, err)
}

// FetchIntel fetches TCB info, the identity of the quoting enclave, CRLs, and the certificates that they are signed by. What could be fetched is returned beside the error, which wraps coco.ErrUnreachable or coco.ErrInvalid.
func (s Services) FetchIntel(ctx context.Context, p Processors) ([]collateral.Item, error) {
	base, tee := strings.TrimSuffix(s.Intel, "/"), "sgx"
	root := s.IntelRootCRL
	if base == "" {
		base = IntelService
		if root == "" {
			root = IntelRootCRL
		}
	} else if root == "" {
		root = base + "/sgx/certification/v4/rootcacrl"
	}
	if p.TDX {
		tee = "tdx"
	}
	addresses := []string{
		base + "/" + tee + "/certification/v4/tcb?fmspc=" + hex.EncodeToString(p.FMSPC[:]),
		base + "/" + tee + "/certification/v4/qe/identity",
		root,
	}
	for _, ca := range []struct {
		name string
		want bool
	}{{"platform", p.PlatformCA}, {"processor", p.ProcessorCA}} {
		if ca.want {
			addresses = append(addresses, base+"/sgx/certification/v4/pckcrl?ca="+ca.name+"&encoding=der")
		}
	}
	return s.all(ctx, addresses)
}

// FetchAMD fetches the certificate of the key that signed a report, if it is a chip's own, and the list of revoked certificates of each product that
// the report may be of.
func (s Services) FetchAMD(ctx context.Context, r snp.Report) ([]collateral.Item, error) {
	base := strings.TrimSuffix(s.AMD, "/")
	if base == "" {
		base = AMDService
	}
	products := []snp.Product{r.Product}
	if r.Product == "" {
		products = []snp.Product{snp.Milan, snp.Genoa} // a report of version 2 does not say
	}
	var all []collateral.Item
	var errs []error
	for _, p := range products {
		line := strings.ToUpper(string(p[:1])) + string(p[1:])
		addresses := []string{base + "/" + string(r.Signer) + "/v1/" + line + "/crl"}
		if r.Signer == snp.VCEK && !r.MaskedChip {
			t, chip := r.Reported, r.ChipID[:]
			query := fmt.Sprintf("?blSPL=%02d&teeSPL=%02d&snpSPL=%02d&ucodeSPL=%02d", t.Bootloader, t.TEE, t.SNP, t.Microcode)
			if p == snp.Turin {
				chip, query = chip[:8], fmt.Sprintf("?fmcSPL=%02d&", t.FMC)+query[1:]
			}
			addresses = append(addresses, base+"/vcek/v1/"+line+"/"+hex.EncodeToString(chip)+query)
		}
		items, err := s.all(ctx, addresses)
		all, errs = append(all, items...), append(errs, err)
	}
	if len(products) > 1 && hasCertificate(all) {
		return all, nil // the other product has no such chip
	}
	return all, errors.Join(errs...)
}

func hasCertificate(items []collateral.Item) bool {
	for _, it := range items {
		if it.Kind == collateral.Certificate {
			return true
		}
	}
	return false
}

func (s Services) all(ctx context.Context, addresses []string) ([]collateral.Item, error) {
	var all []collateral.Item
	var errs []error
	for _, a := range addresses {
		items, err := s.get(ctx, a)
		all = append(all, items...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

// get fetches one answer: what is in its body, and the certificates in its headers.
func (s Services) get(ctx context.Context, address string) ([]collateral.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: fetch collateral: %w", coco.ErrUnreachable, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, collateral.MaxItem+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: fetch collateral from %s: %w", coco.ErrUnreachable, address, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: fetch collateral from %s: it answers %s", coco.ErrUnreachable, address, resp.Status)
	}
	items, err := collateral.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	for key, values := range resp.Header {
		if !strings.HasSuffix(key, "-Issuer-Chain") {
			continue
		}
		for _, v := range values {
			text, err := url.PathUnescape(v)
			if err != nil {
				return items, fmt.Errorf("%w: %s: header %s: %w", coco.ErrInvalid, address, key, err)
			}
			chain, err := collateral.Parse([]byte(text))
			if err != nil {
				return items, fmt.Errorf("%s: header %s: %w", address, key, err)
			}
			items = append(items, chain...)
		}
	}
	return items, nil
}
