package dcap

import (
	"encoding/binary"

	"github.com/cocoframework/coco/attest"
)

// SGXReport is the body of an enclave's report (Intel SDM, volume 3D, REPORT).
type SGXReport struct {
	CPUSVN     [16]byte
	MiscSelect [4]byte
	Attributes [16]byte // flags, and XFRM from byte 8 on
	MRENCLAVE  [32]byte
	MRSIGNER   [32]byte
	ConfigID   [64]byte
	ISVProdID  uint16
	ISVSVN     uint16
	ConfigSVN  uint16
	ReportData [attest.ReportDataSize]byte
}

// parseSGX reads a report body of 384 bytes.
func parseSGX(b []byte) SGXReport {
	return SGXReport{
		CPUSVN: [16]byte(b), MiscSelect: [4]byte(b[16:]), Attributes: [16]byte(b[48:]), MRENCLAVE: [32]byte(b[64:]), MRSIGNER: [32]byte(b[128:]),
		ConfigID: [64]byte(b[192:]), ISVProdID: binary.LittleEndian.Uint16(b[256:]), ISVSVN: binary.LittleEndian.Uint16(b[258:]),
		ConfigSVN: binary.LittleEndian.Uint16(b[260:]), ReportData: [attest.ReportDataSize]byte(b[320:]),
	}
}

// TDReport is the body of a trust domain's report (Intel TDX module: TDINFO and TEE_TCB_INFO).
type TDReport struct {
	TCBSVN         [16]byte // TEE_TCB_SVN: of the TDX module and what loaded it, when the TD was launched
	MRSEAM         [48]byte
	MRSIGNERSEAM   [48]byte
	SEAMAttributes [8]byte
	Attributes     [8]byte // TDATTRIBUTES
	XFAM           [8]byte
	MRTD           [48]byte
	MRCONFIGID     [48]byte
	MROWNER        [48]byte
	MROWNERCONFIG  [48]byte
	RTMR           [4][48]byte
	ReportData     [attest.ReportDataSize]byte

	// From TDX 1.5 on (a report of type 3, in quote 5); zero before.
	TCBSVN2     [16]byte // as it is now
	MRSERVICETD [48]byte // service TDs that are bound to this TD, such as one that migrates it
}

// parseTD reads a report body of 584 or 648 bytes.
func parseTD(b []byte) TDReport {
	r := TDReport{
		TCBSVN: [16]byte(b), MRSEAM: [48]byte(b[16:]), MRSIGNERSEAM: [48]byte(b[64:]), SEAMAttributes: [8]byte(b[112:]), Attributes: [8]byte(b[120:]),
		XFAM: [8]byte(b[128:]), MRTD: [48]byte(b[136:]), MRCONFIGID: [48]byte(b[184:]), MROWNER: [48]byte(b[232:]), MROWNERCONFIG: [48]byte(b[280:]),
		ReportData: [attest.ReportDataSize]byte(b[520:]),
	}
	for i := range r.RTMR {
		r.RTMR[i] = [48]byte(b[328+48*i:])
	}
	if len(b) == tdReport15 {
		r.TCBSVN2, r.MRSERVICETD = [16]byte(b[584:]), [48]byte(b[600:])
	}
	return r
}
