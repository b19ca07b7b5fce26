package main

import (
	"cmp"
	"fmt"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/aci"
	"github.com/cocoframework/coco/attest/dcap"
	"github.com/cocoframework/coco/attest/sgx"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/attest/tdx"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/attest/vtpm"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/gramine"
	"github.com/cocoframework/coco/host/tpm"
	"github.com/cocoframework/coco/host/tsm"
	"github.com/cocoframework/coco/internal/cli"
)

// platforms lists the kinds of TEEs. Nodes run on the first unless their node.toml names another.
func platforms() []cli.Platform {
	return []cli.Platform{
		{
			Verifier: virtual.Verifier{}, Measure: virtual.Self,
			Quoter: func(code coco.Measurement) (host.Quoter, error) { return virtual.NewQuoter(code) },
			Sealer: func(disk host.Disk) (host.Sealer, error) {
				code, err := virtual.Self()
				return virtual.NewSealer(disk, code), err
			},
		},
		{
			Verifier: snp.Verifier{}, Device: report(snp.Platform, tsm.SEV),
			Needs: "a guest on AMD SEV-SNP (EPYC Milan or later) with Linux 6.7 or later, the driver sev-guest, and configfs mounted",
		},
		{
			Verifier: tdx.Verifier{}, Device: report(tdx.Platform, tsm.TDX), Pick: dcap.Pick,
			Needs: "a guest on Intel TDX (5th generation Xeon or later) with Linux 6.7 or later, the driver tdx-guest, and configfs mounted; the host needs Intel's quote generation service",
		},
		{
			Verifier: sgx.Verifier{}, Pick: dcap.Pick,
			Device: func(at string) (host.Quoter, error) {
				q := &gramine.Quoter{Name: sgx.Platform, Root: at}
				return q, q.Check()
			},
			Sealer: func(host.Disk) (host.Sealer, error) { return gramine.Sealer{Name: sgx.Platform}, nil },
			Needs:  "an enclave of Gramine on Intel SGX with sgx.remote_attestation = \"dcap\"",
		},
		{Verifier: aci.Verifier{}},
		{
			Verifier: vtpm.SNP{}, Device: device(tpm.Azure),
			Needs: "an Azure confidential VM on AMD SEV-SNP (series DCasv5 or ECasv5 and later), and access to " + tpm.DefaultPath,
		},
		{
			Verifier: vtpm.TPM{}, Device: device(tpm.Plain),
			Needs: "a TPM 2.0, and access to " + tpm.DefaultPath + " (the group tss); it keeps no memory secret: for networks that say insecure",
		},
	}
}

// report opens configfs-tsm, for one platform.
func report(platform, provider string) func(at string) (host.Quoter, error) {
	return func(at string) (host.Quoter, error) {
		d := tsm.Device{Root: at}
		found, err := d.Provider()
		if err == nil && found != provider {
			err = fmt.Errorf("%w: this machine's reports are of %s", coco.ErrNotFound, found)
		}
		return tsm.Quoter{Device: d, Name: platform, Wants: provider}, err
	}
}

// device opens a TPM, and in it the device of one platform.
func device(of func(transport.TPMCloser) (*tpm.Device, error)) func(at string) (host.Quoter, error) {
	return func(at string) (host.Quoter, error) {
		t, err := tpm.Open(cmp.Or(at, tpm.DefaultPath))
		if err != nil {
			return nil, err
		}
		d, err := of(t)
		if err != nil {
			return nil, err // a nil device would be an interface that is not nil
		}
		return d, nil
	}
}
