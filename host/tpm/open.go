package tpm

import (
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/cocoframework/coco"
)

// Open opens a TPM: Linux's device, or the socket of a TPM in software, such as swtpm's data channel. The error wraps coco.ErrNotFound if there is none.
func Open(path string) (transport.TPMCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: TPM: %w", coco.ErrNotFound, err)
	}
	switch mode := info.Mode(); {
	case mode&fs.ModeSocket != 0:
		conn, err := net.Dial("unix", path)
		if err != nil {
			return nil, fmt.Errorf("TPM: %w", err)
		}
		return transport.FromReadWriteCloser(conn), nil
	case mode&fs.ModeDevice == 0:
		return nil, fmt.Errorf("%w: TPM: %s is a file (%v), expected a device or a socket", coco.ErrInvalid, path, mode)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("TPM: %w", err)
	}
	return transport.FromReadWriteCloser(f), nil
}
