package snp

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A certificate table is a list of rows (GUID of 16 bytes, offset and length of 4 bytes each, little endian) that ends with a row of zeros, and the
// certificates behind it (AMD publication 56421, MSG_REPORT_REQ). It is read here, because the library adds offset and length in 32 bits, which may
// overflow.
const (
	tableRow  = 24
	maxRows   = 16
	maxInside = 64 << 10
)

// The GUIDs of the certificates that are read, in the order of the table's bytes.
var (
	guidVCEK = [16]byte{0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd}
	guidVLEK = [16]byte{0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1}
)

// tableCertificate returns the certificate of a signer in a table, and nil if there is none.
func tableCertificate(table []byte, signer Signer) ([]byte, error) {
	if len(table) > maxInside {
		return nil, fmt.Errorf("certificate table of %d bytes: expected at most %d", len(table), maxInside)
	}
	want := guidVCEK
	if signer == VLEK {
		want = guidVLEK
	}
	var found []byte
	for at, rows := 0, 0; at < len(table); at, rows = at+tableRow, rows+1 {
		if rows == maxRows || len(table)-at < tableRow {
			return nil, fmt.Errorf("certificate table: expected at most %d rows of %d bytes and a row of zeros", maxRows, tableRow)
		}
		row := table[at : at+tableRow]
		if bytes.Equal(row, make([]byte, tableRow)) {
			return found, nil
		}
		from := uint64(binary.LittleEndian.Uint32(row[16:20]))
		length := uint64(binary.LittleEndian.Uint32(row[20:24]))
		if from+length > uint64(len(table)) {
			return nil, fmt.Errorf("certificate table: row %d has %d bytes from %d on, but the table has %d", rows, length, from, len(table))
		}
		if [16]byte(row[:16]) != want {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("certificate table: two %s certificates", signer)
		}
		found = table[from : from+length]
	}
	if len(table) > 0 {
		return nil, fmt.Errorf("certificate table: no row of zeros at its end")
	}
	return found, nil
}

// Table returns the certificate table that holds the one certificate (DER) of a signer.
func Table(signer Signer, der []byte) []byte {
	guid := guidVCEK
	if signer == VLEK {
		guid = guidVLEK
	}
	t := append(make([]byte, 0, 2*tableRow+len(der)), guid[:]...)
	t = binary.LittleEndian.AppendUint32(t, 2*tableRow)
	t = binary.LittleEndian.AppendUint32(t, uint32(len(der)))
	t = append(t, make([]byte, tableRow)...)
	return append(t, der...)
}
