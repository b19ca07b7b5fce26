package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/localnet"
)

// FileError is an error that a file which the user named cannot be read.
func FileError(what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w", coco.ErrNotFound, what, err)
	}
	return fmt.Errorf("%w: %s: %w", coco.ErrInvalid, what, err)
}

// Service reads the service certificate by which a command verifies something: the one that --service
// names, or that of the sandbox that --dir does.
func Service(cmd *cobra.Command, what, dir, service string) (*x509.Certificate, error) {
	if cmd.Flags().Changed("dir") && cmd.Flags().Changed("service") {
		return nil, fmt.Errorf("%w: --dir and --service each name the network: expected one of them, found both", coco.ErrInvalid)
	}
	if service == "" {
		info, err := localnet.Load(dir)
		if err != nil {
			return nil, fmt.Errorf("%w: which network's %s is this? Name its service certificate with --service, or a sandbox with --dir (%w)", coco.ErrInvalid, what, err)
		}
		service = info.ServicePEM
	}
	pem, err := os.ReadFile(service)
	if err != nil {
		return nil, FileError("service certificate", err)
	}
	cert, err := client.ParseCertificate(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	return cert, nil
}
