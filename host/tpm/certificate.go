package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/cocoframework/coco"
)

// endorsementCertificate is where vendors put the certificate of the endorsement key by the template for RSA 2048 (TCG EK Credential Profile).
const endorsementCertificate = tpm2.TPMHandle(0x01c00002)

// EndorsementCertificate returns the vendor's certificate of the endorsement key, in DER. The error wraps coco.ErrNotFound if the TPM has none.
func (d *Device) EndorsementCertificate() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.stored(endorsementCertificate)
	if err != nil {
		return nil, fmt.Errorf("%w: the TPM has no certificate of its endorsement key at %#x: %w", coco.ErrNotFound, uint32(endorsementCertificate), err)
	}
	// A certificate is a sequence; what is behind it is the rest of the place.
	if len(b) > 4 && b[0] == 0x30 && b[1] == 0x82 {
		if n := 4 + int(b[2])<<8 + int(b[3]); n < len(b) {
			b = b[:n]
		}
	}
	return b, nil
}

// stored reads what is stored at an index that its owner may read.
func (d *Device) stored(index tpm2.TPMHandle) ([]byte, error) {
	read, err := tpm2.NVReadPublic{NVIndex: index}.Execute(d.tpm)
	if err != nil {
		return nil, err
	}
	pub, err := read.NVPublic.Contents()
	if err != nil {
		return nil, err
	}
	var all []byte
	for len(all) < int(pub.DataSize) {
		n := min(nvBlock, int(pub.DataSize)-len(all))
		part, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: read.NVName},
			Size:       uint16(n), Offset: uint16(len(all)),
		}.Execute(d.tpm)
		if err != nil {
			return nil, err
		}
		if len(part.Data.Buffer) == 0 {
			return nil, fmt.Errorf("it ends after %d of %d bytes", len(all), pub.DataSize)
		}
		all = append(all, part.Data.Buffer...)
	}
	return all, nil
}

// nvBlock is what every TPM reads at once.
const nvBlock = 512
