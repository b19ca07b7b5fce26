package main

import (
	"fmt"

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
			Verifier: vtpm.SNP{},
			Device: func(at string) (host.Quoter, error) {
				t, err := tpm.Open(devicePath(at))
				if err != nil {
					return nil, err
				}
				return device(tpm.Azure(t))
			},
			Needs: "an Azure confidential VM on AMD SEV-SNP (series DCasv5 or ECasv5 and later), and access to " + tpm.DefaultPath,
		},
		{
			Verifier: vtpm.TPM{},
			Device: func(at string) (host.Quoter, error) {
				t, err := tpm.Open(devicePath(at))
				if err != nil {
					return nil, err
				}
				return device(tpm.Plain(t))
			},
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

func devicePath(at string) string {
	if at == "" {
		return tpm.DefaultPath
	}
	return at
}

// device keeps a failed device from being an interface that is not nil.
func device(d *tpm.Device, err error) (host.Quoter, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}
